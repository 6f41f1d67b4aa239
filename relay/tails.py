"""Frames on their way to devices that are reading: handed over at once, and stored only if they must be.

A mailbox whose device is connected and has read everything has a *tail*: its frames are given a sequence in
memory, under a lease of the store, and handed to the device's connection in the same turn. The sender is
answered when the device has acknowledged them, which is after its own commit; or else when they are durable,
which they are made once they are 100 ms old. What is acknowledged before is never written.

Owns the tails, and the order in which they and the store have a mailbox to themselves: as long as a tail
lasts, nobody else adds to its mailbox; `settled` waits for those that begin or end. One write is under way
at a time, so that nothing is stored before what was handed over earlier. Knows no socket.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from relay.logs import LOGGER
from relay.metrics import Metrics
from relay.store.base import (
    Lease,
    LeasedFrame,
    NewFrame,
    PutResult,
    Returned,
    Store,
    StoredFrame,
    Token,
)
from wire.errors import ErrorCode, WireError

WRITE_AFTER: Final = 0.1  # seconds: who acknowledges sooner, as most do from far away, saves the write
WRITE_AT_LAST: Final = 1.0  # seconds, for when the event loop is late, and has not heard who acknowledged
WRITTEN_TOGETHER: Final = 256  # frames in one transaction

log = logging.getLogger(LOGGER)

CatchUp: TypeAlias = Callable[[int], Awaitable[bool]]
Answered: TypeAlias = Callable[[Sequence[PutResult] | WireError], None]


class Reader(Protocol):
    """A device's connection that has read everything. None of these may block."""

    def has_room(self, frames: int, size: int) -> bool:
        """Whether so many frames, and bytes of envelopes, may be handed over now."""

    def hand_over(self, frames: Sequence[StoredFrame]) -> None:
        """The next frames, in order."""

    def stored_late(self) -> None:
        """Frames that were acknowledged already have been stored: they are to be deleted."""


def _answered_before(results: Sequence[PutResult] | WireError) -> None:
    """In place of what was called: nothing of an answered frame is kept."""


class _Passing:
    """Frames that were handed over together and have no answer yet."""

    __slots__ = ("answered", "first", "frames", "is_answered", "is_written", "last", "tail", "taken_at")

    def __init__(
        self, tail: "Tail", first: int, frames: Sequence[NewFrame], taken_at: float, answered: Answered
    ) -> None:
        self.tail = tail
        self.first = first
        self.last = first + len(frames) - 1
        self.frames = frames
        self.taken_at = taken_at
        self.answered = answered
        self.is_answered = False
        self.is_written = False  # or on its way to be


class Tail:
    """The tail of one mailbox."""

    __slots__ = (
        "acknowledged",
        "is_closed",
        "last",
        "mailbox",
        "next",
        "passing",
        "reader",
        "sequences",
        "stored",
        "tokens",
    )

    def __init__(self, mailbox: bytes, reader: Reader, lease: Lease) -> None:
        self.mailbox = mailbox
        self.reader = reader
        self.next, self.last = lease.first, lease.last
        self.tokens: dict[bytes, Token] = {token.hash: token for token in lease.tokens}
        self.sequences = {frame_id: sequence for sequence, frame_id in lease.held}  # not acknowledged yet
        self.stored = deque(sequence for sequence, _ in lease.held)  # of these, in order
        self.passing: deque[_Passing] = deque()
        self.acknowledged = 0
        self.is_closed = False

    def takes(self, frames: Sequence[NewFrame], token_hash: bytes | None, now: int) -> bool:
        """Whether these may pass here. What came before, is a request or has no room is for the store."""
        token = None if token_hash is None else self.tokens.get(token_hash)
        if token is None or not token.holds(now) or self.next + len(frames) > self.last:
            return False
        if len(frames) > 1 and len({frame.frame_id for frame in frames}) < len(frames):
            return False
        sequences, size = self.sequences, 0
        for frame in frames:
            if frame.frame_id in sequences:
                return False
            size += len(frame.envelope)
        return self.reader.has_room(len(frames), size)

    def unwritten(self) -> int:
        """How many frames are in memory alone."""
        return sum(len(passing.frames) for passing in self.passing if not passing.is_written)

    def acknowledge(self, through: int) -> tuple[list[_Passing], bool]:
        """What is acknowledged with it, and whether some of it is stored."""
        self.acknowledged = through
        sequences = self.sequences
        done = []
        for frame_id, sequence in sequences.items():
            if sequence > through:
                break
            done.append(frame_id)
        for frame_id in done:
            del sequences[frame_id]
        passed = []
        while self.passing and self.passing[0].last <= through:
            passed.append(self.passing.popleft())
        stored = self.stored
        is_stored = bool(stored) and stored[0] <= through
        while stored and stored[0] <= through:
            stored.popleft()
        return passed, is_stored


class Tails:
    """Every tail of this relay. `ended` is told of a mailbox whose tail is stored; `now`: Unix seconds."""

    def __init__(
        self, store: Store, metrics: Metrics, ended: Callable[[bytes], None], now: Callable[[], int]
    ) -> None:
        self._store = store
        self._ended = ended
        self._metrics = metrics
        self._now = now
        self._tails: dict[bytes, Tail] = {}
        self._unsettled: dict[bytes, asyncio.Event] = {}
        self._putting: dict[bytes, int] = {}  # puts that are with the store
        self._put: asyncio.Event | None = None  # one of them is done
        self._waiting: deque[_Passing] = deque()  # in the order in which they came
        self._closed: list[Tail] = []  # and not written to the end yet
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- who has the mailbox ------------------------------------------------------------------------

    def of(self, mailbox: bytes) -> Tail | None:
        """The mailbox's tail, if it has one."""
        return self._tails.get(mailbox)

    async def settled(self, mailbox: bytes) -> None:
        """Wait until no tail of the mailbox is about to begin or to end."""
        while (event := self._unsettled.get(mailbox)) is not None:
            await event.wait()

    def begin_put(self, mailbox: bytes) -> None:
        """The store adds to the mailbox from here on, until `end_put`."""
        self._putting[mailbox] = self._putting.get(mailbox, 0) + 1

    def end_put(self, mailbox: bytes) -> None:
        """It has."""
        left = self._putting.pop(mailbox) - 1
        if left:
            self._putting[mailbox] = left
        if self._put is not None:
            self._put.set()

    async def begin(self, mailbox: bytes, reader: Reader, catch_up: CatchUp) -> None:
        """Let the mailbox have a tail. `catch_up` hands over what is stored up to a sequence, or cannot."""
        if mailbox in self._tails or mailbox in self._unsettled:
            return
        self._unsettled[mailbox] = asyncio.Event()
        tails: list[Tail] = []  # whose lease is to be given back
        try:
            while mailbox in self._putting:
                self._put = self._put or asyncio.Event()
                self._put.clear()
                await self._put.wait()
            lease = await self._store.lease(mailbox)
            if lease is None:
                return
            tails.append(Tail(mailbox, reader, lease))
            if await catch_up(lease.first - 1):
                self._tails[mailbox] = tails.pop()
        finally:
            for tail in tails:
                self._end(tail)
            if not tails:
                self._unsettled.pop(mailbox).set()

    def close(self, mailbox: bytes, reader: Reader | None = None) -> None:
        """The tail ends, if there is one (of this reader): what has no answer is stored."""
        tail = self._tails.get(mailbox)
        if tail is None or (reader is not None and tail.reader is not reader):
            return
        del self._tails[mailbox]
        self._unsettled[mailbox] = asyncio.Event()
        self._end(tail)

    def _end(self, tail: Tail) -> None:
        tail.is_closed = True
        self._closed.append(tail)
        self._write_soon()

    async def end_all(self) -> None:
        """Every tail ends; returns when all of it is stored, or was refused by the store."""
        for mailbox in tuple(self._tails):
            self.close(mailbox)
        while self._writing is not None:
            await asyncio.wait((self._writing,))
        if self._timer is not None:
            self._timer.cancel()

    # --- the way of a frame -------------------------------------------------------------------------

    def pass_on(self, tail: Tail, frames: Sequence[NewFrame], answered: Answered) -> None:
        """Hand frames over that the tail takes; `answered` is called once, and never before this returns."""
        first = tail.next
        tail.next += len(frames)
        loop = asyncio.get_running_loop()
        now = loop.time()
        handed = []
        for sequence, frame in enumerate(frames, first):
            tail.sequences[frame.frame_id] = sequence
            handed.append(StoredFrame(sequence, frame.frame_id, frame.envelope))
        passing = _Passing(tail, first, frames, now, answered)
        tail.passing.append(passing)
        self._waiting.append(passing)
        if self._timer is None:
            self._timer = loop.call_later(WRITE_AFTER, self._write_due)
        tail.reader.hand_over(handed)

    def acknowledge(self, tail: Tail, through: int) -> bool:
        """The device has made its own what was handed over up to there; whether some of that is stored."""
        passed, is_stored = tail.acknowledge(through)
        for passing in passed:
            if not passing.is_written:
                self._metrics.acknowledged.inc(len(passing.frames))
            if not passing.is_answered:
                self._answer(passing, [PutResult.STORED] * len(passing.frames))
            if not passing.is_written:
                passing.frames = ()
        return is_stored

    def _answer(self, passing: _Passing, results: list[PutResult] | WireError) -> None:
        passing.is_answered = True
        if not isinstance(results, WireError):
            self._metrics.accepted.inc(results.count(PutResult.STORED))
        answered, passing.answered = passing.answered, _answered_before
        answered(results)

    # --- the way to the store -----------------------------------------------------------------------

    def _write_due(self) -> None:
        self._timer = None
        loop, waiting = asyncio.get_running_loop(), self._waiting
        age = loop.time() - waiting[0].taken_at if waiting else 0.0
        if 2 * WRITE_AFTER < age < WRITE_AT_LAST:
            # The loop is late. What it has not read yet is acknowledgements, and a write would make it later.
            self._timer = loop.call_later(age, self._write_due)
            return
        self._write_soon()

    def _write_soon(self) -> None:
        """Write what is old enough or closed, after the write before; else look again in time."""
        if self._writing is not None:
            return
        loop = asyncio.get_running_loop()
        waiting = self._waiting
        while waiting and waiting[0].is_answered:
            waiting.popleft()
        if self._closed or (waiting and waiting[0].taken_at + WRITE_AFTER <= loop.time()):
            self._writing = loop.create_task(self._write())
        elif waiting and self._timer is None:
            self._timer = loop.call_at(waiting[0].taken_at + WRITE_AFTER, self._write_due)

    def _due(self) -> list[_Passing]:
        before = asyncio.get_running_loop().time() - WRITE_AFTER
        due: list[_Passing] = []
        left: deque[_Passing] = deque()
        count = 0
        for passing in self._waiting:
            if passing.is_answered:
                continue
            if count < WRITTEN_TOGETHER and (passing.taken_at <= before or passing.tail.is_closed):
                passing.is_written = True
                due.append(passing)
                count += len(passing.frames)
            else:
                left.append(passing)
        self._waiting = left
        return due

    async def _write(self) -> None:
        try:
            due = self._due()
            unwritten = {passing.tail.mailbox for passing in self._waiting}
            ended = [tail for tail in self._closed if tail.mailbox not in unwritten]
            self._closed = [tail for tail in self._closed if tail.mailbox in unwritten]
            frames = [
                LeasedFrame(passing.tail.mailbox, sequence, frame.frame_id, frame.envelope)
                for passing in due
                for sequence, frame in enumerate(passing.frames, passing.first)
            ]
            returned = [Returned(tail.mailbox, tail.next, tail.last) for tail in ended]
            try:
                kept = await self._store.keep(frames, returned, self._now())
            except Exception as error:
                self._refused(due, error)
            else:
                self._written(due, kept)
            for tail in ended:
                self._unsettled.pop(tail.mailbox).set()
                self._ended(tail.mailbox)
        finally:
            self._writing = None
            self._write_soon()

    def _refused(self, due: Sequence[_Passing], error: Exception) -> None:
        if not isinstance(error, WireError):
            log.error("frames could not be stored", exc_info=error)
            error = WireError(ErrorCode.INTERNAL, "the relay could not store this; nothing was stored")
        for passing in due:
            if not passing.is_answered:
                self._answer(passing, error)
            passing.frames = ()

    def _written(self, due: Sequence[_Passing], kept: Sequence[bool]) -> None:
        at = 0
        late: set[Tail] = set()
        for passing in due:
            is_kept = kept[at]
            at += len(passing.frames)
            tail = passing.tail
            if is_kept:
                if tail.acknowledged >= passing.first:
                    late.add(tail)
                tail.stored.extend(
                    sequence
                    for sequence in range(passing.first, passing.last + 1)
                    if sequence > tail.acknowledged
                )
            if not passing.is_answered:
                if not is_kept:
                    self.close(tail.mailbox, tail.reader)  # of a device that was dropped
                result = PutResult.STORED if is_kept else PutResult.UNKNOWN
                self._answer(passing, [result] * len(passing.frames))
            passing.frames = ()
        for tail in late:
            tail.reader.stored_late()
