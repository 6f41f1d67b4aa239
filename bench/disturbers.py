"""Who disturbs the others: `python -m bench.disturbers KIND URL`, a process of its own.

Each kind prepares itself and prints a line. From then on it reads `on` and `off` from stdin, and prints a
line when that is done. What it keeps doing in between is the disturbance.
"""

import abc
import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Iterable
from contextlib import AsyncExitStack
from typing import Final

from bench.raw_peer import Closed, RawPeer
from bench.relay_load import TOKEN, Pair, make_pairs, put_all, register
from clients.connection import Disconnected, RelayConnection, dial
from wire.addresses import RelayUrl
from wire.control import Accepted, Acknowledge, Attach, Pull
from wire.frames import Deliver, Put
from wire.login import Mode

DEAF: Final = 200
SLOW: Final = 50
FRAMES, SIZE = 20, 65_536  # in the mailbox of each reader: more than may be unacknowledged
SENDERS: Final = 1000
HOT_RATE: Final = 300.0  # frames a second, of all senders together
FLOODERS: Final = 4
FLOOD_RATE: Final = 400.0  # frames of 64 KiB a second, in all: what one address may put in the long run
FLOOD_WINDOW: Final = 16  # frames of 64 KiB on their way at a time, of each: as fast as the relay answers
SILENT: Final = 500


async def in_groups(works: Iterable[Awaitable[object]], size: int = 25) -> None:
    """Do all, so many at a time."""
    room = asyncio.Semaphore(size)

    async def one(work: Awaitable[object]) -> None:
        async with room:
            await work

    await asyncio.gather(*(one(work) for work in works))


class Disturber(abc.ABC):
    """One kind."""

    def __init__(self, relay: RelayUrl) -> None:
        self.relay = relay
        self.tasks: list[asyncio.Task[None]] = []

    @abc.abstractmethod
    async def prepare(self) -> None:
        """What is made once."""

    @abc.abstractmethod
    async def on(self) -> None:
        """Begin."""

    async def off(self) -> None:
        """Stop."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()


class Readers(Disturber):
    """Devices with full mailboxes that log in, ask for everything and read next to nothing."""

    def __init__(self, relay: RelayUrl, count: int, per_second: int) -> None:
        super().__init__(relay)
        self._count = count
        self._per_second = per_second
        self._pairs: list[Pair] = []

    async def prepare(self) -> None:
        """Fill the mailboxes."""
        await in_groups((self._fill() for _ in range(self._count)), 8)

    async def _fill(self) -> None:
        (pair,) = make_pairs(1, FRAMES, SIZE)
        await register(self.relay, pair)
        await put_all(self.relay, pair)
        self._pairs.append(Pair(pair.device, ()))

    async def on(self) -> None:
        """Log in and pull."""
        ready = asyncio.Semaphore(0)
        self.tasks = [asyncio.create_task(self._read(pair, ready)) for pair in self._pairs]
        for _ in self.tasks:
            await ready.acquire()

    async def _read(self, pair: Pair, ready: asyncio.Semaphore) -> None:
        peer = await RawPeer.open(self.relay)
        try:
            await peer.log_in(pair.device)
            peer.send(Pull())
            ready.release()
            with contextlib.suppress(Closed):
                while True:
                    await asyncio.sleep(1)
                    if self._per_second:
                        await peer.read(self._per_second)
        finally:
            await peer.close()


class Senders(Disturber):
    """Connections that put into mailboxes that are emptied meanwhile: at a rate, or so many at a time."""

    def __init__(
        self, relay: RelayUrl, senders: int, mailboxes: int, size: int, rate: float = 0, window: int = 0
    ) -> None:
        super().__init__(relay)
        self._every = senders / rate if rate else 0
        self._room = [asyncio.Semaphore(window) for _ in range(senders)]
        self._pairs = make_pairs(mailboxes, 1, size)
        self._senders: dict[int, RelayConnection] = {}
        self._count = senders
        self._stack = AsyncExitStack()
        self._hearing: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Open all connections."""
        for pair in self._pairs:
            await register(self.relay, pair)
            receiver = await self._stack.enter_async_context(dial(self.relay, Mode.DEVICE, None, os.urandom))
            await receiver.log_in(pair.device)
            await receiver.send(Pull())
            self._hearing.append(asyncio.create_task(self._empty(receiver)))
        await in_groups(self._open(number) for number in range(self._count))

    async def _open(self, number: int) -> None:
        sender = await self._stack.enter_async_context(dial(self.relay, Mode.SUBMIT, None, os.urandom))
        mailbox = self._pairs[number % len(self._pairs)].device.key
        await sender.send(Attach(mailbox=mailbox, token=TOKEN))
        self._senders[number] = sender
        self._hearing.append(asyncio.create_task(self._hear(number, sender)))

    async def _hear(self, number: int, sender: RelayConnection) -> None:
        while True:
            if not isinstance(message := await sender.receive(), Accepted):
                sys.exit(f"a disturber was refused: {message}")
            for _ in message.frames:
                self._room[number].release()

    async def _empty(self, receiver: RelayConnection) -> None:
        while True:
            if isinstance(message := await receiver.receive(), Deliver):
                await receiver.send(Acknowledge(through=message.sequence))

    async def on(self) -> None:
        """Send."""
        self.tasks = [
            asyncio.create_task(self._send(number, sender)) for number, sender in self._senders.items()
        ]

    async def _send(self, number: int, sender: RelayConnection) -> None:
        loop, pair = asyncio.get_running_loop(), self._pairs[number % len(self._pairs)]
        due = loop.time() + self._every * number / self._count
        while True:
            if self._every:
                await asyncio.sleep(due - loop.time())
            else:
                await self._room[number].acquire()
            await sender.send(Put(os.urandom(16), pair.device.key, pair.frames[0].envelope))
            due += self._every


class Silent(Disturber):
    """Sockets that say nothing, half a head, or a byte a second; the relay cuts, they come again."""

    async def prepare(self) -> None:
        """Nothing."""

    async def on(self) -> None:
        """Connect."""
        self.tasks = [asyncio.create_task(self._hold(number % 3)) for number in range(SILENT)]

    async def _hold(self, kind: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(self.relay.host, self.relay.port)
                try:
                    writer.write((b"", b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n", b"")[kind])
                    while kind == 2:
                        writer.write(b"G")
                        await asyncio.sleep(1)
                        if reader.at_eof():
                            break
                    await reader.read()
                finally:
                    writer.transport.abort()
            await asyncio.sleep(1)


def make(kind: str, relay: RelayUrl) -> Disturber:
    """The disturber of that name."""
    match kind:
        case "deaf":
            return Readers(relay, DEAF, 0)
        case "slow":
            return Readers(relay, SLOW, 1024)
        case "hot":
            return Senders(relay, SENDERS, 1, 1024, rate=HOT_RATE)
        case "flood":
            return Senders(relay, FLOODERS, FLOODERS, 65_536, rate=FLOOD_RATE)
        case "storm":
            return Senders(relay, FLOODERS, FLOODERS, 65_536, window=FLOOD_WINDOW)
        case _:
            return Silent(relay)


async def main(kind: str, url: str) -> None:
    """Obey stdin until it ends."""
    disturber = make(kind, RelayUrl.parse(url))
    await disturber.prepare()
    print("ready", flush=True)
    with contextlib.suppress(Disconnected):
        while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
            await (disturber.on() if word == "on" else disturber.off())
            print(word, flush=True)
    # The relay notices what is left open.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
