"""RFC 6455 sections 5 to 8: framing by raw socket against the real relay, each case with its section."""

import json
import os

import pytest

from tests.relay.raw_websocket import (
    BINARY,
    CLOSE,
    CONT,
    END,
    PING,
    PONG,
    TEXT,
    Heard,
    RawSocket,
    announced,
    close_payload,
    frame,
    opened,
)
from tests.support.relay_process import RelayProcess
from wire import control
from wire.frames import FRAME_MAX
from wire.login import Mode

pytestmark = pytest.mark.usefixtures("quiet")


async def hello(socket: RawSocket, relay: RelayProcess) -> None:
    """Become a submit connection, so that what is said is judged and the connection goes on."""
    said = control.Hello(mode=Mode.SUBMIT, version=1, origin=relay.origin, nonce=os.urandom(32))
    socket.send(frame(TEXT, said.encode().encode()))
    assert (await socket.next()).opcode == TEXT


async def answered(socket: RawSocket) -> str:
    """The code of the relay's error message."""
    heard = await socket.next()
    assert heard.opcode == TEXT, heard
    return str(json.loads(heard.payload)["code"])


BROKEN = {
    "5.1 a client masks": (frame(PING, b"x", mask=False), 1002),
    "5.1 a client masks text too": (frame(TEXT, b"{}", mask=False), 1002),
    "5.1 and what is empty": (frame(TEXT, mask=False), 1002),
    "5.2 RSV1 without an extension": (frame(TEXT, b"{}", rsv=4), 1002),
    "5.2 RSV2 without an extension": (frame(TEXT, b"{}", rsv=2), 1002),
    "5.2 RSV3 without an extension": (frame(BINARY, b"{}", rsv=1), 1002),
    "5.2 RSV in a control frame": (frame(PING, rsv=4), 1002),
    **{f"5.2 opcode {code} is reserved": (frame(code), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "5.2 a length of 2^63": (announced(BINARY, 2**63), 1009),
    "5.2 a length of 2^64 - 1": (announced(TEXT, 2**64 - 1), 1009),
    "5.4 a continuation of nothing": (frame(CONT, b"x"), 1002),
    "5.4 an open continuation of nothing": (frame(CONT, b"x", fin=False), 1002),
    "5.4 text inside a fragmented text": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "5.4 binary inside a fragmented text": (frame(TEXT, b"{", fin=False) + frame(BINARY, b"}"), 1002),
    "5.4 a continuation after the last part": (frame(PONG) + frame(CONT), 1002),
    "5.5 a fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "5.5 a fragmented close": (frame(CLOSE, close_payload(1000), fin=False), 1002),
    "5.5 a ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "5.5 a pong of 126 bytes": (frame(PONG, bytes(126)), 1002),
    "5.5 a close of 126 bytes": (frame(CLOSE, close_payload(1000, b"a" * 124)), 1002),
    "5.5 a ping that says it is endless": (announced(PING, 2**62), 1002),
    "5.5.1 a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "8.1 a reason that is not UTF-8": (frame(CLOSE, close_payload(1000, b"\xff\xfe")), 1007),
    **{
        f"7.4.1 close code {code} is never sent": (frame(CLOSE, close_payload(code)), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "7.4.1 a text over the limit, before it has come": (announced(TEXT, FRAME_MAX + 65), 1009),
    "7.4.1 a frame of 2^62 bytes, before it has come": (announced(BINARY, 2**62), 1009),
    "5.4 parts that are together over the limit": (
        frame(BINARY, bytes(40_000), fin=False) + announced(CONT, 40_000),
        1009,
    ),
}

WRONG_TEXT = {
    "8.1 a byte that never occurs": b"{\xff}",
    "8.1 an overlong form": b"{\xc0\xaf}",
    "8.1 a surrogate": b"{\xed\xa0\x80}",
    "8.1 above U+10FFFF": b"{\xf4\x90\x80\x80}",
    "8.1 cut within a character": b"{\xe2\x82",
    "8.1 a continuation byte alone": b"{\x80}",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_breaks_the_framing_fails_the_connection(relay: RelayProcess, name: str) -> None:
    said, code = BROKEN[name]
    async with opened(relay) as socket:
        socket.send(said, frame(PING, b"after"))  # what follows is not heard (7.1.7)
        assert (await socket.next()).close_code == code
        assert await socket.next() == END


@pytest.mark.parametrize("name", WRONG_TEXT)
@pytest.mark.parametrize("parts", [1, 2, 4])
async def test_text_that_is_not_utf_8_fails_the_connection(
    relay: RelayProcess, name: str, parts: int
) -> None:
    text = WRONG_TEXT[name]
    step = -(-len(text) // parts)
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    async with opened(relay) as socket:
        for number, piece in enumerate(pieces):
            socket.send(frame(CONT if number else TEXT, piece, fin=number == len(pieces) - 1))
        assert (await socket.next()).close_code == 1007
        assert await socket.next() == END


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
async def test_a_close_is_answered_with_its_code(relay: RelayProcess, code: int) -> None:
    """5.5.1 and 7.4; the server then closes the connection first (7.1.1)."""
    async with opened(relay) as socket:
        socket.send(frame(CLOSE, close_payload(code, "grüße".encode())))
        assert (await socket.next()).close_code == code
        assert await socket.next() == END


async def test_an_empty_close_is_answered_with_an_empty_one(relay: RelayProcess) -> None:
    """5.5.1: without a body there is no code to send back."""
    async with opened(relay) as socket:
        socket.send(frame(CLOSE))
        assert await socket.next() == Heard(CLOSE, b"")
        assert await socket.next() == END


async def test_nothing_is_heard_after_a_close(relay: RelayProcess) -> None:
    """1.4 and 5.5.1."""
    async with opened(relay) as socket:
        socket.send(frame(CLOSE, close_payload(1000)), frame(PING, b"late"), frame(TEXT, b"late"))
        assert (await socket.next()).close_code == 1000
        assert await socket.next() == END


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff\xfe", bytes(125)], ids=len)
async def test_a_ping_is_answered_with_its_bytes(relay: RelayProcess, payload: bytes) -> None:
    """5.5.2 and 5.5.3."""
    async with opened(relay) as socket:
        socket.send(frame(PING, payload))
        assert await socket.next() == Heard(PONG, payload)


async def test_pings_are_answered_in_order(relay: RelayProcess) -> None:
    """5.5.3: all of them here, though the last alone would do."""
    async with opened(relay) as socket:
        socket.send(*(frame(PING, bytes([number])) for number in range(50)))
        assert [(await socket.next()).payload for _ in range(50)] == [bytes([n]) for n in range(50)]


async def test_a_pong_that_nobody_asked_for_is_ignored(relay: RelayProcess) -> None:
    """5.5.3."""
    async with opened(relay) as socket:
        socket.send(frame(PONG, b"unasked"), frame(PONG), frame(PING, b"still there?"))
        assert await socket.next() == Heard(PONG, b"still there?")


async def test_frames_that_come_byte_by_byte(relay: RelayProcess) -> None:
    """5.2: a frame is no packet."""
    async with opened(relay) as socket:
        for byte in frame(PING, b"slowly"):
            socket.send(bytes([byte]))
            await socket.writer.drain()
        assert await socket.next() == Heard(PONG, b"slowly")


async def test_a_message_in_parts_with_control_frames_between_them(relay: RelayProcess) -> None:
    """5.4: fragments, each masked anew, and control frames in the middle, which are answered first."""
    async with opened(relay) as socket:
        await hello(socket, relay)
        text = '{"type":"watch","ref":1,"capability":"ü"}'.encode()
        at = text.index(b"\xc3") + 1  # in the middle of a character (8.1)
        socket.send(frame(TEXT, text[:at], fin=False), frame(PING, b"1"), frame(CONT, b"", fin=False))
        socket.send(frame(PONG), frame(PING, b"2"), frame(CONT, text[at:]))
        assert await socket.next() == Heard(PONG, b"1")
        assert await socket.next() == Heard(PONG, b"2")
        assert await answered(socket) == "BAD_REQUEST"  # read as one message: the capability is wrong


async def test_a_message_in_a_thousand_parts(relay: RelayProcess) -> None:
    """5.4: an endpoint must be able to take fragments; 1024 are the bound here (10.4)."""
    async with opened(relay) as socket:
        await hello(socket, relay)
        text = b'{"type":"none"}'.ljust(1000)
        last = len(text) - 1
        socket.send(*(frame(CONT if n else TEXT, text[n : n + 1], fin=n == last) for n in range(len(text))))
        assert await answered(socket) == "BAD_REQUEST"


async def test_more_parts_than_a_message_may_have(relay: RelayProcess) -> None:
    """10.4: empty parts cost memory and count for no size."""
    async with opened(relay) as socket:
        socket.send(frame(TEXT, fin=False), frame(CONT, fin=False) * 2000)
        assert (await socket.next()).close_code == 1009
        assert await socket.next() == END


async def test_the_empty_messages(relay: RelayProcess) -> None:
    """5.6: no payload is a message too."""
    async with opened(relay) as socket:
        await hello(socket, relay)
        socket.send(frame(TEXT), frame(BINARY), frame(TEXT, fin=False) + frame(CONT))
        assert [await answered(socket) for _ in range(3)] == ["BAD_REQUEST", "BAD_FRAME", "BAD_REQUEST"]


async def test_a_mask_of_zeros_and_each_frame_its_own(relay: RelayProcess) -> None:
    """5.3: any key is a key."""
    async with opened(relay) as socket:
        zero = bytes([0x80 | PING, 0x81]) + bytes(4) + b"x"
        socket.send(zero, frame(PING, b"y"))
        assert [(await socket.next()).payload for _ in range(2)] == [b"x", b"y"]


async def test_the_largest_message_passes_the_framing(relay: RelayProcess) -> None:
    """7.4.1: one byte below the limit is judged by the protocol above."""
    async with opened(relay) as socket:
        await hello(socket, relay)
        socket.send(frame(BINARY, bytes(FRAME_MAX + 64)))
        assert await answered(socket) == "TOO_LARGE"


@pytest.mark.parametrize("length", [16, 64])
async def test_a_length_in_more_bytes_than_it_needs_is_taken(relay: RelayProcess, length: int) -> None:
    """5.2 asks senders for the least number of bytes and does not say what receivers do: it is harmless."""
    async with opened(relay) as socket:
        socket.send(frame(BINARY, b"", length=length), frame(PING, b"x"))
        heard = [await socket.next() for _ in range(2)]
        assert Heard(PONG, b"x") in heard


async def test_a_close_inside_a_fragmented_message_ends_it(relay: RelayProcess) -> None:
    """5.4 allows it; the library answers that the message is incomplete. Either way nothing follows."""
    async with opened(relay) as socket:
        socket.send(frame(TEXT, b"{", fin=False), frame(CLOSE, close_payload(1000)))
        assert (await socket.next()).close_code in (1000, 1002)
        assert await socket.next() == END
