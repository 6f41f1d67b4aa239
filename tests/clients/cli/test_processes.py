"""The command line as a process: start-up, signals, pipes, character sets."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import hangup
from tests.support.client_process import ClientProcess
from tests.support.computing import computing
from tests.support.relay_process import RelayProcess

HEAVY = (
    "pydantic",
    "websockets",
    "nacl",
    "cryptography",
    "apsw",
    "segno",
    "prompt_toolkit",
    "platformdirs",
)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def couple(tmp_path: Path, relay: RelayProcess) -> tuple[ClientProcess, ClientProcess]:
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    for who in (alice, bob):
        who.init(relay.origin)
    alice.add(bob)
    bob.add(alice)
    return alice, bob


@pytest.mark.parametrize(
    "arguments", [("--help",), ("send", "--help"), ("contact", "add", "-h"), ("--version",), ()]
)
def test_help_loads_nothing_heavy_and_so_comes_at_once(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys; sys.argv = ['blindpost', *sys.argv[1:]]\n"
        "from clients.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()} | set(done.stderr.split())
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert arguments == ("--version",) or "Usage: " in done.stdout + done.stderr


def test_no_module_of_the_command_line_loads_anything_heavy_by_itself() -> None:
    program = (
        "import importlib, pkgutil, sys\n"
        "import clients.cli\n"
        "names = [found.name for found in pkgutil.iter_modules(clients.cli.__path__)]\n"
        "for name in names: importlib.import_module('clients.cli.' + name)\n"
        "print(len(names), *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    count, *loaded = done.stdout.split()
    assert int(count) > 15
    assert {name.split(".")[0] for name in loaded}.isdisjoint(HEAVY)


def test_help_is_there_before_a_person_wonders() -> None:
    took = [computing([sys.executable, "-m", "clients", "--help"])[0] for _ in range(5)]
    assert min(took) < 0.3


def test_help_names_every_command_and_every_exit_code(tmp_path: Path) -> None:
    said = ClientProcess(tmp_path, "alice").run("--help").stdout.decode()
    commands = (
        "relay", "init", "address", "settings", "contact", "send", "listen", "history", "trust-relay",
        "doctor", "completion",
    )  # fmt: skip
    assert all(f"\n  {command}" in said for command in commands)
    assert "4 queued, relay not reachable" in said


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert version("blindpost") in ClientProcess(tmp_path, "alice").run("--version").stdout.decode()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_listening_in_order(
    couple: tuple[ClientProcess, ClientProcess], number: int, code: int
) -> None:
    alice, bob = couple
    alice.run("send", "bob", "hi")
    with hangup.heeded():
        listening = bob.start("--json", "listen")
    message = listening.json()
    assert listening.stop(number) == code
    assert "Traceback" not in bob.errors
    listening.close()
    # What was printed is taken, and receipted; it does not come again.
    assert bob.json("listen", "--idle", "0") == []
    alice.run("send", "bob", "again")
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["again"]
    assert message["text"] == "hi"


def test_a_reader_that_goes_away_ends_it_quietly_and_loses_nothing(
    couple: tuple[ClientProcess, ClientProcess],
) -> None:
    alice, bob = couple
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(5))
    alice.run("send", "bob", "--ndjson", stdin=lines)
    process = subprocess.Popen(
        bob.command("--json", "listen"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=bob.environment
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert b"Traceback" not in errors
    assert b"Exception" not in errors
    rest = bob.json("listen", "--idle", "1")
    texts = [line["text"] for line in rest]
    assert b'"0"' in first
    assert texts in (["1", "2", "3", "4"], ["0", "1", "2", "3", "4"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_what_a_full_disk_kept_from_being_seen_is_shown_again(
    couple: tuple[ClientProcess, ClientProcess],
) -> None:
    alice, bob = couple
    alice.run("send", "bob", "hi")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            bob.command("listen", "--count", "1"),
            stdout=full, stderr=subprocess.PIPE, env=bob.environment, check=False, timeout=30,
        )  # fmt: skip
    assert (done.returncode, b"shows this message again" in done.stderr) == (10, True)
    (shown,) = bob.json("listen", "--count", "1")
    assert (shown["text"], shown["redelivered"]) == ("hi", True)


def test_history_into_a_closed_pipe_is_quiet(couple: tuple[ClientProcess, ClientProcess]) -> None:
    alice, _ = couple
    lines = b"".join(b'{"text": "%d %s"}\n' % (number, b"x" * 5000) for number in range(50))
    alice.run("send", "bob", "--ndjson", stdin=lines)
    command = " ".join(f"'{part}'" for part in alice.command("history", "bob"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
        env=alice.environment, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_terminal_without_the_characters_stops_no_message(
    couple: tuple[ClientProcess, ClientProcess], options: tuple[str, ...]
) -> None:
    alice, bob = couple
    alice.run("send", "bob", "fox 🦊 and ñ")
    bob.environment["PYTHONIOENCODING"] = "latin-1"
    said = bob.run("listen", "--count", "1", *options).stdout.decode("latin-1")
    assert "fox \\" in said
    if options:
        import json

        assert json.loads(said)["text"] == "fox 🦊 and ñ"


def test_closed_standard_streams_are_no_reason_to_fail(couple: tuple[ClientProcess, ClientProcess]) -> None:
    alice, bob = couple
    command = " ".join(f"'{part}'" for part in alice.command("send", "bob", "from a daemon"))
    done = subprocess.run(
        ["bash", "-c", f"{command} <&- >&- 2>&-"], env=alice.environment, check=False, timeout=30
    )
    assert done.returncode == 0
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["from a daemon"]


def test_two_processes_on_one_profile(couple: tuple[ClientProcess, ClientProcess]) -> None:
    alice, bob = couple
    bob.run("send", "alice", "hi")
    listening = alice.start("--json", "listen")
    assert listening.json()["text"] == "hi"
    for arguments in (("send", "bob", "hi"), ("history", "bob"), ("contact", "list"), ("address",)):
        alice.run(*arguments)
    assert "Another listener" in alice.run("listen", code=7).stderr.decode()
    assert listening.stop() == 143
    listening.close()
    alice.run("send", "bob", "hi")


def test_nothing_is_read_from_the_environment_but_what_is_documented(
    couple: tuple[ClientProcess, ClientProcess],
) -> None:
    alice, bob = couple
    # A proxy in the environment must not get to see where a relay is.
    alice.environment.update(http_proxy="http://127.0.0.1:1", ALL_PROXY="socks5://127.0.0.1:1")
    alice.run("send", "bob", "directly")
    assert os.environ.get("ALL_PROXY") != "socks5://127.0.0.1:1"
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["directly"]
