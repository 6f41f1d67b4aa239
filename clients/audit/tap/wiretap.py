"""A tap on the way to a relay: passes bytes on, both ways, and keeps them or hands them to whoever listens.

Owns the sockets, their deadlines and limits. It sees what the relay sees after TLS: clients speak to it
without, or it ends their TLS and begins its own. Two ways lead through it, and the first bytes tell which:

    CONNECT relay:port      an HTTP proxy (RFC 9110, 9.3.6): what `BLINDPOST_PROXY` names
    GET /v1/ws              the tap is dialled as if it were the relay, where it stands before a certain one

Knows nothing of what messages say.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from typing import TYPE_CHECKING, Final

from clients.audit.tap.loss import Loss
from clients.audit.tap.reading import HEAD_END, HEAD_MAX, Item, Message, NotReadError, Reading
from clients.audit.tap.transcript import PIECE_MAX, Closed, Event, Opened, Piece
from clients.tunnel import ProxyRefused, connect

if TYPE_CHECKING:
    from clients.audit.tap.interception import Upstream

KEPT_MAX: Final = 512 * 1024 * 1024  # bytes of all that is kept: more is a tap left running, not an audit
CONNECTIONS_MAX: Final = 256  # at a time
HEAD_WITHIN: Final = 10.0  # seconds
DIAL_WITHIN: Final = 10.0  # TLS included
IDLE_MAX: Final = 300.0  # without a byte in either direction: a WebSocket pings more often
CLOSE_WITHIN: Final = 2.0
ESTABLISHED: Final = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass(slots=True)
class Direction:
    """Bytes one way, as they came: `pieces` are (seconds of the loop, bytes)."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(piece for _, piece in self.pieces)

    def items(self, *, is_client: bool) -> list[Item]:
        """Heads, messages and bodies, up to where it cannot be read on."""
        reading = Reading(is_client=is_client)
        try:
            return reading.feed(self.data)
        except NotReadError:
            return reading.rest()


@dataclass(slots=True)
class Connection:
    """One connection through the tap. `began` and `ended` are seconds of the loop."""

    number: int
    target: str = ""
    began: float = 0.0
    ended: float | None = None
    to_relay: Direction = field(default_factory=Direction)
    from_relay: Direction = field(default_factory=Direction)

    def events(self) -> Iterator[Event]:
        """What happened on it, in order."""
        yield Opened(self.began, self.number, self.target)
        for to_relay, at, piece in merge(
            ((True, *each) for each in self.to_relay.pieces),
            ((False, *each) for each in self.from_relay.pieces),
            key=lambda each: each[1],
        ):
            yield Piece(at, self.number, to_relay, piece)
        if self.ended is not None:
            yield Closed(self.ended, self.number)


def messages(direction: Direction, *, is_masked: bool) -> list[Message]:
    """The messages behind the request or its answer; those of clients are masked. Raises NotReadError.

    A connection that was cut in the middle of a frame has all of the frames before.
    """
    reading = Reading(is_client=is_masked)
    found = reading.feed(direction.data)
    if not reading.is_websocket:
        raise NotReadError("no WebSocket begins here")
    return [item for item in found if isinstance(item, Message)]


class _Refused(Exception):
    """A client gets no further: with this status, for this reason."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


class Wiretap:
    """What went through, by connection. `open_tap` makes one; `proxy` is the URL that clients are given.

    With a `listener` each event is handed over as it happens, and nothing is kept here. With a `loss`, what
    it takes away was said by the relay, and is kept, but does not reach its client.
    """

    def __init__(
        self, upstream: "Upstream | None" = None, listener: Callable[[Event], None] | None = None
    ) -> None:
        self.proxy = ""
        self.connections: list[Connection] = []
        self._by_number: dict[int, Connection] = {}
        self.kept = 0
        self.overflowed = False
        self.loss: Loss | None = None
        self._upstream = upstream
        self._listener = listener or self._keep
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more client."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass everything on until one side ends, or nothing comes for long."""
        number, self._numbers = self._numbers, self._numbers + 1
        why, is_orderly = "it ended before it was connected", False
        try:
            relay = await self._connected(number, reader, writer)
            try:
                why = ""
                await self._both_ways(number, (reader, writer), relay)
                is_orderly = True
            finally:
                await _close(relay[1], is_orderly)
        except _Refused as refusal:
            why, is_orderly = str(refusal), True
            writer.write(f"HTTP/1.1 {refusal.status}\r\nConnection: close\r\n\r\n".encode())
        except TimeoutError:
            why = f"nothing came for {IDLE_MAX:.0f} s"
        except (OSError, EOFError):
            pass
        finally:
            try:
                self._listener(Closed(asyncio.get_running_loop().time(), number, why))
            finally:
                await _close(writer, is_orderly)

    async def _connected(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The other side of a client that is let through. Raises _Refused, OSError or EOFError."""
        loop, head, target = asyncio.get_running_loop(), b"", ""
        try:
            if len(self._tasks) > CONNECTIONS_MAX:
                raise _Refused(
                    "503 Service Unavailable", f"more than {CONNECTIONS_MAX} connections at a time"
                )
            head = await _head(reader)
            target = _target(head)
            host, port = self._place(target)
        finally:
            self._listener(Opened(loop.time(), number, target))
        found = await self._dialled(host, port)
        try:
            if target:
                writer.write(ESTABLISHED)
                if self._upstream is not None and self._upstream.inward is not None:
                    await writer.start_tls(self._upstream.inward, ssl_handshake_timeout=DIAL_WITHIN)
            else:
                await self._pass_piece(number, head, found[1], to_relay=True)
        except BaseException:
            await _close(found[1], False)
            raise
        return found

    def _place(self, target: str) -> tuple[str, int]:
        """Where a client is let through to. Raises _Refused."""
        relay = None if self._upstream is None else self._upstream.relay
        if not target:
            if relay is None:
                raise _Refused("405 Method Not Allowed", "it asked for no CONNECT")
            return relay.host, relay.port
        host, _, port = target.rpartition(":")
        host = host.strip("[]").lower()
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
            raise _Refused("400 Bad Request", "it asked for no host and port")
        if relay is not None and (host, int(port)) != (relay.host, relay.port):
            raise _Refused("403 Forbidden", f"it asked for {target}, which is not the relay")
        return host, int(port)

    async def _dialled(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to there. Raises _Refused."""
        try:
            async with asyncio.timeout(DIAL_WITHIN):
                if self._upstream is not None:
                    return await connect(self._upstream.relay, self._upstream.route, tls=True)
                return await asyncio.open_connection(host, port, limit=PIECE_MAX)
        except ssl.SSLCertVerificationError as error:
            why = f"the relay's certificate cannot be verified ({error.verify_message})"
        except ProxyRefused:
            why = "the proxy before the relay does not connect"
        except (OSError, UnicodeError) as error:
            why = f"the relay cannot be reached ({type(error).__name__})"
        raise _Refused("502 Bad Gateway", why)

    async def _both_ways(
        self,
        number: int,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        relay: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(IDLE_MAX) as idle, asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(number, client[0], relay[1], idle, to_relay=True))
            both.create_task(self._pass_on(number, relay[0], client[1], idle, to_relay=False))

    async def _pass_on(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        idle: asyncio.Timeout,
        *,
        to_relay: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE_MAX):
                if not idle.expired():
                    idle.reschedule(loop.time() + IDLE_MAX)
                await self._pass_piece(number, piece, writer, to_relay=to_relay)
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()
            else:
                writer.close()  # TLS has no half of a connection

    async def _pass_piece(
        self, number: int, piece: bytes, writer: asyncio.StreamWriter, *, to_relay: bool
    ) -> None:
        if self.loss is not None and not to_relay:
            passed_on = self.loss.passed_on(number, self._by_number[number].from_relay.data, piece)
        else:
            passed_on = piece
        self._listener(Piece(asyncio.get_running_loop().time(), number, to_relay, piece))
        writer.write(passed_on)
        await writer.drain()

    def _keep(self, event: Event) -> None:
        """In memory, up to KEPT_MAX."""
        match event:
            case Opened(at=at, connection=number, target=target):
                self._by_number[number] = Connection(number, target, at)
                self.connections.append(self._by_number[number])
            case Closed(at=at, connection=number):
                self._by_number[number].ended = at
            case Piece(at=at, connection=number, to_relay=to_relay, data=data):
                if self.kept + len(data) > KEPT_MAX:
                    self.overflowed = True
                    return
                self.kept += len(data)
                found = self._by_number[number]
                (found.to_relay if to_relay else found.from_relay).pieces.append((at, data))

    async def end(self) -> None:
        """End every connection, and wait until each has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def events(self) -> Iterator[Event]:
        """What was kept, in the order in which it happened."""
        return merge(*(each.events() for each in self.connections), key=lambda event: event.at)

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


async def _head(reader: asyncio.StreamReader) -> bytes:
    """A request's head. Raises _Refused, or EOFError."""
    try:
        async with asyncio.timeout(HEAD_WITHIN):
            return await reader.readuntil(HEAD_END)
    except TimeoutError:
        raise _Refused("408 Request Timeout", f"no whole request came within {HEAD_WITHIN:.0f} s") from None
    except asyncio.LimitOverrunError:
        raise _Refused("431 Request Header Fields Too Large", "its request was too long") from None


def _target(head: bytes) -> str:
    """What a CONNECT asks for; "" for any other request that HTTP knows. Raises _Refused."""
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].isascii():
        raise _Refused("400 Bad Request", "it sent no HTTP request")
    return words[1] if words[0] == "CONNECT" else ""


async def _close(writer: asyncio.StreamWriter, is_orderly: bool) -> None:
    """With what was written, where that goes quickly; else at once."""
    try:
        if is_orderly:
            writer.close()
            async with asyncio.timeout(CLOSE_WITHIN):
                await writer.wait_closed()
    except OSError:
        pass
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def open_tap(
    upstream: "Upstream | None" = None,
    listener: Callable[[Event], None] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Wiretap]:
    """A tap that listens. Without `upstream` it connects its clients to wherever they ask for."""
    tap = Wiretap(upstream, listener)
    server = await asyncio.start_server(tap.take, host, port, limit=HEAD_MAX)
    taken = server.sockets[0].getsockname()
    place = f"[{taken[0]}]" if ":" in taken[0] else taken[0]
    tap.proxy = f"http://{place}:{taken[1]}"
    try:
        yield tap
    finally:
        server.close()
        await tap.end()
        await server.wait_closed()
