"""Sizes and times: what whoever watches the wire sees of a run, beside what the fields say.

Owns the count of connections, messages and frames. Knows nothing of what they hold, but a connection's kind.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Final

from websockets.frames import Opcode

from clients.audit.reporting.report import LIST_MAX, ConnectionSeen, Size, Traffic, Way
from clients.audit.tap.reading import Message
from clients.audit.tap.wiretap import Connection, Direction
from wire.control import Hello, decode_client_message
from wire.errors import WireError
from wire.frames import DELIVER_HEADER, PUT_HEADER
from wire.limits import BUCKETS

MESSAGE_SIZES: Final = tuple(64 << k for k in range(11))  # bytes: up to 64 KiB
_LARGER: Final = 1 << 53


def _messages(direction: Direction, *, is_client: bool) -> list[Message]:
    return [item for item in direction.items(is_client=is_client) if isinstance(item, Message)]


def _mode(said: Sequence[Message]) -> str:
    """What the client called the connection in its first message."""
    if said and said[0].opcode is Opcode.TEXT:
        try:
            first = decode_client_message(said[0].payload.decode("utf-8", "replace"))
        except WireError:
            return "other"
        if isinstance(first, Hello):
            return first.mode.value
    return "other"


def _way(direction: Direction, found: Sequence[Message]) -> Way:
    kinds = Counter(message.opcode for message in found)
    size = sum(len(piece) for _, piece in direction.pieces)
    return Way(bytes=size, messages=kinds[Opcode.TEXT], frames=kinds[Opcode.BINARY])


def _bounds(sizes: Sequence[int], bounds: Sequence[int]) -> Counter[int]:
    return Counter(next((bound for bound in bounds if size <= bound), _LARGER) for size in sizes)


def _histogram(to_relay: Sequence[int], from_relay: Sequence[int], bounds: Sequence[int]) -> tuple[Size, ...]:
    """Every bound up to the last one that is used."""
    ways = _bounds(to_relay, bounds), _bounds(from_relay, bounds)
    last = max(chain(*ways), default=0)
    shown = [bound for bound in (*bounds, _LARGER) if bound <= last]
    return tuple(
        Size(bytes=min(bound, 2**53 - 1), to_relay=ways[0][bound], from_relay=ways[1][bound])
        for bound in shown
    )


def traffic(connections: Sequence[Connection]) -> Traffic:
    """All connections, the first ones with their times, and the sizes of everything."""
    seen: list[ConnectionSeen] = []
    sizes: dict[tuple[int, bool], list[int]] = {
        (opcode, is_up): [] for opcode in (Opcode.TEXT, Opcode.BINARY) for is_up in (True, False)
    }
    times = [[time for time, _ in chain(c.to_relay.pieces, c.from_relay.pieces)] for c in connections]
    begin = min(chain(*times), default=0.0)
    for connection, when in zip(connections, times, strict=True):
        up = _messages(connection.to_relay, is_client=True)
        down = _messages(connection.from_relay, is_client=False)
        for found, is_up, header in ((up, True, PUT_HEADER), (down, False, DELIVER_HEADER)):
            for message in found:
                if message.opcode in (Opcode.TEXT, Opcode.BINARY):
                    of_header = header if message.opcode is Opcode.BINARY else 0
                    sizes[message.opcode, is_up].append(len(message.payload) - of_header)
        if when and len(seen) < LIST_MAX:
            seen.append(
                ConnectionSeen(
                    mode=_mode(up),
                    opened=min(when) - begin,
                    lasted=max(when) - min(when),
                    to_relay=_way(connection.to_relay, up),
                    from_relay=_way(connection.from_relay, down),
                )
            )
    return Traffic(
        total=len(connections),
        connections=tuple(seen),
        envelopes=_histogram(sizes[Opcode.BINARY, True], sizes[Opcode.BINARY, False], BUCKETS),
        messages=_histogram(sizes[Opcode.TEXT, True], sizes[Opcode.TEXT, False], MESSAGE_SIZES),
    )
