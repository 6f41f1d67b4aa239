"""Bytes in any pieces read as what they are, up to where they are nothing any more."""

import os

import pytest
from websockets.frames import Frame, Opcode

from clients.audit.tap.reading import (
    BODY_MAX,
    HEAD_MAX,
    MESSAGE_MAX,
    Body,
    Head,
    Item,
    Message,
    NotReadError,
    Reading,
)

UPGRADE = b"GET /v1/ws?a=b HTTP/1.1\r\nHost: relay\r\nUpgrade: WebSocket\r\n\r\n"
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
INFO = b"GET /v1/info HTTP/1.1\r\nHost: relay\r\n\r\n"


def read(data: bytes, *, is_client: bool, size: int = 1 << 20) -> list[Item]:
    reading = Reading(is_client=is_client)
    return [item for at in range(0, len(data), size) for item in reading.feed(data[at : at + size])]


def text(data: bytes, *, mask: bool, fin: bool = True, opcode: Opcode = Opcode.TEXT) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=mask)


@pytest.mark.parametrize("size", [1, 13, 1 << 20])
def test_a_websocket_behind_a_plain_request(size: int) -> None:
    parts = text(b"he", mask=True, fin=False) + text(b"llo", mask=True, opcode=Opcode.CONT)
    ping = text(b"p", mask=True, opcode=Opcode.PING)
    found = read(INFO + UPGRADE + parts + ping + text(b"cut", mask=True)[:-1], is_client=True, size=size)
    assert [item.first for item in found if isinstance(item, Head)] == [
        "GET /v1/info HTTP/1.1",
        "GET /v1/ws?a=b HTTP/1.1",
    ]
    assert found[2:] == [Message(Opcode.TEXT, b"hello"), Message(Opcode.PING, b"p")]


def test_answers_with_a_body_of_a_length_or_up_to_the_end() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    found = read(first + ACCEPTED + text(b"x", mask=False), is_client=False)
    assert [item for item in found if not isinstance(item, Head)] == [
        Body(b"abc"),
        Message(Opcode.TEXT, b"x"),
    ]
    whole = read(b"HTTP/1.0 200 OK\r\n\r\n" + b"abc" * 9, is_client=False, size=9)
    assert b"".join(item.data for item in whole if isinstance(item, Body)) == b"abc" * 9
    # Whoever is refused a WebSocket hears HTTP.
    refused = read(b"HTTP/1.1 503 No\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", is_client=False)
    assert [type(item) for item in refused] == [Head]


@pytest.mark.parametrize(
    ("data", "is_client"),
    [
        (b"x" * (HEAD_MAX + 1), True),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_MAX + b"\r\n\r\n", True),
        (f"POST / HTTP/1.1\r\nContent-Length: {BODY_MAX + 1}\r\n\r\n".encode(), True),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", True),
        (UPGRADE + b"\x81\xff" + (1 << 62).to_bytes(8) + bytes(4), True),
        (UPGRADE + text(b"not masked", mask=False), True),
        (UPGRADE + b"\xa1\x80" + bytes(4), True),  # a reserved bit
        (ACCEPTED + b"\xff\xff\xff\xff", False),
        (ACCEPTED + text(bytes(MESSAGE_MAX), mask=False, fin=False)
         + text(b"more", mask=False, opcode=Opcode.CONT), False),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_once(data: bytes, is_client: bool) -> None:
    reading = Reading(is_client=is_client)
    with pytest.raises(NotReadError):
        reading.feed(data)
    assert reading.feed(os.urandom(100)) == []
    assert reading.failed
