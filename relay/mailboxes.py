"""The way of a frame: into the store, and a ring at the door of whoever waits for it.

Owns who is connected: one device, one connection, the newest wins. The doorbell carries no message, so a
frame put while its device is away and one put while it is connected take the same path; where frames come
fast, a shorter one (`relay.tails`). Knows no socket.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from relay import endings
from relay.endings import Ending
from relay.logs import LOGGER
from relay.metrics import Drop, Metrics
from relay.store.base import (
    ACCEPTED,
    REQUESTED,
    Deletion,
    DeviceStatus,
    NewFrame,
    PutResult,
    StockCount,
    Store,
    StoredFrame,
    Terms,
    Token,
)
from relay.store.holdings import Page
from relay.tails import Reader, Tails
from wire.device_lists import DeviceList
from wire.prekeys import Prekey

log = logging.getLogger(LOGGER)

EXPIRE_BATCH = 1000  # frames per transaction: nobody's put waits long behind an expiry
CLEAR_BATCH = 64  # what dropped devices left, likewise: some may be large, and all come at once
WIPE_WITHIN = 5.0  # seconds; a client waits longer for its answer
WIPE_AGAIN = 0.5  # seconds: an attempt may hold up commits for a twentieth of one
FORGET_AFTER = (
    7 * 86_400
)  # seconds beyond the mailbox TTL: nothing of a dropped device is on its way any more


class Resident(Protocol):
    """A device's connection, as its mailbox sees it. None of these may block."""

    def ring(self) -> None:
        """There may be something to pull."""

    def replace(self) -> None:
        """A newer connection of the same device took over."""

    def remove(self, why: Ending) -> None:
        """The device was dropped from its account's list, or has no account any more."""

    def notify_stock(self, stock: StockCount) -> None:
        """One-time prekeys were taken."""


def unix_time() -> int:
    """Unix seconds."""
    return int(time.time())


class Mailboxes:
    """Every mailbox of this relay."""

    def __init__(self, store: Store, metrics: Metrics, now: Callable[[], int] = unix_time) -> None:
        self._store = store
        self._metrics = metrics
        self.tails: Final = Tails(store, metrics, self._ring, now)
        self._residents: dict[bytes, Resident] = {}
        self.left_behind = asyncio.Event()  # by devices that were dropped: there is something to clear
        self.left_behind.set()  # perhaps, before a stop
        self._deleted = 1  # accounts, so far; perhaps one before a stop
        self._wiped = 0  # of these: off the disk as well

    async def arrive(self, device_key: bytes, resident: Resident) -> DeviceStatus:
        """Make `resident` the device's connection; the one before is told to go."""
        before = self._residents.get(device_key)
        self._residents[device_key] = resident
        if before is not None:
            self.tails.close(device_key)
            before.replace()
        return await self._store.status(device_key)

    def leave(self, device_key: bytes, resident: Resident) -> bool:
        """Forget `resident`; False when a newer one has taken its place already."""
        if self._residents.get(device_key) is not resident:
            return False
        del self._residents[device_key]
        self.tails.close(device_key)
        return True

    def _ring(self, mailbox: bytes) -> None:
        resident = self._residents.get(mailbox)
        if resident is not None:
            resident.ring()

    def resident(self, device_key: bytes) -> Resident | None:
        """The device's connection, if it has one."""
        return self._residents.get(device_key)

    async def register(self, device_list: DeviceList, terms: Terms) -> None:
        """Open mailboxes for a verified list; devices it dropped lose theirs and their connection."""
        dropped = await self._store.register(device_list, terms)
        if dropped:
            self.left_behind.set()
        for device_key in dropped:
            self.tails.close(device_key)
            resident = self._residents.get(device_key)
            if resident is not None:
                resident.remove(endings.REMOVED)

    async def publish(self, device_key: bytes, prekeys: Sequence[Prekey], anew: bool) -> StockCount:
        """Store verified prekeys; `anew`: in place of all one-time ones."""
        return await self._store.publish(device_key, prekeys, anew)

    async def keep_checkpoint(self, device_key: bytes, checkpoint: bytes) -> None:
        """Keep what the device wants to be shown at its next login."""
        await self._store.keep_checkpoint(device_key, checkpoint)

    async def allow(self, device_key: bytes, tokens: Sequence[Token]) -> None:
        """Store the delivery tokens of a mailbox in place of those before."""
        async with self._alone(device_key):
            await self._store.allow(device_key, tokens)

    @asynccontextmanager
    async def _alone(self, mailbox: bytes) -> AsyncIterator[None]:
        """As long as this lasts, the mailbox has no tail and gets none."""
        self.tails.close(mailbox)
        await self.tails.settled(mailbox)
        while self.tails.of(mailbox) is not None:
            self.tails.close(mailbox)
            await self.tails.settled(mailbox)
        self.tails.begin_put(mailbox)
        try:
            yield
        finally:
            self.tails.end_put(mailbox)

    async def put(
        self,
        mailbox: bytes,
        frames: Sequence[NewFrame],
        now: int,
        token_hash: bytes | None,
        request_room: int | None = None,
    ) -> list[PutResult]:
        """Store frames durably, then ring. Not to be cancelled: what is stored must be rung for."""
        async with self._alone(mailbox):
            results = await self._store.put(mailbox, frames, now, token_hash, request_room)
        accepted = sum(result in ACCEPTED for result in results)
        requested = sum(result in REQUESTED for result in results)
        if accepted or requested:
            self._metrics.accepted.inc(accepted)
            self._metrics.requested.inc(requested)
            self._ring(mailbox)
        return results

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        """The next frames that fit. Those that decayed on the disk are dropped, counted and passed over."""
        while True:
            frames = await self._store.pull(mailbox, after_sequence, max_frames, max_bytes)
            damaged = [frame.sequence for frame in frames if frame.is_damaged]
            if not damaged:
                return frames
            # Durably gone and counted before any frame behind them can be acknowledged.
            if count := await self._store.discard(mailbox, damaged):
                self._metrics.dropped(Drop.DAMAGED, count)
                log.error("frames were damaged on the disk and dropped: %d; check the disk", count)

    def acknowledged(self, mailbox: bytes, reader: Reader, through: int) -> bool:
        """A device has made frames its own; whether the store holds some of them, for `acknowledge`."""
        tail = self.tails.of(mailbox)
        if tail is None or tail.reader is not reader:
            return True
        return self.tails.acknowledge(tail, through)

    async def acknowledge(self, mailbox: bytes, through: int) -> None:
        """Delete what the device has made its own."""
        self._metrics.acknowledged.inc(await self._store.acknowledge(mailbox, through))

    async def expire(self, stored_before: int) -> int:
        """Delete all frames put before that time (Unix seconds), in bounded transactions."""
        total = 0
        while count := await self._store.expire(stored_before, EXPIRE_BATCH):
            total += count
            self._metrics.dropped(Drop.EXPIRED, count)
        return total

    async def clear(self) -> bool:
        """Delete all that dropped devices and deleted accounts left behind, in bounded transactions.

        Whether nothing of deleted accounts is on the disk any more: False while somebody copies the store.
        """
        self.left_behind.clear()
        deleted = self._deleted  # what is deleted from here on may be passed by
        while await self._store.clear(CLEAR_BATCH):
            pass
        if self._wiped < deleted and await self._store.wipe():
            self._wiped = deleted
        return self._wiped >= deleted

    async def export(self, device_key: bytes, place: bytes | None) -> Page:
        """See `Store.export`."""
        return await self._store.export(device_key, place)

    async def delete(self, account_key: bytes, asking: Resident) -> Deletion:
        """Delete an account; its devices lose their connections, but for the one that asks.

        When this returns, memory has forgotten it too; the disk has after `wiped`.
        """
        deletion = await self._store.delete(account_key)
        self._deleted += 1
        self.left_behind.set()  # in case this is cut short
        for device_key in deletion.device_keys:
            resident = self._residents.get(device_key)
            if resident is not None and resident is not asking:
                resident.remove(endings.DELETED)
            async with self._alone(device_key):  # what was handed over and not stored is no more, either
                pass
        return deletion

    async def wiped(self) -> bool:
        """Whether nothing of what was deleted is on the disk any more, after some seconds of trying."""
        loop = asyncio.get_running_loop()
        until = loop.time() + WIPE_WITHIN
        while not await self.clear():
            if loop.time() >= until:
                self.left_behind.set()
                return False
            await asyncio.sleep(WIPE_AGAIN)
        return True

    async def prune(self, now: int, mailbox_ttl: int) -> None:
        """Delete delivery tokens that are dead at `now`, and forget devices that were dropped long ago."""
        await self._store.prune(now)
        while await self._store.forget(now - mailbox_ttl - FORGET_AFTER, EXPIRE_BATCH):
            pass

    def notify_stocks(self, stocks: Iterable[tuple[bytes, StockCount]]) -> None:
        """Tell connected owners what is left of their one-time prekeys."""
        for device_key, stock in stocks:
            resident = self._residents.get(device_key)
            if resident is not None:
                resident.notify_stock(stock)
