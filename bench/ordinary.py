"""Ordinary traffic at a fixed rate: pairs of a sender and a device, and what each frame waited.

Owns the clock of the measurement: a frame's time runs from the moment at which it was due, whether or not
what came before it was done by then, so that a stall counts for everything that it held up.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.relay_load import TOKEN, Pair, make_pairs, register
from bench.verdict import BrokenPromise
from clients.connection import RelayConnection, dial
from wire.addresses import RelayUrl
from wire.control import Accepted, Acknowledge, Attach, Pull
from wire.frames import Deliver, Put
from wire.login import Mode

PATIENCE: Final = 60.0  # seconds for what is still on its way at the end


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0 to 1) of all are at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@dataclass(slots=True)
class Waits:
    """Seconds from when each frame was due."""

    accepted: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)


class _Talk:
    """One pair while its connections are open."""

    def __init__(self, pair: Pair, sender: RelayConnection, receiver: RelayConnection) -> None:
        self._mailbox = pair.device.key
        self._envelope = pair.frames[0].envelope
        self._sender = sender
        self._receiver = receiver
        self._due: dict[bytes, float] = {}
        self._on_the_way: set[bytes] = set()
        self._unanswered: set[bytes] = set()
        self.waits = Waits()
        self._all_there = asyncio.Event()

    async def hear_sender(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._sender.receive()
            if not isinstance(message, Accepted):
                raise BrokenPromise(f"a frame was not accepted: {message}")
            for frame_id in message.frames:
                self.waits.accepted.append(loop.time() - self._due[frame_id])
                self._arrived(self._unanswered, frame_id)

    async def hear_receiver(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._receiver.receive()
            if not isinstance(message, Deliver) or message.frame_id not in self._on_the_way:
                raise BrokenPromise("a frame came twice, or from nowhere")
            self.waits.delivered.append(loop.time() - self._due[message.frame_id])
            self._arrived(self._on_the_way, message.frame_id)
            await self._receiver.send(Acknowledge(through=message.sequence))

    def _arrived(self, among: set[bytes], frame_id: bytes) -> None:
        among.discard(frame_id)
        if not self._on_the_way and not self._unanswered:
            self._all_there.set()

    async def send(self, due: float, until: float, every: float) -> None:
        loop = asyncio.get_running_loop()
        self.waits = Waits()
        while due < until:
            await asyncio.sleep(due - loop.time())
            frame_id = os.urandom(16)
            self._due[frame_id] = due
            self._on_the_way.add(frame_id)
            self._unanswered.add(frame_id)
            self._all_there.clear()
            await self._sender.send(Put(frame_id, self._mailbox, self._envelope))
            due += every
        async with asyncio.timeout(PATIENCE):
            await self._all_there.wait()
        self._due.clear()


class Ordinary:
    """Pairs that write to each other. Use `ordinary`."""

    def __init__(self, talks: Sequence[_Talk]) -> None:
        self._talks = talks

    async def run(self, seconds: float, rate: float) -> Waits:
        """Send `rate` frames a second over all pairs, evenly; returns once all of them arrived."""
        start = asyncio.get_running_loop().time() + 0.05
        every = len(self._talks) / rate
        await asyncio.gather(
            *(
                talk.send(start + every * number / len(self._talks), start + seconds, every)
                for number, talk in enumerate(self._talks)
            )
        )
        whole = Waits()
        for talk in self._talks:
            whole.accepted += talk.waits.accepted
            whole.delivered += talk.waits.delivered
        return whole


@asynccontextmanager
async def ordinary(relay: RelayUrl, count: int, size: int = 1024) -> AsyncIterator[Ordinary]:
    """So many pairs, connected. Raises BrokenPromise for a frame that is refused or repeated."""
    pairs = make_pairs(count, 1, size)
    async with AsyncExitStack() as stack:
        talks = []
        for pair in pairs:
            await register(relay, pair)
            receiver = await stack.enter_async_context(dial(relay, Mode.DEVICE, None, os.urandom))
            await receiver.log_in(pair.device)
            await receiver.send(Pull())
            sender = await stack.enter_async_context(dial(relay, Mode.SUBMIT, None, os.urandom))
            await sender.send(Attach(mailbox=pair.device.key, token=TOKEN))
            talks.append(_Talk(pair, sender, receiver))
        try:
            async with asyncio.TaskGroup() as hearing:
                tasks = [hearing.create_task(talk.hear_sender()) for talk in talks]
                tasks += [hearing.create_task(talk.hear_receiver()) for talk in talks]
                yield Ordinary(talks)
                for task in tasks:
                    task.cancel()
        except* BrokenPromise as broken:
            raise broken.exceptions[0] from None
        finally:
            with contextlib.suppress(Exception):
                await stack.aclose()
