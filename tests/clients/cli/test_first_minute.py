"""`init`, `address`: the line to give to others, as scripts and as people get it."""

import sys
from pathlib import Path

import pytest

from clients.errors import ExitCode
from tests.support.command_line import CommandLine
from tests.support.relay_process import RelayProcess
from tests.support.terminal import Terminal
from wire.addresses import Address

NOWHERE = "ws://127.0.0.1:1"


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, "--name", "Alice A.", code=ExitCode.QUEUED)
    return alice


def test_init_prints_one_line_to_paste(alice: CommandLine, tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        done = alice("init", "--relay", relay.origin, "--name", "Alice A.")
    assert done.out.count("\n") == 1
    line = Address.parse(done.out)
    assert line.token is not None
    assert line.relay is not None
    assert "█" not in done.err
    assert alice("address").out == done.out
    assert alice("--json", "settings").json()[0]["display_name"] == "Alice A."


def test_a_display_name_that_cannot_be_leaves_a_profile_to_go_on_with(away: CommandLine) -> None:
    away("settings", "--name", "new\nline", code=ExitCode.USAGE)
    assert away("--json", "settings").json()[0]["display_name"] == "Alice A."


def test_the_bare_line_has_no_token(away: CommandLine) -> None:
    whole, bare = Address.parse(away("address").out), Address.parse(away("address", "--bare").out)
    assert bare.token is None
    assert (bare.account_key, bare.relay) == (whole.account_key, whole.relay)
    assert away("--json", "address", "--bare").json() == [{"address": bare.text}]


def test_a_renewed_line_is_another_one_for_the_same_account(away: CommandLine) -> None:
    before = away("address").out
    done = away("address", "--renew")
    assert done.out == away("address").out != before
    assert "next command that connects" in done.err
    assert Address.parse(done.out).account_key == Address.parse(before).account_key


def test_a_person_sees_a_qr_code_and_what_to_do_with_the_line(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        command = [sys.executable, "-m", "clients", "--profile", str(tmp_path / "alice")]
        with Terminal([*command, "init", "--relay", relay.origin], rows=40) as terminal:
            assert terminal.ended() == 0
            seen = terminal.text
        with Terminal([*command, "doctor"], rows=40) as terminal:
            assert terminal.ended() == 0
            checked = terminal.lines
        with Terminal([*command, "--help"], rows=60) as terminal:
            assert terminal.ended() == 0
    assert "blindpost chat LINE" in seen
    assert seen.count("█") > 100
    assert "bp1p" in seen
    verdicts = ("ok", "warning", "FAILED", "")
    # A path is not broken at the edge of the terminal, so that it can be copied.
    odd = [
        line for line in checked if line[:9].strip() not in verdicts and line not in str(tmp_path / "alice")
    ]
    assert odd == []
    assert all(len(line) <= 80 for line in checked)


def test_an_unlocked_profile_asks_nobody_for_a_passphrase(tmp_path: Path) -> None:
    """While another process has it open, whose work it is."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse")
    command = [sys.executable, "-m", "clients", "--profile", str(tmp_path / "alice")]
    unlocked = ["--passphrase-file", str(secret)]
    with RelayProcess(tmp_path) as relay:
        with Terminal([*command, *unlocked, "init", "--relay", relay.origin]) as terminal:
            assert terminal.ended() == 0
        with Terminal([*command, *unlocked, "listen"]) as owner:
            owner.until("Listening")
            with Terminal([*command, "settings"]) as terminal:
                assert terminal.ended() == 0
                assert "Passphrase" not in terminal.text
            owner.stop()
        with Terminal([*command, "settings"]) as terminal:
            terminal.until("Passphrase:").type("correct horse\r")
            assert terminal.ended() == 0
