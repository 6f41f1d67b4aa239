"""The reference store: everything in dictionaries, gone when the process ends.

Owns the plainest reading of `Store`; the SQLite engine is tested against the same list. For tests and
try-outs. Knows no thread: every call finishes before it first yields, so calls never interleave.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from relay.store import base
from relay.store.base import (
    DeviceStatus,
    NewFrame,
    Offer,
    PutResult,
    Quota,
    StockCount,
    StoredFrame,
)
from wire.device_lists import DeviceList
from wire.prekeys import ONE_TIME_KINDS, DeviceBundle, Prekey, PrekeyKind


@dataclass(slots=True)
class _Mailbox:
    account_key: bytes | None
    next_sequence: int = 1
    expired: int = 0
    size: int = 0
    # By sequence: the frame, when it was put, and its number among all frames of all mailboxes.
    frames: dict[int, tuple[NewFrame, int, int]] = field(default_factory=dict)
    frame_ids: set[bytes] = field(default_factory=set)
    prekeys: dict[PrekeyKind, dict[int, Prekey]] = field(default_factory=dict)
    highest: dict[PrekeyKind, int] = field(default_factory=dict)

    def of_kind(self, kind: PrekeyKind) -> dict[int, Prekey]:
        return self.prekeys.setdefault(kind, {})

    def lasting(self, kind: PrekeyKind) -> Prekey | None:
        return next(iter(self.of_kind(kind).values()), None)

    def stock(self) -> StockCount:
        one_time, kem = (len(self.of_kind(kind)) for kind in ONE_TIME_KINDS)
        return StockCount(one_time, kem)

    def drop(self, sequence: int) -> None:
        frame, _, _ = self.frames.pop(sequence)
        self.frame_ids.discard(frame.frame_id)
        self.size -= len(frame.envelope)


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self, quota: Quota | None = None) -> None:
        self._quota = quota or Quota()
        self._lists: dict[bytes, DeviceList] = {}
        self._mailboxes: dict[bytes, _Mailbox] = {}
        self._stored = 0

    def _open_mailbox(self, key: bytes) -> _Mailbox | None:
        mailbox = self._mailboxes.get(key)
        return mailbox if mailbox is not None and mailbox.account_key is not None else None

    async def register(self, device_list: DeviceList) -> tuple[bytes, ...]:
        """See `Store.register`."""
        account_key = device_list.account_key
        stored = self._lists.get(account_key)
        if base.is_unchanged(stored, device_list):
            return ()
        for entry in device_list.devices:
            mailbox = self._open_mailbox(entry.device_key)
            if mailbox is not None and mailbox.account_key != account_key:
                raise base.refuse_foreign_device()
        kept = {entry.device_key for entry in device_list.devices}
        before = () if stored is None else tuple(entry.device_key for entry in stored.devices)
        dropped = tuple(key for key in before if key not in kept)
        for key in dropped:
            # Sequence and prekey ids go on where they were, should the device ever come back.
            old = self._mailboxes[key]
            self._mailboxes[key] = _Mailbox(None, old.next_sequence, old.expired, highest=old.highest)
        for key in kept:
            self._mailboxes.setdefault(key, _Mailbox(None)).account_key = account_key
        self._lists[account_key] = device_list
        return dropped

    async def publish(self, device_key: bytes, prekeys: Sequence[Prekey]) -> StockCount:
        """See `Store.publish`."""
        mailbox = self._open_mailbox(device_key)
        if mailbox is None:
            raise base.refuse_unregistered()
        # On a copy, so that a refused page changes nothing.
        changed = {kind: dict(mailbox.of_kind(kind)) for kind in PrekeyKind}
        highest = dict(mailbox.highest)
        for prekey in prekeys:
            known = changed[prekey.kind]
            if prekey.kind in ONE_TIME_KINDS:
                if base.adds_one_time(known.get(prekey.id), highest.get(prekey.kind, 0), prekey):
                    known[prekey.id] = prekey
                    highest[prekey.kind] = prekey.id
                    base.check_stock(len(known))
            elif base.replaces_lasting(next(iter(known.values()), None), prekey):
                changed[prekey.kind] = {prekey.id: prekey}
        mailbox.prekeys, mailbox.highest = changed, highest
        return mailbox.stock()

    async def fetch(self, account_key: bytes, take: bool) -> Offer | None:
        """See `Store.fetch`."""
        device_list = self._lists.get(account_key)
        if device_list is None:
            return None
        offered, stocks = [], []
        for entry in device_list.devices:
            mailbox = self._mailboxes[entry.device_key]
            signed, sealing = mailbox.lasting(PrekeyKind.SIGNED), mailbox.lasting(PrekeyKind.SEALING)
            kem, one_time = mailbox.lasting(PrekeyKind.LAST_RESORT_KEM), None
            if signed is None or sealing is None or kem is None:
                continue
            if take:
                one_time = self._take(mailbox, PrekeyKind.ONE_TIME)
                kem = self._take(mailbox, PrekeyKind.ONE_TIME_KEM) or kem
                stocks.append((entry.device_key, mailbox.stock()))
            offered.append(DeviceBundle(entry.device_key, signed, sealing, kem, one_time))
        return Offer(device_list, tuple(offered), tuple(stocks))

    def _take(self, mailbox: _Mailbox, kind: PrekeyKind) -> Prekey | None:
        stocked = mailbox.of_kind(kind)
        return stocked.pop(min(stocked)) if stocked else None

    async def put(self, mailbox: bytes, frames: Sequence[NewFrame], now: int) -> list[PutResult]:
        """See `Store.put`."""
        box = self._open_mailbox(mailbox)
        if box is None:
            return [PutResult.UNKNOWN] * len(frames)
        results: list[PutResult] = []
        for frame in frames:
            if frame.frame_id in box.frame_ids:
                results.append(PutResult.DUPLICATE)
            elif len(box.frames) >= self._quota.frames or box.size + len(frame.envelope) > self._quota.bytes:
                results.append(PutResult.QUOTA)
                break
            else:
                self._stored += 1
                box.frames[box.next_sequence] = (frame, now, self._stored)
                box.frame_ids.add(frame.frame_id)
                box.size += len(frame.envelope)
                box.next_sequence += 1
                results.append(PutResult.STORED)
        return results + [PutResult.UNTRIED] * (len(frames) - len(results))

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        """See `Store.pull`."""
        box = self._open_mailbox(mailbox)
        pulled: list[StoredFrame] = []
        for sequence, (frame, _, _) in box.frames.items() if box is not None else ():
            if sequence <= after_sequence:
                continue
            max_bytes -= len(frame.envelope)
            if max_bytes < 0 or len(pulled) >= max_frames:
                break
            pulled.append(StoredFrame(sequence, frame.frame_id, frame.envelope))
        return pulled

    async def acknowledge(self, mailbox: bytes, through: int) -> int:
        """See `Store.acknowledge`."""
        box = self._open_mailbox(mailbox)
        if box is None:
            return 0
        done = [sequence for sequence in box.frames if sequence <= through]
        for sequence in done:
            box.drop(sequence)
        return len(done)

    async def expire(self, stored_before: int, at_most: int) -> int:
        """See `Store.expire`."""
        old = [
            (stored_at, number, sequence, box)
            for box in self._mailboxes.values()
            for sequence, (_, stored_at, number) in box.frames.items()
            if stored_at < stored_before
        ]
        old.sort(key=lambda item: item[:2])
        for _, _, sequence, box in old[:at_most]:
            box.drop(sequence)
            box.expired += 1
        return len(old[:at_most])

    async def status(self, device_key: bytes) -> DeviceStatus:
        """See `Store.status`."""
        box = self._open_mailbox(device_key)
        return DeviceStatus() if box is None else DeviceStatus(True, box.expired, box.stock())

    async def writable(self) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """Nothing to release."""
