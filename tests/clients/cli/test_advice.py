"""What a command says when something is wrong can be followed, and nothing is wrong in silence."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from clients.config import ClientConfig
from clients.errors import ExitCode
from clients.profile import Profile
from clients.store.contacts import Contacts
from tests.clients.cli.conftest import MakePerson
from tests.support.command_line import CommandLine
from tests.support.relay_process import RelayProcess

NOWHERE, ELSEWHERE = "ws://127.0.0.1:1", "ws://127.0.0.1:2"
FAR = "bp1qk8qsqp7nuceluqrvpgxvcprxxja787kjqhazyfk3euhy3fr70xyqnzq53j@127.0.0.1:1"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)


@pytest.fixture
def away(alice: CommandLine, impatient: None) -> CommandLine:
    """Alice, whose relay is not there, with a contact named bob."""
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    alice("contact", "add", "bob", FAR)
    return alice


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path: Path) -> Iterator[RelayProcess]:
    """A relay with a certificate of an authority that no system knows."""
    certificate = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    with RelayProcess(tmp_path, settings={"tls-certificate": chain, "tls-key": key}) as process:
        yield process


# --- listen --idle ----------------------------------------------------------------------------------


def test_5_listening_until_idle_without_a_relay(away: CommandLine) -> None:
    done = away("listen", "--idle", "0", code=ExitCode.RELAY)
    assert "cannot be reached" in done.err
    assert "never reached" in done.err
    error = json.loads(away("--json", "listen", "--idle", "0", code=ExitCode.RELAY).err.splitlines()[-1])
    assert (error["error"], error["exit_code"]) == ("RELAY", 5)


def test_5_listening_to_a_relay_under_a_name_that_is_not_its_own(
    alice: CommandLine, relay: RelayProcess, impatient: None
) -> None:
    alice("init", "--relay", f"ws://localhost:{relay.port}/other", code=ExitCode.QUEUED)
    done = alice("listen", "--idle", "0.1", code=ExitCode.RELAY)
    assert len(done.err.splitlines()) == 3  # who listens, the problem, and what to do


def test_listening_until_idle_at_a_relay_that_is_there(alice: CommandLine, relay: RelayProcess) -> None:
    alice("init", "--relay", relay.origin)
    assert alice("listen", "--idle", "0").err.startswith("Listening as")


def test_code_5_is_promised(alice: CommandLine) -> None:
    assert "5: ended by --idle" in " ".join(alice("listen", "--help").out.split())


# --- another relay, another authority ---------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"
                                     b"-----END CERTIFICATE-----\n", b"\xff"])  # fmt: skip
def test_a_file_that_is_no_authority_is_refused_before_a_profile_is_made(
    alice: CommandLine, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "wrong.pem"
    file.write_bytes(content)
    done = alice("init", "--relay", "wss://localhost:1", "--ca", str(file), code=ExitCode.USAGE)
    assert "holds no certificate" in done.err
    assert not alice.profile.exists()


def test_a_typing_error_in_the_relay_is_mended_by_init_again(
    away: CommandLine, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = away("address").out.strip()
    still = away("init", "--relay", ELSEWHERE, code=ExitCode.QUEUED)
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 15.0)
    done = away("init", "--relay", relay.origin)
    assert still.err.count("never registered") == done.err.count("never registered") == 1
    assert done.out.strip() == f"{before.partition('@')[0]}@{relay.place}"
    assert away("--json", "contact", "list").json()[0]["name"] == "bob"


def test_a_registered_profile_stays_at_its_relay(alice: CommandLine, relay: RelayProcess) -> None:
    address = alice("init", "--relay", relay.origin).out
    assert "is registered at" in alice("init", "--relay", NOWHERE, code=ExitCode.USAGE).err
    assert "There is a profile already" in alice("init", "--relay", relay.origin, code=ExitCode.USAGE).err
    assert "There is a profile already" in alice("init", code=ExitCode.USAGE).err
    alice("trust-relay", relay.origin)  # forgets its key, not that the account is there
    assert "is registered at" in alice("init", "--relay", NOWHERE, code=ExitCode.USAGE).err
    assert alice("address").out == address


def test_the_advice_about_a_certificate_can_be_followed(
    alice: CommandLine, secure: RelayProcess, authority: trustme.CA, tmp_path: Path, impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    place = f"wss://localhost:{secure.port}"
    mine, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    mine.write_bytes("# Unsere Behörde\n".encode() + authority.cert_pem.bytes())
    other.write_bytes(trustme.CA().cert_pem.bytes())
    done = alice("init", "--relay", place, "--ca", str(other), code=ExitCode.QUEUED)
    assert "blindpost init --ca FILE" in done.err
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 15.0)
    assert alice("init", "--ca", str(mine)).out == done.out
    # It is registered now, and the authority can be replaced all the same.
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    assert "is replaced" in alice("init", "--ca", str(other), code=ExitCode.QUEUED).err
    assert "cannot be verified" in alice("listen", "--idle", "0", code=ExitCode.RELAY).err
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 15.0)
    assert "is replaced" in alice("init", "--relay", place, "--ca", str(mine)).err


def test_init_without_a_relay_asks_for_one(alice: CommandLine) -> None:
    assert "--relay URL" in alice("init", code=ExitCode.USAGE).err
    assert not alice.profile.exists()


def test_a_new_passphrase_needs_a_terminal_or_a_file(alice: CommandLine) -> None:
    done = alice("init", "--relay", NOWHERE, "--passphrase", code=ExitCode.USAGE)
    assert "--passphrase-file" in done.err
    assert not alice.profile.exists()


def test_an_existing_profile_is_not_believed_to_get_a_passphrase(away: CommandLine, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse")
    done = away("--passphrase-file", str(secret), "init", "--relay", ELSEWHERE, code=ExitCode.USAGE)
    assert "no passphrase" in done.err
    assert away("address").out.endswith(":1\n")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_10_a_lost_store_is_no_invitation_to_a_new_account(away: CommandLine, damage: object) -> None:
    assert callable(damage)
    damage(away.profile / "store.db")
    for arguments in (("address",), ("init", "--relay", NOWHERE)):
        assert "Restore the directory from a copy" in away(*arguments, code=ExitCode.STORAGE).err


# --- what would stay unseen -------------------------------------------------------------------------


def test_a_new_request_is_told_once(person: MakePerson, relay: RelayProcess) -> None:
    alice, bob = person("alice"), person("bob")
    bob_address = bob("init", "--relay", relay.origin).out.strip()
    alice("init", "--relay", relay.origin)
    alice("contact", "add", "bob", bob_address)
    alice("send", "bob", "do you know me?")
    done = bob("listen", "--idle", "1")
    assert "New request" in bob("listen", "--idle", "0").err
    (request,) = bob("--json", "contact", "list").json()
    assert done.out == ""
    assert done.err.count(f"New request from {request['name']}: blindpost contact requests") == 1


def test_messages_behind_a_gap_are_told(alice: CommandLine, relay: RelayProcess) -> None:
    alice("init", "--relay", relay.origin)
    alice("contact", "add", "bob", FAR)
    profile = Profile.open(ClientConfig(alice.profile))
    profile.store.db.execute(
        "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, status, handed, "
        "hold_until_ms) VALUES (?, ?, 0, 1, ?, 1, 1, 'received', 0, ?)",
        (b"i" * 16, Contacts(profile.store).named("bob").id, b"later", int(time.time() * 1000) + 30_000),
    )
    profile.close()
    done = alice("listen", "--idle", "0")
    assert done.out == ""
    assert done.err.count("1 message waits for earlier ones, up to 30 s.") == 1


# --- --json -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [("sned", "bob"), ("send",), ("send", "bob", "hi", "--timeout", "x"), ("--jsn",), ("contact",), (),
     ("contact", "add", "me"), ("listen", "--count", "0")],
)  # fmt: skip
def test_wrong_usage_is_one_object_with_json(alice: CommandLine, arguments: tuple[str, ...]) -> None:
    done = alice("--json", *arguments, code=ExitCode.USAGE)
    error = json.loads(done.err)
    assert (error["error"], error["exit_code"]) == ("USAGE", 2)
    assert error["message"]
    assert done.out == ""


def test_options_may_stand_between_a_group_and_its_verb(away: CommandLine) -> None:
    assert away("contact", "--json", "list").json() == away("contact", "list", "--json").json()
    assert away("contact", "--profile", str(away.profile), "list").out


def test_what_is_queued_before_an_error_is_named_with_json(away: CommandLine) -> None:
    lines = b'{"text": "one"}\n{"text": "two"}\nno json\n'
    done = away("--json", "send", "bob", "--ndjson", stdin=lines, code=ExitCode.USAGE)
    said = done.json()
    assert [line["status"] for line in said] == ["queued", "queued"]
    assert [line["id"] for line in said] == [line["id"] for line in away("--json", "history", "bob").json()]
    assert away("send", "bob", "--ndjson", stdin=lines, code=ExitCode.USAGE).out == ""


# --- values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("send", "bob", "hi", "--timeout", "nan"), ("listen", "--idle", "NaN"),
                                       ("listen", "--idle", "-1")])  # fmt: skip
def test_seconds_are_a_number(away: CommandLine, arguments: tuple[str, ...]) -> None:
    away(*arguments, code=ExitCode.USAGE)
    assert away("--json", "history", "bob").json() == []


@pytest.mark.parametrize("arguments", [("send", "bob"), ("send", "bob", "-")])
def test_an_empty_stdin_is_an_oversight(away: CommandLine, arguments: tuple[str, ...]) -> None:
    assert 'blindpost send bob ""' in away(*arguments, stdin=b"", code=ExitCode.USAGE).err


def test_an_empty_message_may_be_meant(away: CommandLine) -> None:
    away("send", "bob", "", "--timeout", "0", code=ExitCode.QUEUED)
    away("send", "bob", "--ndjson", "--timeout", "0", stdin=b'{"text": ""}\n', code=ExitCode.QUEUED)
    assert [line["text"] for line in away("--json", "history", "bob").json()] == ["", ""]
