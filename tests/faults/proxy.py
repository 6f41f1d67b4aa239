"""A bad network on loopback: TCP that is slow, in crumbs, one-way, cut after a byte, reset or half closed.

Owns its listening socket and both sockets of every connection through it. Knows no WebSocket: it counts
bytes from a connection's first one, in each direction. What it does can be changed while it runs.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Self

CHUNK: Final = 64 * 1024
_LINGER_NOT: Final = struct.pack("ii", 1, 0)  # closing sends RST, and what was not sent is dropped


class Way(Enum):
    """Which bytes are meant."""

    UP = "up"  # from the client to the relay
    DOWN = "down"


class How(Enum):
    """How a connection ends."""

    CLOSE = "close"  # FIN both ways: each side has got what was let through
    RESET = "reset"  # RST both ways
    HALF = "half"  # FIN one way, and silence; the other way goes on


@dataclass(frozen=True)
class Cut:
    """End a connection once exactly `offset` bytes have passed one way."""

    way: Way
    offset: int
    how: How


@dataclass
class Weather:
    """What happens to bytes that pass; may be changed at any time."""

    delay: float = 0.0  # seconds for each chunk
    chunk: int = CHUNK  # bytes passed on at a time
    stalled: set[Way] = field(default_factory=set)  # nothing passes this way


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: "Proxy", client: asyncio.StreamWriter, cut: Cut | None) -> None:
        self._proxy = proxy
        self._client = client
        self._relay: asyncio.StreamWriter | None = None
        self.cut = cut
        self.passed = dict.fromkeys(Way, 0)

    async def run(self, reader: asyncio.StreamReader, port: int) -> None:
        """Pass bytes both ways until both sides have ended, or it is cut."""
        try:
            from_relay, self._relay = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # the relay is away: whoever dialled is told by a reset
            self.end(How.RESET)
            return
        up = asyncio.create_task(self._pass(Way.UP, reader, self._relay))
        down = asyncio.create_task(self._pass(Way.DOWN, from_relay, self._client))
        try:
            await asyncio.wait((up, down))
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self.end(How.CLOSE)

    async def _pass(self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        cut = self.cut if self.cut is not None and self.cut.way is way else None
        with contextlib.suppress(OSError):
            while True:
                if cut is not None and self.passed[way] >= cut.offset:
                    self._cut(cut, sink)
                    return
                await self._proxy.let_through(way)
                room = self._proxy.weather.chunk
                if cut is not None:
                    room = min(room, cut.offset - self.passed[way])
                data = await source.read(room)
                if not data:
                    sink.write_eof()
                    return
                if self._proxy.weather.delay:
                    await asyncio.sleep(self._proxy.weather.delay)
                await self._proxy.let_through(way)
                sink.write(data)
                await sink.drain()
                self.passed[way] += len(data)

    def _cut(self, cut: Cut, sink: asyncio.StreamWriter) -> None:
        self._proxy.happened[f"cut {cut.way.value} {cut.how.value}"] += 1
        self._proxy.cuts_done.set()
        if cut.how is How.HALF:
            sink.write_eof()
        else:
            self.end(cut.how)

    def end(self, how: How) -> None:
        """End both sides; again is fine."""
        for writer in (self._client, self._relay):
            if writer is None:
                continue
            if how is How.RESET:
                raw = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """Listens on a port of its own while it is entered, and passes on to `target`."""

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.port = port
        self.weather = Weather()
        self.plan: deque[Cut | None] = deque()  # for the connections to come; None lets one be
        self.links: list[Link] = []  # oldest first
        self.happened: Counter[str] = Counter()
        self.cuts_done = asyncio.Event()
        self.accepted = 0

    @property
    def origin(self) -> str:
        """How a client dials it."""
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.end_all(How.RESET)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        link = Link(self, writer, self.plan.popleft() if self.plan else None)
        self.links.append(link)
        try:
            await link.run(reader, self._target)
        except asyncio.CancelledError:  # the proxy is closed, and asyncio would complain of its own callback
            link.end(How.RESET)
        finally:
            self.links.remove(link)
            self._tasks.discard(task)

    async def let_through(self, way: Way) -> None:
        """Wait while this way is stalled."""
        while way in self.weather.stalled:
            self._changed.clear()
            await self._changed.wait()

    def set_weather(self, weather: Weather) -> None:
        """From now on, for all connections."""
        self.weather = weather
        self._changed.set()

    def end_all(self, how: How) -> int:
        """End every connection that there is; how many there were."""
        count = len(self.links)
        for link in list(self.links):
            link.end(how)
        return count
