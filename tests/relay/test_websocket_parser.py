"""The parser by itself: what raw sockets do not show."""

import pytest

from relay.websocket.parser import BrokenError, Opcode, Parser
from tests.relay.raw_websocket import BINARY, CONT, PING, frame

MOST = 1000


def events(parser: Parser, data: bytes, at_a_time: int) -> list[object]:
    found: list[object] = []
    for at in range(0, len(data), at_a_time):
        parser.feed(data[at : at + at_a_time])
        for event in parser.events():
            found.append(event)
    return found


@pytest.mark.parametrize("at_a_time", [1, 7, 10_000])
def test_a_ping_within_the_largest_message_takes_none_of_its_room(at_a_time: int) -> None:
    data = frame(BINARY, bytes(MOST - 1), fin=False) + frame(PING, bytes(125)) + frame(CONT, b"x")
    assert events(Parser(MOST), data, at_a_time) == [
        (Opcode.PING, bytes(125)),
        (Opcode.BINARY, bytes(MOST - 1) + b"x"),
    ]


def test_parts_together_are_no_larger_than_a_message_may_be() -> None:
    with pytest.raises(BrokenError):
        events(Parser(MOST), frame(BINARY, bytes(MOST), fin=False) + frame(CONT, b"x"), 10_000)


def test_nothing_that_was_read_is_kept_while_nothing_comes() -> None:
    parser = Parser(MOST)
    events(parser, frame(BINARY, bytes(MOST)) * 50, 10_000)
    assert parser._data == b""
