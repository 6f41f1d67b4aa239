"""A mailbox in memory: what `relay.store.memory` keeps of one device.

Owns the counting, and how it is shown to its owner. Knows no other mailbox.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from relay.store.base import NewFrame, Quota, StockCount, Token
from wire.account_messages import HeldFrame, HeldMailbox
from wire.prekeys import ONE_TIME_KINDS, Prekey, PrekeyKind


@dataclass(slots=True)
class Held:
    """A stored frame."""

    frame: NewFrame
    stored_at: int
    number: int  # among all frames of all mailboxes
    is_request: bool

    def held(self, device_key: bytes, sequence: int) -> HeldFrame:
        """As its owner is shown it."""
        envelope = self.frame.envelope
        return HeldFrame(
            device_key=device_key, sequence=sequence, frame_id=self.frame.frame_id, stored_at=self.stored_at,
            request=self.is_request, size=len(envelope), sha256=sha256(envelope).digest(),
        )  # fmt: skip


@dataclass(slots=True)
class Mailbox:
    """One device's; without an account it was dropped."""

    account_key: bytes | None
    next_sequence: int = 1
    expired: int = 0
    checkpoint: bytes | None = None
    full_at: int | None = None
    frames: dict[int, Held] = field(default_factory=dict)  # by sequence
    sequences: dict[bytes, int] = field(default_factory=dict)  # by frame id
    # Frames and bytes of what came with a token, and of requests.
    counts: dict[bool, tuple[int, int]] = field(default_factory=lambda: {False: (0, 0), True: (0, 0)})
    tokens: dict[bytes, Token] = field(default_factory=dict)  # by hash
    prekeys: dict[PrekeyKind, dict[int, Prekey]] = field(default_factory=dict)
    highest: dict[PrekeyKind, int] = field(default_factory=dict)
    dropped_at: int = 0  # if the account is None

    def held(self, device_key: bytes) -> HeldMailbox:
        """As its owner is shown it."""
        (frames, size), (requests, of_requests) = self.counts[False], self.counts[True]
        highest = [self.highest.get(kind, 0) for kind in ONE_TIME_KINDS]
        return HeldMailbox(
            device_key=device_key, next_sequence=self.next_sequence, skipped=0, frames=frames, bytes=size,
            request_frames=requests, request_bytes=of_requests, expired=self.expired,
            one_time_highest=highest[0], one_time_kem_highest=highest[1], checkpoint=self.checkpoint,
            full_at=self.full_at, dropped_at=self.dropped_at if self.account_key is None else None,
        )  # fmt: skip

    def of_kind(self, kind: PrekeyKind) -> dict[int, Prekey]:
        """Its prekeys of a kind, by id."""
        return self.prekeys.setdefault(kind, {})

    def lasting(self, kind: PrekeyKind) -> Prekey | None:
        """The one prekey of a kind that is replaced, not taken."""
        return next(iter(self.of_kind(kind).values()), None)

    def stock(self) -> StockCount:
        """How many one-time prekeys are left."""
        one_time, kem = (len(self.of_kind(kind)) for kind in ONE_TIME_KINDS)
        return StockCount(one_time, kem)

    def drop(self, sequence: int) -> None:
        """Take a frame out."""
        held = self.frames.pop(sequence)
        del self.sequences[held.frame.frame_id]
        self.count(held, -1)

    def count(self, held: Held, change: int) -> None:
        """Count a frame in, or out."""
        frames, size = self.counts[held.is_request]
        self.counts[held.is_request] = frames + change, size + change * len(held.frame.envelope)

    def has_room(self, frame: NewFrame, is_request: bool, quota: Quota) -> bool:
        """Whether another frame fits."""
        frames, size = self.counts[is_request]
        most = (quota.request_frames, quota.request_bytes) if is_request else (quota.frames, quota.bytes)
        return frames < most[0] and size + len(frame.envelope) <= most[1]
