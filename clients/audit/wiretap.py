"""A tap on the way to a relay: passes bytes on, both ways, and keeps them.

Owns the recording and its reading as WebSocket messages. It sees what the relay sees after TLS: clients speak
to it without, or it ends their TLS. Knows nothing of what messages say.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.streams import StreamReader

READ: Final = 65_536  # bytes at a time
HEAD_END: Final = b"\r\n\r\n"
MESSAGE_MAX: Final = 1 << 20  # bytes of one message: more is no relay's
KEPT_MAX: Final = 512 * 1024 * 1024  # bytes of all that is kept: more is a tap left running, not an audit


@dataclass(slots=True)
class Direction:
    """Bytes one way, as they came: `pieces` are (seconds of the loop, bytes)."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(piece for _, piece in self.pieces)


@dataclass(slots=True)
class Connection:
    """One connection through the tap."""

    number: int
    to_relay: Direction = field(default_factory=Direction)
    from_relay: Direction = field(default_factory=Direction)


@dataclass(frozen=True, slots=True)
class Message:
    """One WebSocket message, unmasked: a text, a binary frame, or a control frame's payload."""

    opcode: Opcode
    payload: bytes


class NotReadError(Exception):
    """A recording is no WebSocket; what it is, is searched as bytes all the same."""


def _parsed(data: bytes, *, is_masked: bool) -> Generator[None, None, list[Message]]:
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found: list[Message] = []
    whole, kind = b"", Opcode.TEXT
    while not (yield from reader.at_eof()):
        frame = yield from Frame.parse(reader.read_exact, mask=is_masked, max_size=MESSAGE_MAX)
        if frame.opcode not in DATA_OPCODES:
            found.append(Message(frame.opcode, bytes(frame.data)))
            continue
        if frame.opcode is not Opcode.CONT:
            whole, kind = b"", frame.opcode
        whole += frame.data
        if frame.fin:
            found.append(Message(kind, whole))
    return found


def messages(direction: Direction, *, is_masked: bool) -> list[Message]:
    """The messages behind the request or its answer; those of clients are masked. Raises NotReadError.

    A connection that was cut in the middle of a frame has all of the frames before.
    """
    head, separator, rest = direction.data.partition(HEAD_END)
    if not separator:
        raise NotReadError(f"{len(head)} bytes without the end of a head")
    parsing = _parsed(rest, is_masked=is_masked)
    try:
        next(parsing)
    except StopIteration as end:
        found: list[Message] = end.value
        return found
    except (ProtocolError, PayloadTooBig, EOFError) as error:
        raise NotReadError(str(error)) from None
    raise NotReadError("it ends in the middle")


class Wiretap:
    """What went through, by connection. `open_tap` makes one; `proxy` is the URL that clients are given."""

    def __init__(self) -> None:
        self.proxy = ""
        self.connections: list[Connection] = []
        self.kept = 0
        self.overflowed = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client: pass everything on until one side ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(len(self.connections))
        self.connections.append(connection)
        try:
            relay_reader, relay_writer = await self._connected(reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()
            self._tasks.discard(task)
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, relay_writer, connection.to_relay))
                both.create_task(self._pass_on(relay_reader, writer, connection.from_relay))
        finally:
            for each in (writer, relay_writer):
                each.close()
            self._tasks.discard(task)

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Where a client asks to be connected to (RFC 9110, 9.3.6). Raises ValueError for no such request."""
        head = await reader.readuntil(HEAD_END)
        method, target, _ = head.split(b"\r\n")[0].decode("ascii").split(" ")
        host, _, port = target.rpartition(":")
        if method != "CONNECT":
            raise ValueError("no CONNECT")
        found = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        return found

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while piece := await reader.read(READ):
                if self.kept + len(piece) > KEPT_MAX:
                    self.overflowed = True
                else:
                    self.kept += len(piece)
                    direction.pieces.append((loop.time(), piece))
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    async def end(self) -> None:
        """End every connection, and wait until each has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def seen(self) -> Iterator[tuple[str, bytes]]:
        """(where, bytes) of everything: raw, and unmasked messages one after another without their heads."""
        for connection in self.connections:
            for name, direction, is_masked in (
                ("to the relay", connection.to_relay, True),
                ("from the relay", connection.from_relay, False),
            ):
                where = f"connection {connection.number}, {name}"
                yield where, direction.data
                with contextlib.suppress(NotReadError):
                    found = messages(direction, is_masked=is_masked)
                    yield f"{where}, messages", b"".join(message.payload for message in found)


@contextlib.asynccontextmanager
async def open_tap() -> AsyncIterator[Wiretap]:
    """A tap on 127.0.0.1, which connects its clients to wherever they ask for, and listens."""
    tap = Wiretap()
    server = await asyncio.start_server(tap.taken, "127.0.0.1", 0)
    tap.proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tap
    finally:
        server.close()
        await tap.end()
        await server.wait_closed()
