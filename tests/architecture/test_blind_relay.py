"""The relay serves a frame end to end where no code exists that could open it.

It runs from a copied tree of `relay/` and `wire/` alone, and every door of libsodium but signing and
verifying ends the process at once.
"""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control

ROOT = Path(__file__).parents[2]
TRIPPED = 99

# Runs the relay where neither `keys` nor `clients` can be imported; {extra} is for the positive controls.
BLIND = """
import importlib.abc, os, runpy, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("keys", "clients", "tests"):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
        return None

sys.meta_path.insert(0, Absent())
sys.path = [sys.argv.pop(1), *(entry for entry in sys.path if entry != sys.argv[1])]
sys.argv.pop(1)

import nacl.bindings
allowed = {"crypto_sign", "crypto_sign_open", "crypto_sign_seed_keypair", "sodium_init"}

def tripwire(*arguments):
    os._exit(99)

for name in dir(nacl.bindings):
    if name.startswith(("crypto_", "sodium_")) and name not in allowed:
        if callable(getattr(nacl.bindings, name)):
            setattr(nacl.bindings, name, tripwire)

import relay, wire
assert relay.__file__.startswith(sys.path[0]) and wire.__file__.startswith(sys.path[0])
{extra}
runpy.run_module("relay", run_name="__main__", alter_sys=True)
"""


def blind_relay(directory: Path, extra: str = "") -> RelayProcess:
    tree = directory / "tree"
    for name in ("relay", "wire"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    program = BLIND.replace("{extra}", extra)
    command = (sys.executable, "-P", "-c", program, str(tree), str(ROOT))
    return RelayProcess(directory, command=command, cwd=directory)


async def test_a_frame_is_served_without_keys_and_clients(tmp_path: Path) -> None:
    bob, content = Account(), envelope(4096)
    with blind_relay(tmp_path) as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            await receiver.publish(bob.device)
            await sender.fetch(bob.key, take=True)
            await receiver.next(control.Stock)
            await sender.put(bob.device.key, content)
            await sender.next(control.Accepted)
            assert (await receiver.next_frame()).envelope == content
            await receiver.send(control.Acknowledge(through=1))
        assert await asyncio.to_thread(relay.terminate) == 0


@pytest.mark.parametrize("forbidden", ["import keys", "import clients", "import clients.cli"])
def test_the_blind_process_really_cannot_import_them(tmp_path: Path, forbidden: str) -> None:
    relay = blind_relay(tmp_path, forbidden)
    with pytest.raises(AssertionError, match="is not installed here"):
        relay.start()


@pytest.mark.parametrize(
    "opening",
    [
        "from nacl.public import PrivateKey; PrivateKey.generate()",
        "from nacl.signing import SigningKey; SigningKey.generate().to_curve25519_private_key()",
        "from nacl.secret import SecretBox; SecretBox(bytes(32)).encrypt(b'x')",
    ],
)
def test_the_tripwires_work(tmp_path: Path, opening: str) -> None:
    relay = blind_relay(tmp_path, opening)
    with pytest.raises(AssertionError, match="did not start"):
        relay.start()
    assert relay.wait() == TRIPPED
