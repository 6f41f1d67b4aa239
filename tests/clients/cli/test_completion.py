"""Completion: in a real bash, with names as they are, at once, and never a word of error."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.cli import names as names_module
from clients.cli.names import names_at_once
from clients.errors import ExitCode
from tests.support.client_process import ClientProcess
from tests.support.command_line import CommandLine
from tests.support.computing import computing
from tests.support.relay_process import RelayProcess
from wire.addresses import Address, RelayUrl

NOWHERE = "ws://127.0.0.1:1"
ODD = 'Bob *, x;$y `z` \\ "q" é'
BIN = Path(sys.executable).parent

ASK = r"""
eval "$(blindpost completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_blindpost_completion blindpost
printf '%s\n' "${COMPREPLY[@]}"
"""


def address(name: str) -> str:
    return Address(name.encode().ljust(32, b"."), RelayUrl.parse(NOWHERE)).text


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    for name in ("bob", "carol", "mallory"):
        alice("contact", "add", name, address(name))
    alice("contact", "block", "mallory")
    return alice


def completed(profile: Path, *words: str, cwd: Path | None = None) -> list[str]:
    """What bash offers for the last word."""
    bash = shutil.which("bash")
    assert bash is not None
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}", "BLINDPOST_PROFILE": str(profile), "HOME": str(profile.parent),
        "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", "blindpost", *words],
        env=environment, capture_output=True, text=True, timeout=30, check=False, cwd=cwd,
    )  # fmt: skip
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def names(profile: Path, *words: str, cwd: Path | None = None) -> list[str]:
    """As `completed`; again where a machine that is busy had no time to find any."""
    for _ in range(5):
        if found := completed(profile, *words, cwd=cwd):
            return found
    return []


def test_commands_and_options_are_completed(away: CommandLine) -> None:
    assert completed(away.profile, "contact", "ver") == ["verify"]
    assert {"init", "history", "doctor", "completion"} <= set(completed(away.profile, ""))
    assert completed(away.profile, "contact", "sharing", "bob", "--pres") == ["--presence"]
    assert completed(away.profile, "completion", "") == ["bash", "zsh", "fish"]


def test_names_are_completed_where_they_belong(away: CommandLine) -> None:
    assert names(away.profile, "contact", "verify", "") == ["bob", "carol"]
    assert names(away.profile, "history", "") == ["bob", "carol", "mallory"]
    assert names(away.profile, "contact", "unblock", "") == ["mallory"]
    assert names(away.profile, "contact", "rename", "B") == ["bob"]
    assert completed(away.profile, "contact", "accept", "") == []
    away("contact", "remove", "bob")
    assert names(away.profile, "contact", "verify", "") == ["carol"]


def test_the_profile_on_the_line_counts(away: CommandLine, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody"
    assert names(nobody, "--profile", str(away.profile), "contact", "verify", "c") == ["carol"]


def test_a_name_is_completed_as_a_shell_has_to_read_it(away: CommandLine, tmp_path: Path) -> None:
    away("contact", "rename", "bob", ODD)
    (tmp_path / "Bob x").touch()  # a name is no pattern for files
    (word,) = names(away.profile, "contact", "verify", "Bo", cwd=tmp_path)
    read_back = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True
    )
    assert read_back.stdout == ODD
    assert names(away.profile, "contact", "verify", "Bob\\ \\*") == [word]


def test_the_process_that_has_the_profile_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RelayProcess(tmp_path) as relay:
        secret = tmp_path / "secret"
        secret.write_text("correct horse")
        alice = ClientProcess(tmp_path, "alice")
        unlocked = ("--passphrase-file", str(secret))
        alice.run(*unlocked, "init", "--relay", relay.origin)
        alice.run(*unlocked, "contact", "add", "bob", address("bob"))
        assert completed(alice.profile, "contact", "verify", "") == []  # it is locked
        listening = alice.start(*unlocked, "--json", "listen")
        try:
            end = time.monotonic() + 20
            while (found := names_at_once(str(alice.profile), "approved")) == [] and time.monotonic() < end:
                pass
            assert found == ["bob"]
        finally:
            listening.close()


@pytest.fixture
def broken(away: CommandLine, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A profile that cannot be read, in some way."""
    profile = away.profile
    match request.param:
        case "no profile":
            yield profile / "none"
        case "no key":
            (profile / "profile.key").unlink()
            yield profile
        case "no store":
            (profile / "store.db").unlink()
            yield profile
        case "damaged":
            (profile / "store.db").write_bytes(b"x" * 9000)
            yield profile
        case "no profile.json":
            (profile / "profile.json").write_bytes(b"{")
            yield profile


@pytest.mark.parametrize(
    "broken", ["no profile", "no key", "no store", "damaged", "no profile.json"], indirect=True
)
def test_no_error_is_ever_printed(broken: Path) -> None:
    assert completed(broken, "contact", "verify", "") == []  # nothing on stderr is seen to there
    assert "history" in completed(broken, "hist")


def test_a_name_that_takes_too_long_is_not_waited_for(
    away: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def slow(_: Path) -> list[tuple[str, str]]:
        answers.wait(60)
        return [("bob", "approved")]

    monkeypatch.setattr(names_module, "_from_owner", slow)
    monkeypatch.setattr(names_module, "WITHIN", 0.05)
    started = time.monotonic()
    assert names_at_once(str(away.profile), None) == []
    assert time.monotonic() - started < 20
    answers.set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_says_how_it_is_installed(alice: CommandLine, shell: str) -> None:
    script = alice("completion", shell).out
    assert "_BLINDPOST_COMPLETE" in script
    assert script.splitlines()[-1].startswith("# Install: ")
    assert shell in script.splitlines()[-1]
    (row,) = alice("--json", "completion", shell).json()
    assert row == {"shell": shell, "script": script.rstrip("\n")}


def test_another_shell_is_refused_by_name(alice: CommandLine) -> None:
    assert "'fish'" in alice("completion", "csh", code=ExitCode.USAGE).err


# A busy machine may take longer than the hurry allows: what it costs is measured without that.
PATIENT = """
import runpy
from clients.cli import names
names.WITHIN = 60
runpy.run_module("clients", run_name="__main__")
"""


def test_completing_takes_less_than_a_second(away: CommandLine) -> None:
    environment = os.environ | {
        "_BLINDPOST_COMPLETE": "bash_complete", "COMP_WORDS": "blindpost contact verify ", "COMP_CWORD": "3",
        "BLINDPOST_PROFILE": str(away.profile),
    }  # fmt: skip
    took = []
    for _ in range(5):
        seconds, said = computing([sys.executable, "-c", PATIENT], environment)
        assert said.split() == ["plain,bob", "plain,carol"]
        took.append(seconds)
    assert min(took) < 1.0
