"""The reference store: everything in dictionaries, gone when the process ends.

Owns the plainest reading of `Store`; the SQLite engine is tested against the same list. For tests and
try-outs. Knows no thread: every call finishes before it first yields, so calls never interleave.
"""

import time
from collections.abc import Iterator, Sequence

from relay.store import base, holdings
from relay.store.base import (
    ANYBODY,
    LEASED,
    Condition,
    Deletion,
    DeviceStatus,
    Lease,
    LeasedFrame,
    Measure,
    NewFrame,
    Offer,
    PutResult,
    Quota,
    Returned,
    StockCount,
    StoredFrame,
    Terms,
    Token,
)
from relay.store.memory_mailbox import Held, Mailbox
from wire.account_messages import HeldAccount, HeldFormerList, HeldPrekey, HeldToken, Stored
from wire.binary import u8, u32, u64
from wire.device_lists import DeviceList
from wire.limits import FORMER_LISTS, FORMER_PER_BUNDLE, UNACKNOWLEDGED_BYTES, UNACKNOWLEDGED_FRAMES
from wire.prekeys import ONE_TIME_KINDS, DeviceBundle, Prekey, PrekeyKind


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self, quota: Quota | None = None) -> None:
        self._quota = quota or Quota()
        self._lists: dict[bytes, DeviceList] = {}
        self._former: dict[bytes, list[DeviceList]] = {}
        self._mailboxes: dict[bytes, Mailbox] = {}
        self._stored = 0
        self._base = 0  # sequences of mailboxes that are opened begin above it

    def _open_mailbox(self, key: bytes) -> Mailbox | None:
        mailbox = self._mailboxes.get(key)
        return mailbox if mailbox is not None and mailbox.account_key is not None else None

    async def register(self, device_list: DeviceList, terms: Terms = ANYBODY) -> tuple[bytes, ...]:
        """See `Store.register`."""
        account_key = device_list.account_key
        stored = self._lists.get(account_key)
        if base.is_unchanged(stored, device_list):
            return ()
        if stored is None and terms.refusal is not None:
            raise base.refuse_newcomer(terms)  # no invites are kept here
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
            self._mailboxes[key] = Mailbox(
                None, old.next_sequence, old.expired, highest=old.highest, dropped_at=int(time.time())
            )
        for key in kept:
            self._mailboxes.setdefault(key, Mailbox(None, self._base + 1)).account_key = account_key
        if stored is not None:
            self._former[account_key] = [*self._former.get(account_key, ()), stored][-FORMER_LISTS:]
        self._lists[account_key] = device_list
        return dropped

    async def keep_checkpoint(self, device_key: bytes, checkpoint: bytes) -> None:
        """See `Store.keep_checkpoint`."""
        mailbox = self._open_mailbox(device_key)
        if mailbox is None:
            raise base.refuse_unregistered("checkpoint")
        mailbox.checkpoint = checkpoint

    async def publish(self, device_key: bytes, prekeys: Sequence[Prekey], anew: bool = False) -> StockCount:
        """See `Store.publish`."""
        mailbox = self._open_mailbox(device_key)
        if mailbox is None:
            raise base.refuse_unregistered("publish")
        # On a copy, so that a refused page changes nothing.
        changed = {
            kind: {} if anew and kind in ONE_TIME_KINDS else dict(mailbox.of_kind(kind))
            for kind in PrekeyKind
        }
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

    async def fetch(self, account_key: bytes, take: bool, since: int | None = None) -> Offer | None:
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
        former = None
        if since is not None:
            kept = self._former.get(account_key, [])
            former = tuple(each for each in kept if each.version > since)[:FORMER_PER_BUNDLE]
        return Offer(device_list, tuple(offered), tuple(stocks), former)

    def _take(self, mailbox: Mailbox, kind: PrekeyKind) -> Prekey | None:
        stocked = mailbox.of_kind(kind)
        return stocked.pop(min(stocked)) if stocked else None

    async def allow(self, device_key: bytes, tokens: Sequence[Token]) -> None:
        """See `Store.allow`."""
        box = self._open_mailbox(device_key)
        if box is None:
            raise base.refuse_unregistered("allow")
        box.tokens = {token.hash: token for token in tokens}

    async def put(
        self,
        mailbox: bytes,
        frames: Sequence[NewFrame],
        now: int,
        token_hash: bytes | None,
        request_room: int | None = None,
    ) -> list[PutResult]:
        """See `Store.put`."""
        box = self._open_mailbox(mailbox)
        if box is None:
            return [PutResult.UNKNOWN] * len(frames)
        token = None if token_hash is None else box.tokens.get(token_hash)
        is_request = token is None or not token.holds(now)
        results: list[PutResult] = []
        for frame in frames:
            is_limited = is_request and results.count(PutResult.REQUESTED) == request_room
            results.append(self._put(box, frame, now, is_request, is_limited))
            if results[-1] in (PutResult.QUOTA, PutResult.LIMITED):
                break
        return results + [PutResult.UNTRIED] * (len(frames) - len(results))

    def _put(self, box: Mailbox, frame: NewFrame, now: int, is_request: bool, is_limited: bool) -> PutResult:
        if (sequence := box.sequences.get(frame.frame_id)) is not None:
            held = box.frames[sequence]
            # The stored envelope counts, not the one that came now: that one is not kept.
            if held.is_request and not is_request and box.has_room(held.frame, False, self._quota):
                box.count(held, -1)
                held.is_request = False
                box.count(held, 1)
            return PutResult.REQUESTED_BEFORE if held.is_request else PutResult.DUPLICATE
        if not box.has_room(frame, is_request, self._quota):
            if not is_request and base.marks_full(box.full_at, now):
                box.full_at = now
            return PutResult.QUOTA
        if is_limited:
            return PutResult.LIMITED
        self._stored += 1
        box.frames[box.next_sequence] = held = Held(frame, now, self._stored, is_request)
        box.count(held, 1)
        box.sequences[frame.frame_id] = box.next_sequence
        box.next_sequence += 1
        return PutResult.REQUESTED if is_request else PutResult.STORED

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        """See `Store.pull`."""
        box = self._open_mailbox(mailbox)
        pulled: list[StoredFrame] = []
        for sequence, held in box.frames.items() if box is not None else ():
            if sequence <= after_sequence:
                continue
            frame = held.frame
            max_bytes -= len(frame.envelope)
            if max_bytes < 0 or len(pulled) >= max_frames:
                break
            pulled.append(StoredFrame(sequence, frame.frame_id, frame.envelope, held.is_request))
        return pulled

    async def lease(self, mailbox: bytes) -> Lease | None:
        """See `Store.lease`."""
        box = self._open_mailbox(mailbox)
        if box is None or len(box.frames) > UNACKNOWLEDGED_FRAMES:
            return None
        if self._quota.frames < UNACKNOWLEDGED_FRAMES or self._quota.bytes < UNACKNOWLEDGED_BYTES:
            return None
        first, last = box.next_sequence, box.next_sequence + LEASED - 1
        box.next_sequence = last + 1
        held = tuple((sequence, held.frame.frame_id) for sequence, held in box.frames.items())
        return Lease(first, last, tuple(box.tokens.values()), held)

    async def keep(self, frames: Sequence[LeasedFrame], ended: Sequence[Returned], now: int) -> list[bool]:
        """See `Store.keep`."""
        kept = []
        for frame in frames:
            box = self._open_mailbox(frame.mailbox)
            kept.append(box is not None)
            if box is None:
                continue
            if (former := box.sequences.get(frame.frame_id)) is not None:
                box.drop(former)  # acknowledged, and its deletion is on its way
            self._stored += 1
            held = Held(NewFrame(frame.frame_id, frame.envelope), now, self._stored, is_request=False)
            box.frames[frame.sequence] = held
            box.sequences[frame.frame_id] = frame.sequence
            box.count(held, 1)
        for lease in ended:
            box = self._mailboxes.get(lease.mailbox)
            if box is not None and box.next_sequence == lease.last + 1:
                box.next_sequence = lease.next_sequence
        return kept

    async def discard(self, mailbox: bytes, sequences: Sequence[int]) -> int:
        """Nothing is damaged here."""
        return 0

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
            (held.stored_at, held.number, sequence, box)
            for box in self._mailboxes.values()
            for sequence, held in box.frames.items()
            if held.stored_at < stored_before
        ]
        old.sort(key=lambda item: item[:2])
        for _, _, sequence, box in old[:at_most]:
            box.drop(sequence)
            box.expired += 1
        return len(old[:at_most])

    async def prune(self, now: int) -> int:
        """See `Store.prune`."""
        dead = [
            (box, token)
            for box in self._mailboxes.values()
            for token in box.tokens.values()
            if not token.holds(now)
        ]
        for box, token in dead:
            del box.tokens[token.hash]
        return len(dead)

    async def clear(self, at_most: int) -> int:
        """A dropped mailbox is gone at once here."""
        return 0

    async def forget(self, dropped_before: int, at_most: int) -> int:
        """See `Store.forget`."""
        dead = [
            key
            for key, box in self._mailboxes.items()
            if box.account_key is None and box.dropped_at < dropped_before
        ][:at_most]
        for key in dead:
            self._base = max(self._base, self._mailboxes.pop(key).next_sequence - 1)
        return len(dead)

    async def export(self, device_key: bytes, place: bytes | None) -> holdings.Page:
        """See `Store.export`."""
        box = self._open_mailbox(device_key)
        if box is None or box.account_key is None:
            raise base.refuse_unregistered("export")
        boxes = self._boxes_of(box.account_key)
        records = self._records(box.account_key, boxes)
        return holdings.cut(
            box.account_key, list(boxes), (each for each in records if each[0] > (place or b""))
        )

    def _boxes_of(self, account_key: bytes) -> dict[bytes, Mailbox]:
        """The mailboxes of an account, and those that it dropped, by key."""
        lists = [self._lists[account_key], *self._former.get(account_key, ())]
        keys = sorted({entry.device_key for each in lists for entry in each.devices} & self._mailboxes.keys())
        found = {key: self._mailboxes[key] for key in keys}
        return {key: box for key, box in found.items() if box.account_key in (None, account_key)}

    def _records(self, account_key: bytes, boxes: dict[bytes, Mailbox]) -> Iterator[tuple[bytes, Stored]]:
        newest = self._lists[account_key].encode()
        yield holdings.ACCOUNT, HeldAccount(account_key=account_key, device_list=newest)
        for each in self._former.get(account_key, ()):
            held = HeldFormerList(version=each.version, device_list=each.encode())
            yield holdings.FORMER + u64(each.version), held
        for key, box in boxes.items():
            yield holdings.MAILBOX + key, box.held(key)
        for key, box in boxes.items():
            for kind in PrekeyKind:
                for id, prekey in sorted(box.of_kind(kind).items()):
                    shown = HeldPrekey(device_key=key, kind=kind, id=id, prekey=prekey.encode())
                    yield holdings.PREKEY + key + u8(kind) + u32(id), shown
        for key, box in boxes.items():
            for hash, token in sorted(box.tokens.items()):
                yield holdings.TOKEN + key + hash, HeldToken(device_key=key, hash=hash, until=token.until)
        for key, box in boxes.items():
            for sequence, waiting in box.frames.items():
                yield holdings.frame_place(key, sequence), waiting.held(key, sequence)

    async def delete(self, account_key: bytes) -> Deletion:
        """See `Store.delete`."""
        if account_key not in self._lists:
            return Deletion()
        boxes = self._boxes_of(account_key)
        tokens = tuple(hash for box in boxes.values() for hash in box.tokens)
        for key in boxes:
            self._base = max(self._base, self._mailboxes.pop(key).next_sequence - 1)
        del self._lists[account_key]
        self._former.pop(account_key, None)
        return Deletion(tuple(boxes), tokens)

    async def wipe(self) -> bool:
        """There is no disk."""
        return True

    async def status(self, device_key: bytes) -> DeviceStatus:
        """See `Store.status`."""
        box = self._open_mailbox(device_key)
        if box is None:
            return DeviceStatus()
        return DeviceStatus(True, box.expired, box.stock(), box.checkpoint, box.full_at)

    async def condition(self) -> Condition:
        """Always ready."""
        return Condition.READY

    async def measure(self) -> Measure:
        """See `Store.measure`."""
        counts = [count for box in self._mailboxes.values() for count in box.counts.values()]
        return Measure(sum(frames for frames, _ in counts), sum(size for _, size in counts))

    async def close(self) -> None:
        """Nothing to release."""
