"""`doctor`: a line a check, and the exit code of the first that failed."""

import json
from pathlib import Path

import pytest

from clients.errors import ExitCode
from tests.clients.cli.conftest import MakePerson
from tests.clients.doctor.relays import Authority
from tests.support.command_line import CommandLine
from tests.support.relay_process import RelayProcess

NOWHERE = "ws://127.0.0.1:1"
VERDICTS = ("ok", "warning", "FAILED")


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    return alice


def failed(alice: CommandLine, code: ExitCode) -> list[str]:
    """The names of the checks that fail; the exit code is that of the first."""
    rows = alice("--json", "doctor", code=code).json()
    assert {*rows[0]} == {"check", "verdict", "what", "advice", "exit_code"}
    bad = [row for row in rows if row["verdict"] == "failed"]
    assert next((row["exit_code"] for row in bad), 0) == code
    return [row["check"] for row in bad]


def test_0_all_is_well(alice: CommandLine, tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        alice("init", "--relay", relay.origin)
        said = alice("doctor").out.splitlines()
        assert failed(alice, ExitCode.OK) == []
    assert all(line.startswith("ok       ") for line in said)
    assert said[-1] == "ok       login: works, and the account is registered"
    assert len(said) == 14


def test_5_the_relay_is_down(away: CommandLine) -> None:
    assert failed(away, ExitCode.RELAY) == ["connection"]
    (line,) = (line for line in away("doctor", code=ExitCode.RELAY).out.splitlines() if "FAILED" in line)
    assert line.startswith("FAILED   connection: nobody listens at port 1 of 127.0.0.1; start the relay")


def test_5_without_a_profile(person: MakePerson) -> None:
    nobody = person("nobody")
    done = nobody("doctor", "--relay", NOWHERE, code=ExitCode.RELAY)
    assert "profile" not in done.out
    assert not nobody.profile.exists()


def test_3_no_profile(person: MakePerson) -> None:
    assert failed(person("nobody"), ExitCode.NOT_FOUND) == ["profile"]


def test_6_the_relay_has_another_key(alice: CommandLine, tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        alice("init", "--relay", relay.origin)
        relay.terminate()
        (tmp_path / "relay-data").rename(tmp_path / "moved-away")
        relay.start()
        assert failed(alice, ExitCode.TRUST) == ["relay key"]


def test_7_a_locked_profile(alice: CommandLine, away: CommandLine, tmp_path: Path) -> None:
    (away.profile / "profile.key").unlink()
    assert failed(away, ExitCode.LOCKED) == ["store"]


def test_10_before_5_a_damaged_store(away: CommandLine) -> None:
    store = away.profile / "store.db"
    data = bytearray(store.read_bytes())
    data[5000:5100] = bytes(100)
    store.write_bytes(data)
    assert failed(away, ExitCode.STORAGE) == ["store"]


def test_10_permissions_are_no_reason_to_look_no_further(away: CommandLine) -> None:
    for path in (away.profile, away.profile / "profile.key"):
        path.chmod(0o755)
    assert failed(away, ExitCode.STORAGE) == ["permissions", "connection"]


def test_an_authority_for_a_relay_without_a_profile(alice: CommandLine, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.files(tmp_path)
    with RelayProcess(tmp_path, settings={"tls-certificate": chain, "tls-key": key}) as relay:
        place = f"wss://localhost:{relay.port}"
        alice("doctor", "--relay", place, "--ca", str(authority.file))
        done = alice("doctor", "--relay", place, code=ExitCode.RELAY)
    assert "not signed by an authority that is trusted here" in done.out
    alice("doctor", "--ca", str(authority.file), code=ExitCode.USAGE)
    alice("doctor", "--relay", place, "--ca", str(key), code=ExitCode.USAGE)
    alice("doctor", "--relay", "ftp://x", code=ExitCode.USAGE)


def test_a_relays_own_words_cannot_act_on_the_terminal(
    alice: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hostile(*_: object) -> tuple[int, bytes]:
        said = {"version": "1\x1b[2J\nok       fake", "protocol_versions": [1]}
        return 200, json.dumps(said).encode()

    async def reached(*_: object) -> None:
        return None

    monkeypatch.setattr("clients.doctor.relay_checks.get", hostile)
    monkeypatch.setattr("clients.doctor.relay_checks.reach", reached)
    said = alice("doctor", "--relay", NOWHERE, code=ExitCode.RELAY).out
    assert "\x1b" not in said
    assert "\nok       fake" not in said
    assert "fake" in said
