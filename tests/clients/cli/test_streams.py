"""Disks that are full, words that are no text, streams that are closed, and Ctrl-C: sentences, no traces."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.support.client_process import ClientProcess

NOWHERE = "ws://127.0.0.1:1"
FAR = "bp1qk8qsqp7nuceluqrvpgxvcprxxja787kjqhazyfk3euhy3fr70xyqnzq53j@127.0.0.1:1"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def away(tmp_path: Path) -> ClientProcess:
    """Alice, whose relay is not there, with a contact named bob."""
    alice = ClientProcess(tmp_path, "alice")
    program = (
        "import sys; from clients.cli import identity, main; identity.CONNECT_DEADLINE = 0.1\n"
        f"sys.argv = ['blindpost', 'init', '--relay', '{NOWHERE}']; main()\n"
    )
    subprocess.run([sys.executable, "-c", program], env=alice.environment, check=False, capture_output=True)
    alice.run("contact", "add", "bob", FAR)
    return alice


def shell(who: ClientProcess, words: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command with redirections that only a shell can do; COMMAND in `words` stands for it."""
    command = " ".join(f"'{part}'" for part in who.command(*arguments))
    return subprocess.run(
        ["bash", "-c", words.replace("COMMAND", command)],
        env=who.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is full")


def is_said(done: subprocess.CompletedProcess[str], advice: str) -> bool:
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == 10, done
    return "cannot be written: No space left on device" in done.stderr and advice in done.stderr


@FULL
@pytest.mark.parametrize(
    "arguments", [("address",), ("history", "bob"), ("contact", "list"), ("--help",), ("send", "--help")]
)
def test_10_a_full_disk_under_stdout(away: ClientProcess, arguments: tuple[str, ...]) -> None:
    away.run("send", "bob", "hi", "--timeout", "0", code=4)
    assert is_said(shell(away, "COMMAND >/dev/full", *arguments), "run it again")


@FULL
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_10_a_full_disk_after_sending_asks_for_no_second_time(
    away: ClientProcess, options: tuple[str, ...]
) -> None:
    done = shell(away, "COMMAND >/dev/full", *options, "send", "bob", "hi", "--timeout", "0")
    assert is_said(done, "do not send again")
    assert len(away.json("history", "bob")) == 1


@FULL
def test_a_full_disk_under_stderr_changes_nothing(away: ClientProcess) -> None:
    done = shell(away, "COMMAND 2>/dev/full", "address", "--qr")
    assert done.stdout.startswith("bp1")
    assert done.returncode == 0


def test_listening_into_a_closed_stdout_is_refused(away: ClientProcess) -> None:
    done = shell(away, "COMMAND >&-", "listen", "--idle", "0")
    assert done.returncode == 2
    assert "stdout is closed" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (b"send", b"j\xf6rg", b"hi"), (b"send", b"bob", b"caf\xe9"), (b"history", b"j\xf6rg"),
        (b"contact", b"add", b"j\xf6rg", FAR.encode()), (b"contact", b"add", b"carol", b"bp1\xf6"),
        (b"contact", b"verify", b"j\xf6rg"), (b"contact", b"remove", b"j\xf6rg"),
        (b"--profile", b"j\xf6rg", b"address"), (b"--profile", b"./j\xf6rg", b"address"),
        (b"trust-relay", b"ws://j\xf6rg"), (b"init", b"--relay", b"ws://j\xf6rg"), (b"j\xf6rg",),
    ],
)  # fmt: skip
def test_2_words_that_are_not_utf8(away: ClientProcess, arguments: tuple[bytes, ...]) -> None:
    command = [*map(os.fsencode, away.command()), *arguments]
    done = subprocess.run(command, env=away.environment, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in done.stderr, done
    assert done.returncode == 2


def test_a_profile_that_is_not_utf8_in_the_environment(away: ClientProcess) -> None:
    environment = {**{os.fsencode(k): os.fsencode(v) for k, v in away.environment.items()},
                   b"BLINDPOST_PROFILE": b"j\xf6rg"}  # fmt: skip
    done = subprocess.run(away.command("address"), env=environment, capture_output=True, check=False)
    assert (done.returncode, b"not UTF-8" in done.stderr) == (2, True)


def test_a_relative_profile_in_a_deleted_directory(away: ClientProcess, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    away.environment["PYTHONPATH"] = str(ROOT)
    done = shell(away, f"mkdir {gone}; cd {gone}; rmdir {gone}; COMMAND", "--profile", "./x", "address")
    assert "Traceback" not in done.stderr
    assert (done.returncode, "full path" in done.stderr) == (2, True)


# --- Ctrl-C -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["click", "clients.cli.entry", "clients.config", "clients.messenger"])
def test_ctrl_c_while_it_loads_is_quiet(away: ClientProcess, module: str) -> None:
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == '{module}': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "sys.argv = ['blindpost', 'listen']\n"
        "from clients.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=away.environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (130, b"")


def unread(pipe: int) -> int:
    """How many bytes of a pipe nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_sending_says_what_is_queued(away: ClientProcess, number: int) -> None:
    line = b'{"text": "%s"}\n' % (b"x" * 1000)
    with subprocess.Popen(
        away.command("--json", "send", "bob", "--ndjson"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=away.environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(line * 200)
        process.stdin.flush()
        while unread(process.stdin.fileno()):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(number)  # while it waits for more
        assert process.wait(30) == 128 + number
        assert process.stdout is not None
        assert process.stderr is not None
        ids, said = process.stdout.read().splitlines(), process.stderr.read().decode()
    assert len(ids) > 50
    assert f"Interrupted. {len(ids)} queued safely" in said
    assert "Traceback" not in said
    assert len(away.json("history", "bob", "--limit", "1000")) == len(ids)


def test_init_prints_the_address_before_it_registers(tmp_path: Path) -> None:
    alice = ClientProcess(tmp_path, "alice")
    making = alice.start("init", "--relay", NOWHERE)
    line = making.line()
    assert line is not None
    assert line.startswith(b"bp1")
    assert making.process.poll() is None
    assert making.stop(signal.SIGINT) == 130
    making.close()
    assert alice.run("address").stdout == line
