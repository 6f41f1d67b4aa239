"""The commands, in this process: words, exit codes, what goes to stdout and what to stderr."""

import json
from pathlib import Path

import pytest

from clients.errors import ExitCode
from clients.store import outbox as outbox_module
from tests.clients.cli.conftest import MakePerson
from tests.support.command_line import CommandLine
from tests.support.relay_process import RelayProcess
from wire.addresses import Address

NOWHERE = "ws://127.0.0.1:1"
FAR = "bp1qk8qsqp7nuceluqrvpgxvcprxxja787kjqhazyfk3euhy3fr70xyqnzq53j@127.0.0.1:1"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> object:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Alice, whose relay is not there, with a contact named bob."""
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    alice("contact", "add", "bob", FAR)
    return alice


@pytest.fixture
def couple(person: MakePerson, relay: RelayProcess) -> tuple[CommandLine, CommandLine]:
    """Alice and bob, who know each other, at a relay that is there."""
    alice, bob = person("alice"), person("bob")
    addresses = [who("init", "--relay", relay.origin).out.strip() for who in (alice, bob)]
    alice("contact", "add", "bob", addresses[1])
    bob("contact", "add", "alice", addresses[0])
    return alice, bob


# --- exit codes -------------------------------------------------------------------------------------


def test_the_exit_codes_are_frozen() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "INTERNAL": 1, "USAGE": 2, "NOT_FOUND": 3, "QUEUED": 4, "RELAY": 5, "TRUST": 6, "LOCKED": 7,
        "TOO_LARGE": 8, "OUTBOX_FULL": 9, "STORAGE": 10, "AUDIT": 11,
    }  # fmt: skip


def test_0_a_message_that_the_relay_has_accepted(couple: tuple[CommandLine, CommandLine]) -> None:
    alice, _ = couple
    done = alice("send", "bob", "hi")
    assert done.out == "accepted\n"
    assert done.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("send",), ("sned", "bob", "hi"), ("send", "bob", "hi", "--ndjson"), ("send", "bob", "--wait", "x"),
        ("listen", "--count", "0"), ("contact", "add", "bob", "bp1nonsense"), ("contact", "add", "-x", FAR),
        ("contact", "add", "bob", FAR), ("init", "--relay", "ftp://relay.example"), ("init",),
        ("--passphrase-file", "/nonexistent", "contact", "list"),
    ],
)  # fmt: skip
def test_2_words_that_are_off(away: CommandLine, arguments: tuple[str, ...]) -> None:
    done = away(*arguments, code=ExitCode.USAGE)
    assert done.out == ""
    assert done.err


def test_3_what_is_not_there(person: MakePerson, away: CommandLine) -> None:
    nobody = person("nobody")
    for arguments in (("address",), ("listen",), ("send", "bob", "hi"), ("contact", "list")):
        assert "blindpost init" in nobody(*arguments, code=ExitCode.NOT_FOUND).err
    assert not nobody.profile.exists()
    assert "contact add" in away("send", "carol", "hi", code=ExitCode.NOT_FOUND).err


def test_4_queued_where_the_relay_is_not_there(away: CommandLine) -> None:
    done = away("send", "bob", "hi", "--timeout", "0.1", code=ExitCode.QUEUED)
    assert done.out == "queued\n"
    assert "nothing is lost" in done.err
    (kept,) = away("--json", "history", "bob").json()
    assert (kept["text"], kept["status"], kept["direction"]) == ("hi", "queued", "out")


def test_6_a_relay_with_another_key(
    couple: tuple[CommandLine, CommandLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = couple
    with monkeypatch.context() as patch:
        patch.setattr("clients.store.pins.Pins.get", lambda *_: b"k" * 32)
        done = alice("send", "bob", "hi", code=ExitCode.TRUST)
    assert "another key than before" in done.err
    assert "1 queued safely" in done.err
    assert alice("trust-relay", alice("address").out.strip().partition("@")[2]).out.count("anew") == 1
    # What was queued goes out with the next command that connects.
    assert alice("send", "bob", "second").out == "accepted\n"
    assert [line["status"] for line in alice("--json", "history", "bob").json()] == ["accepted"] * 2


def test_7_a_profile_that_is_locked(away: CommandLine, person: MakePerson, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\r\n")
    locked = person("locked")
    locked("--passphrase-file", str(secret), "init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    assert "needs its passphrase" in locked("address", code=ExitCode.LOCKED).err
    assert locked("address", "--passphrase-file", str(secret)).out.startswith("bp1")
    secret.write_text("wrong horse")
    assert "wrong passphrase" in locked("--passphrase-file", str(secret), "address", code=ExitCode.LOCKED).err
    (away.profile / "profile.key").unlink()
    assert "Put it back" in away("address", code=ExitCode.LOCKED).err


def test_8_a_message_that_is_too_large(away: CommandLine) -> None:
    done = away("send", "bob", "x" * 65_001, code=ExitCode.TOO_LARGE)
    assert "65,000 bytes" in done.err
    assert away("--json", "history", "bob").json() == []


def test_9_an_outbox_that_is_full(away: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 2)
    lines = b'{"text": "a"}\n' * 5
    done = away("send", "bob", "--ndjson", "--timeout", "0.1", stdin=lines, code=ExitCode.OUTBOX_FULL)
    assert "2 queued safely" in done.err
    assert len(away("--json", "history", "bob").json()) == 2


def test_10_a_store_that_is_damaged(away: CommandLine) -> None:
    store = away.profile / "store.db"
    data = bytearray(store.read_bytes())
    for at in range(4096, len(data), 16):
        data[at] ^= 0xFF
    store.write_bytes(data)
    done = away("history", "bob", code=ExitCode.STORAGE)
    assert "damaged" in done.err
    assert "Traceback" not in done.err


# --- --json -----------------------------------------------------------------------------------------


def test_json_stands_before_or_after_the_verb(away: CommandLine) -> None:
    before = away("--json", "address").json()
    assert before == away("address", "--json").json()
    assert away("--json", "contact", "list").json() == away("contact", "list", "--json").json()


def test_json_errors_name_the_code(away: CommandLine) -> None:
    done = away("--json", "send", "carol", "hi", code=ExitCode.NOT_FOUND)
    error = json.loads(done.err)
    assert (error["error"], error["exit_code"]) == ("NOT_FOUND", 3)
    assert done.out == ""


def test_profile_stands_before_or_after_the_verb(away: CommandLine, person: MakePerson) -> None:
    other = person("other")
    place = str(away.profile)
    assert other("--profile", place, "address").out == away("address").out
    assert other("address", "--profile", place).out == away("address").out


# --- stdin ------------------------------------------------------------------------------------------


def test_stdin_is_sent_byte_for_byte(couple: tuple[CommandLine, CommandLine]) -> None:
    alice, bob = couple
    alice("send", "bob", stdin="text with \n two lines ✓".encode())
    alice("send", "bob", "-", stdin=b"\xff\x00\x1b bytes")
    text, data = bob("--json", "listen", "--count", "2").json()
    assert text["text"] == "text with \n two lines ✓"
    assert data["data"] == "/wAbIGJ5dGVz"
    assert "text" not in data


@pytest.mark.parametrize(
    "line",
    [b"", b"no json", b"[]", b'"text"', b'{"text": 1}', b'{"txt": "a"}', b'{"text": "a", "data": ""}',
     b'{"data": "!"}', b'{"text": "\\ud800"}', b'{"data": null}', b"[" * 5000, b"\xff"],
)  # fmt: skip
def test_a_bad_line_is_named_and_the_lines_before_are_queued(away: CommandLine, line: bytes) -> None:
    lines = b'{"text": "one"}\n{"data": "dHdv"}\n' + line + b'\n{"text": "three"}\n'
    done = away("send", "bob", "--ndjson", stdin=lines, code=ExitCode.USAGE)
    assert "Line 3 of stdin" in done.err
    kept = away("--json", "history", "bob").json()
    assert [item.get("text", item.get("data")) for item in kept] == ["one", "dHdv"]


def test_many_more_messages_than_the_outbox_holds_go_through_it(
    couple: tuple[CommandLine, CommandLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = couple
    monkeypatch.setattr(outbox_module, "MESSAGES_MAX", 20)
    lines = b"".join(b'{"text": "%d"}\n' % number for number in range(100))
    sent = alice("--json", "send", "bob", "--ndjson", stdin=lines).json()
    assert [line["status"] for line in sent] == ["accepted"] * 100
    heard = bob("--json", "listen", "--count", "100").json()
    assert [line["text"] for line in heard] == [str(number) for number in range(100)]
    assert [line["id"] for line in heard] == [line["id"] for line in sent]


@pytest.mark.parametrize("arguments", [("send", "bob"), ("send", "bob", "-"), ("send", "bob", "--ndjson")])
def test_a_closed_stdin_is_a_sentence(away: CommandLine, arguments: tuple[str, ...]) -> None:
    assert "stdin is closed" in away(*arguments, stdin=None, code=ExitCode.USAGE).err


def test_a_closed_stdin_is_nobodys_business_otherwise(away: CommandLine) -> None:
    assert away("address", stdin=None).out.startswith("bp1")
    assert away("send", "bob", "hi", "--timeout", "0.1", stdin=None, code=ExitCode.QUEUED).out == "queued\n"


# --- contacts and requests --------------------------------------------------------------------------


def test_a_request_is_listed_and_shown_once_it_is_added(person: MakePerson, relay: RelayProcess) -> None:
    alice, bob = person("alice"), person("bob")
    bob_address = bob("init", "--relay", relay.origin).out.strip()
    alice_address = alice("init", "--relay", relay.origin).out.strip()
    alice("contact", "add", "bob", bob_address)
    alice("send", "bob", "do you know me?")
    assert bob("--json", "listen", "--idle", "1").json() == []
    (request,) = bob("--json", "contact", "list").json()
    assert request["status"] == "request"
    assert Address.parse(request["address"]).account_key == Address.parse(alice_address).account_key
    refused = bob("send", request["name"], "no", code=ExitCode.USAGE)
    assert f"blindpost contact accept {request['name']} NAME" in refused.err
    bob("contact", "add", "alice", alice_address)
    (shown,) = bob("--json", "listen", "--count", "1").json()
    assert (shown["text"], shown["contact"]) == ("do you know me?", "alice")


def test_removing_a_contact_with_a_history_wants_a_yes(away: CommandLine) -> None:
    away("send", "bob", "hi", "--timeout", "0", code=ExitCode.QUEUED)
    assert "--yes" in away("contact", "remove", "bob", code=ExitCode.USAGE).err
    assert away("contact", "remove", "bob", "--yes", "--json").json() == [{"removed": "bob", "messages": 1}]
    away("contact", "remove", "bob", code=ExitCode.NOT_FOUND)


def test_both_see_the_same_safety_number(couple: tuple[CommandLine, CommandLine]) -> None:
    alice, bob = couple
    (one,) = alice("--json", "contact", "verify", "bob").json()
    (other,) = bob("--json", "contact", "verify", "alice").json()
    assert one["safety_number"] == other["safety_number"]
    assert one["safety_number"].isdigit()
    assert len(one["safety_number"]) == 60


def test_ones_own_address_is_no_contact(away: CommandLine) -> None:
    assert "your own address" in away("contact", "add", "me", away("address").out, code=ExitCode.USAGE).err


def test_the_qr_code_goes_to_stderr(away: CommandLine) -> None:
    done = away("address", "--qr")
    assert done.out.count("\n") == 1
    assert "█" in done.err or "▀" in done.err
