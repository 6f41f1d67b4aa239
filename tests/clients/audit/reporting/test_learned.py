"""What a relay learns: seen on the wire of a real conversation, shown shortened, all of it in the ledger."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from clients.audit.judging.fields import Field
from clients.audit.reporting.learned import Lesson, in_answers, on_the_wire, shown
from clients.audit.reporting.traffic import traffic
from clients.audit.tap.reading import Message
from clients.audit.tap.wiretap import Connection, Direction, open_tap
from clients.messenger import Messenger
from tests.support.relay_process import RelayProcess
from wire.frames import decode_put
from wire.ledger import Place, read

WITHIN = 20.0
LEDGER = read()
TEXT = "hello, this text must not be seen"
URL = "ws://127.0.0.1:8760"


async def conversation(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Connection], str]:
    """Two people through a tap: what it heard, and the URL of the relay."""
    with RelayProcess(directory) as relay:
        async with open_tap() as tap:
            monkeypatch.setenv("BLINDPOST_PROXY", tap.proxy)
            async with (
                Messenger.open(directory / "alice", relay=relay.origin) as alice,
                Messenger.open(directory / "bob", relay=relay.origin) as bob,
            ):
                for each in (alice, bob):
                    assert await each.connected(WITHIN), each.problems()
                alice.contacts.add("bob", bob.address)
                bob.contacts.add("alice", alice.address)
                await alice.send("bob", TEXT)
                assert await bob.receive(WITHIN) is not None
                assert await bob.flushed(WITHIN)
        return tap.connections, relay.origin


async def test_a_conversation_teaches_what_the_ledger_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, url = await conversation(tmp_path, monkeypatch)
    lesson = Lesson(LEDGER, url)
    lesson.see(on_the_wire(connections))
    assert lesson.undeclared == []
    learned = {name: each for each in lesson.learned for name in each.fields}
    for place in (Place.JSON, Place.OBJECT, Place.FRAME, Place.HTTP):
        assert LEDGER.of(place).keys() <= learned.keys()
    assert f"hello.origin: {url}" not in learned["hello.mode"].examples  # two of different fields, the first
    assert learned["hello.mode"].examples[0] == "hello.mode: device"
    assert learned["put.envelope"].examples[0] in ("put.envelope: 1024 bytes", "put.envelope: 2048 bytes")
    assert learned["login.device_key"].times >= 2
    assert learned["login.device_key"].examples[0].endswith("… (43 characters)")
    assert learned["delete.account_key"].examples == ()
    assert learned["put.mailbox"].kept == LEDGER.retentions["until-acknowledged"].means
    assert learned["put.mailbox"].seen == ("relay", "operator", "network", "sender", "owner")

    seen = traffic(connections)
    assert seen.total == len(connections) == len(seen.connections)
    assert {each.mode for each in seen.connections} == {"device", "submit"}
    assert min(each.opened for each in seen.connections) == 0.0
    assert sum(each.bytes for each in (c.to_relay for c in seen.connections)) == sum(
        len(connection.to_relay.data) for connection in connections
    )
    up = sum(size.to_relay for size in seen.envelopes)
    assert up == sum(each.to_relay.frames for each in seen.connections) >= 2
    exact = Counter(
        len(decode_put(item.payload).envelope)
        for connection in connections
        for item in connection.to_relay.items(is_client=True)
        if isinstance(item, Message) and item.opcode is Opcode.BINARY
    )
    assert {size.bytes: size.to_relay for size in seen.envelopes if size.to_relay} == exact
    down = sum(size.from_relay for size in seen.messages)
    assert down == sum(each.from_relay.messages for each in seen.connections)


def said(text: bytes, opcode: Opcode = Opcode.TEXT) -> Connection:
    """A client that says one thing."""
    head = b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:8760\r\nUpgrade: websocket\r\nCookie: me\r\n\r\n"
    data = head + Frame(opcode, text).serialize(mask=True)
    return Connection(0, to_relay=Direction([(1.0, data)]))


def test_what_no_ledger_names_is_a_complaint_without_its_value() -> None:
    lesson = Lesson(LEDGER, URL)
    lesson.see(on_the_wire([said(b'{"type": "login", "who": "alice in the hat"}')] * 2))
    assert lesson.undeclared == ["http: request-header.cookie, 2 times", "json: login.who, 2 times"]
    assert "alice" not in str(lesson.learned)


@pytest.mark.parametrize("text", [b"no JSON", b"\xff\xfe", b"[1]", b'{"type": "login"'])
def test_what_is_no_message_teaches_nothing(text: bytes) -> None:
    fields = [field.place for field in on_the_wire([said(text), said(text, Opcode.BINARY)])]
    assert set(fields) == {Place.HTTP}
    assert traffic([said(text)]).connections[0].mode == "other"


def test_a_recording_that_is_none_is_passed_over() -> None:
    empty = Connection(1)
    assert [*on_the_wire([empty])] == []
    seen = traffic([empty])
    assert (seen.total, seen.connections, seen.envelopes) == (1, (), ())


def test_answers_of_plain_requests_are_learned_from() -> None:
    body = b'{"name": "blindpost relay", "limits": {"control_bytes": 65536}, "motd": "x"}'
    answers = [
        ("GET /v1/info", b"200 OK\r\ncontent-type: application/json\nx-powered-by: me\n\n" + body),
        ("POST /v1/info", b'405 Method Not Allowed\r\nallow: GET\n\n{"detail": "no"}'),
        ("GET /nowhere", b"404 Not Found\r\n\n"),
    ]
    lesson = Lesson(LEDGER, URL)
    lesson.see(in_answers(LEDGER, answers))
    assert lesson.undeclared == ["http: info.motd, 1 times", "http: response-header.x-powered-by, 1 times"]
    learned = {name: each for each in lesson.learned for name in each.fields}
    assert learned["GET /v1/info"].examples == ("GET /v1/info: 200 OK",)
    assert learned["info.limits.control_bytes"].examples == ("info.limits.control_bytes: 65536",)


def values() -> Iterator[tuple[Field, str]]:
    json = Place.JSON
    yield Field(json, "login.signature", "A" * 86), "AAAAAA… (86 characters)"
    yield Field(json, "error.message", "qwertzuiopasdfgh"), "qwertz… (16 characters)"
    yield Field(json, "error.code", "PLAINTEXT_SUSPECTED"), "PLAINTEXT_SUSPECTED"
    yield Field(json, "error.code", "no code " * 5), "no cod… (40 characters)"
    yield Field(json, "hello.origin", URL), URL
    yield Field(json, "hello.origin", "ws://alice-in-the-hat.example"), "ws://a… (29 characters)"
    yield Field(json, "relay_hello.time", 1_800_000_000), "2027-01-15 08:00:00 UTC"
    yield Field(json, "fetch.take", True), "true"
    yield Field(json, "appear.secrets", ["a" * 22]), "1 of them"
    yield Field(json, "welcome.stock", {"one_time": 3}), "an object"
    yield Field(json, "welcome.checkpoint", None), "nothing"
    yield Field(Place.FRAME, "put.envelope", bytes(1024)), "1024 bytes"
    yield Field(Place.FRAME, "put.mailbox", bytes(32)), "AAAAAA… (32 bytes)"
    yield Field(Place.FRAME, "websocket.close", b"\x03\xe8bye"), "code 1000"
    yield Field(Place.FRAME, "websocket.close", b""), "without a code"
    yield Field(Place.FRAME, "websocket.ping", b"text"), "4 bytes"


@pytest.mark.parametrize(
    ("field", "example"), [*values()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_values_are_shortened(field: Field, example: str) -> None:
    assert shown(field, URL) == example
