"""`send`: once under an id, as an answer, to an address, from nothing; and what is said then."""

import json
from collections.abc import Iterator

import pytest

from clients.config import ClientConfig
from clients.errors import ExitCode
from clients.profile import Profile
from clients.store.outgoing import NO_RECEIPT
from tests.clients.cli.conftest import MakePerson
from tests.support.command_line import CommandLine
from tests.support.relay_process import RelayProcess
from wire.addresses import Address

NOWHERE = "ws://127.0.0.1:1"
FAR = "bp1qk8qsqp7nuceluqrvpgxvcprxxja787kjqhazyfk3euhy3fr70xyqnzq53j@127.0.0.1:1"


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 200}) as process:
        yield process


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Alice, whose relay is not there, with a contact named bob."""
    with monkeypatch.context() as patch:
        patch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
        alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    alice("contact", "add", "bob", FAR)
    return alice


@pytest.fixture
def bob(person: MakePerson, relay: RelayProcess) -> CommandLine:
    """Bob, who is at a relay."""
    bob = person("bob")
    bob("init", "--relay", relay.origin)
    return bob


def queue(who: CommandLine, *arguments: str, stdin: bytes = b"") -> list[dict[str, object]]:
    return who("--json", "send", *arguments, "--timeout", "0", stdin=stdin, code=ExitCode.QUEUED).json()


# --- --id and --reply-to ----------------------------------------------------------------------------


def test_the_same_id_is_sent_once(away: CommandLine) -> None:
    first = queue(away, "bob", "hi", "--id", "job-7")
    assert queue(away, "bob", "hi", "--id", "job-7") == first
    assert queue(away, "bob", "-", "--id", "job-7", stdin=b"hi") == first
    assert len(away("--json", "history", "bob").json()) == 1
    refused = away("send", "bob", "other", "--id", "job-7", code=ExitCode.USAGE)
    assert "another message" in refused.err
    assert queue(away, "bob", "other", "--id", "job-8") != first


def test_lines_carry_ids_and_what_they_answer(away: CommandLine) -> None:
    (first,) = queue(away, "bob", "question")
    lines = b'{"text": "a", "id": "1"}\n{"data": "/w==", "id": "2", "reply_to": "%s"}\n'
    lines %= str(first["id"]).encode()
    sent = queue(away, "bob", "--ndjson", stdin=lines)
    assert queue(away, "bob", "--ndjson", stdin=lines + b'{"text": "c", "id": "3"}\n')[:2] == sent
    kept = away("--json", "history", "bob").json()
    assert [line["id"] for line in kept[:3]] == [first["id"], *(line["id"] for line in sent)]
    assert [line["reply_to"] for line in kept] == [None, None, first["id"], None]
    wrong = b'{"text": "d", "id": "4"}\n{"text": "e", "id": "1"}\n'
    refused = away("--json", "send", "bob", "--ndjson", stdin=wrong, code=ExitCode.USAGE)
    assert [line["status"] for line in refused.json()] == ["queued"]


def test_an_answer_says_to_what(away: CommandLine) -> None:
    (first,) = queue(away, "bob", "question")
    queue(away, "bob", "answer", "--reply-to", str(first["id"]))
    assert away("--json", "history", "bob").json()[1]["reply_to"] == first["id"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("bob", "hi", "--reply-to", "x"), ("bob", "hi", "--id", ""), ("bob", "hi", "--as", "carol"),
        ("bob", "--ndjson", "--id", "k"), ("bob", "--ndjson", "--reply-to", "0" * 32), ("bp1nonsense", "hi"),
    ],
)  # fmt: skip
def test_2_words_that_are_off(away: CommandLine, arguments: tuple[str, ...]) -> None:
    assert away("send", *arguments, code=ExitCode.USAGE).err
    assert away("--json", "history", "bob").json() == []


# --- to an address ----------------------------------------------------------------------------------


def names(who: CommandLine) -> dict[str, str]:
    return {line["name"]: line["status"] for line in who("--json", "contact", "list").json()}


def test_the_first_message_in_one_command_from_nothing(person: MakePerson, bob: CommandLine) -> None:
    alice = person("alice")
    line = bob("address").out.strip()
    done = alice("send", line, "hi")
    assert done.out == "accepted\n"
    assert "made one at 127.0.0.1" in done.err
    (name,) = names(alice)
    assert name == f"friend-{Address.parse(line).bare.text[4:10]}"
    assert f"{name} is a contact now" in done.err
    again = alice("send", line, "again")
    assert (again.out, again.err) == ("accepted\n", "")
    # It is registered, so that bob can answer at once.
    bob("listen", "--idle", "0.5")
    (request,) = names(bob)
    assert bob("contact", "accept", request, "alice").out
    assert [heard["text"] for heard in bob("--json", "listen", "--count", "2").json()] == ["hi", "again"]
    assert bob("send", "alice", "hello").out == "accepted\n"
    assert [heard["text"] for heard in alice("--json", "listen", "--count", "1").json()] == ["hello"]


def test_an_address_that_names_no_relay_makes_no_profile(person: MakePerson, bob: CommandLine) -> None:
    alice = person("alice")
    line = bob("address").out.strip().partition("@")[0]
    assert "blindpost init" in alice("send", line, "hi", code=ExitCode.NOT_FOUND).err
    assert not alice.profile.exists()


def test_a_name_of_ones_own_choice(away: CommandLine, person: MakePerson, bob: CommandLine) -> None:
    line = bob("address").out.strip()
    queue(away, line, "hi", "--as", "Bobby", "--id", "k")
    assert names(away) == {"bob": "approved", "Bobby": "approved"}
    # The name that it has stays, and the message under the id is not sent again.
    queue(away, line, "hi", "--as", "Robert", "--id", "k")
    assert names(away) == {"bob": "approved", "Bobby": "approved"}
    assert len(away("--json", "history", "Bobby").json()) == 1
    taken = person("carol")("send", line, "hi", "--as", "-x", code=ExitCode.USAGE)
    assert "A contact's name" in taken.err


def test_a_name_that_is_taken_gets_more_of_the_address(away: CommandLine, bob: CommandLine) -> None:
    line = bob("address").out.strip()
    data = Address.parse(line).bare.text[4:]
    away("contact", "rename", "bob", f"friend-{data[:6]}")
    queue(away, line, "hi")
    assert f"friend-{data[:12]}" in names(away)


def test_ones_own_address_gets_nothing(away: CommandLine) -> None:
    assert "your own address" in away("send", away("address").out.strip(), "hi", code=ExitCode.USAGE).err


def test_writing_to_the_address_of_a_request_accepts_it(
    person: MakePerson, bob: CommandLine, relay: RelayProcess
) -> None:
    alice = person("alice")
    alice("send", bob("address").out.strip(), "do you know me?")
    bob("listen", "--idle", "0.5")
    assert list(names(bob).values()) == ["request"]
    assert bob("send", alice("address").out.strip(), "yes", "--as", "alice").out == "accepted\n"
    assert names(bob) == {"alice": "approved"}


def test_a_blocked_address_stays_blocked(away: CommandLine) -> None:
    away("contact", "block", "bob")
    assert away("send", FAR, "hi", code=ExitCode.USAGE).err
    assert names(away) == {"bob": "blocked"}


# --- how far ----------------------------------------------------------------------------------------


def test_0_at_the_relay_as_a_request(person: MakePerson, bob: CommandLine, relay: RelayProcess) -> None:
    alice = person("alice")
    alice("init", "--relay", relay.origin)
    alice("contact", "add", "bob", Address.parse(bob("address").out).bare.text)
    done = alice("send", "bob", "hi")
    assert done.out == "requested\n"
    assert "bob has not accepted you yet: at the relay as a request" in done.err
    later = alice("send", "bob", "hi", "--wait", "delivered", "--timeout", "0.2", code=ExitCode.QUEUED)
    assert "Not delivered yet" in later.err


def test_5_given_up_says_why(away: CommandLine) -> None:
    (first,) = queue(away, "bob", "hi", "--id", "k")
    profile = Profile.open(ClientConfig(away.profile))
    with profile.store.transaction() as db:  # as if 31 days had passed since a relay took it
        db.execute("UPDATE messages SET status = 'failed', failed = ?, sealed = 1", (NO_RECEIPT,))
    profile.close()
    done = away("--json", "send", "bob", "hi", "--id", "k", code=ExitCode.RELAY)
    (line,) = done.json()
    assert (line["id"], line["status"], line["failed"]) == (first["id"], "failed", NO_RECEIPT)
    error = json.loads(done.err.splitlines()[-1])
    assert (error["error"], error["exit_code"]) == ("RELAY", 5)
    assert NO_RECEIPT in error["message"]
    assert "queued safely" not in done.err


def test_what_was_given_up_before_it_went_is_sent_when_it_is_repeated(away: CommandLine) -> None:
    (first,) = queue(away, "bob", "hi", "--id", "k")
    away("contact", "block", "bob")
    away("contact", "unblock", "bob")
    (again,) = queue(away, "bob", "hi", "--id", "k")
    assert again["id"] != first["id"]


# --- serve ------------------------------------------------------------------------------------------


def test_serve_answers_and_ends(away: CommandLine) -> None:
    calls = (
        b'{"call": "contact", "ref": 1, "name": "bob"}\nnonsense\n{"call": "flush", "ref": 2, "timeout": 0}\n'
    )
    hello, *answers = away("serve", stdin=calls).json()
    assert hello["protocol"] == 1
    assert {answer["ref"] for answer in answers} == {1, 2, None}
    assert next(answer for answer in answers if answer["ref"] == 1)["result"]["address"] == FAR


def test_serve_without_a_profile_or_streams(away: CommandLine, person: MakePerson) -> None:
    assert person("nobody")("serve", code=ExitCode.NOT_FOUND).out == ""
    assert "stdin or stdout is closed" in away("serve", stdin=None, code=ExitCode.USAGE).err
