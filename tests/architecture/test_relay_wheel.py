"""The relay's own distribution, installed by itself: it serves, and no `keys` and no `clients` are there.

The wheel is unpacked into an environment of its own, which is all that an installer does with it. What it
says it needs is linked in from here instead of fetched, and nothing else: what it does not name is missed.
"""

import asyncio
import re
import subprocess
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control

ROOT = Path(__file__).resolve().parents[2]


def needed(requirements: list[str]) -> set[str]:
    """All distributions that some requirements lead to, on this machine and without extras of theirs."""
    waiting, found = list(requirements), set[str]()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name in found or (
            requirement.marker and not requirement.marker.evaluate({"extra": ""})
        ):
            continue
        found.add(requirement.name)
        waiting += distribution(requirement.name).requires or ()
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the relay's wheel, and what that needs."""
    place = tmp_path_factory.mktemp("alone")
    (wheel,) = WheelBuilder(str(ROOT / "packaging" / "relay")).build(
        directory=str(place), versions=["standard"]
    )
    venv.create(place / "venv", symlinks=True)
    (packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (metadata,) = packages.glob("blindpost_relay-*.dist-info/METADATA")
    for name in needed(re.findall(r"^Requires-Dist: (.*)$", metadata.read_text(), re.M)):
        there = distribution(name)
        for top in {each.parts[0] for each in there.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(there.locate_file(top))))
    return place / "venv" / "bin" / "python"


def run(python: Path, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=False)


async def test_it_serves(python: Path, tmp_path: Path) -> None:
    bob, content = Account(), envelope(1024)
    with RelayProcess(tmp_path, command=(str(python), "-I", "-m", "relay"), cwd=tmp_path) as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            await receiver.publish(bob.device)
            await sender.fetch(bob.key, take=True)
            await receiver.next(control.Stock)
            await sender.put(bob.device.key, content)
            await sender.next(control.Accepted)
            assert (await receiver.next_frame()).envelope == content
        assert await asyncio.to_thread(relay.terminate) == 0


@pytest.mark.parametrize("name", ["keys", "clients", "tests", "cryptography"])
def test_what_could_open_a_message_is_not_there(python: Path, name: str) -> None:
    done = run(python, f"import {name}")
    assert f"ModuleNotFoundError: No module named '{name}'" in done.stderr


def test_control_what_is_there_comes_from_there(python: Path) -> None:
    done = run(python, "import relay, wire; print(relay.__file__, wire.__file__)")
    assert done.returncode == 0, done.stderr
    assert all(each.startswith(str(python.parents[1])) for each in done.stdout.split())
