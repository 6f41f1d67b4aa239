"""The order of puts on one connection.

Owns the go-back rule: after a frame was refused for now, later frames to its mailbox are refused too until
that one is tried again, so that order holds without the sender waiting for each answer. One batch per
mailbox is with the store at a time; what arrives meanwhile, or in one read, goes together. Pure: no I/O, no
clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Final, TypeAlias

from relay.store.base import NewFrame
from wire.errors import ErrorCode
from wire.limits import RESULTS_PER_MESSAGE, UNACKNOWLEDGED_BYTES, UNACKNOWLEDGED_FRAMES

BATCH_BYTES: Final = 256 * 1024  # of envelopes: nobody else's commit waits for more of one sender's

BLOCKED_MAILBOXES: Final = 64  # a client with more full mailboxes than this is closed, not remembered

# Refusals that a retry may overcome. Anything else is final for its frame, and later ones need not wait.
FOR_NOW: Final = frozenset(
    (
        ErrorCode.QUOTA,
        ErrorCode.RATE_LIMITED,
        ErrorCode.STORAGE_FULL,
        ErrorCode.INTERNAL,
        ErrorCode.RESTARTING,
    )
)


# Not frozen: one is made for each frame that comes alone, and that would take three times as long.
@dataclass(slots=True)
class Batch:
    """Frames for one mailbox, to be put in this order; all with the same token or without.

    At most 256, and 256 KiB of envelopes.
    """

    mailbox: bytes
    frames: Sequence[NewFrame]
    token_hash: bytes | None = field(default=None, repr=False)


class Kept(Enum):
    """As what a frame is durable in its mailbox."""

    ORDINARY = "ordinary"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Later:
    """A rate does not let the frame in before `retry_after` seconds have passed."""

    retry_after: int


Verdict: TypeAlias = Kept | ErrorCode | Later  # an error code says why the frame was not kept


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one frame's sender is to be told."""

    frame_id: bytes
    verdict: Verdict


class _Lane:
    __slots__ = ("in_store", "refused", "waiting")

    def __init__(self) -> None:
        self.in_store: Sequence[NewFrame] = ()
        # With the hash of the token that was attached when the frame came.
        self.waiting: list[tuple[NewFrame, bytes | None]] = []
        self.refused: bytes | None = None  # the frame id that must be tried again first


class Lanes:
    """All puts of one connection that have no answer yet, and the mailboxes that wait for a retry."""

    def __init__(self) -> None:
        self._lanes: dict[bytes, _Lane] = {}
        self._offered: dict[bytes, _Lane] = {}  # since the last batches
        self._frames = 0
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether the peer must wait before it is read on: 256 frames or 1 MiB have no answer yet."""
        return self._frames >= UNACKNOWLEDGED_FRAMES or self._bytes >= UNACKNOWLEDGED_BYTES

    @property
    def overgrown(self) -> bool:
        """Whether more mailboxes wait for a retry than are remembered."""
        return sum(lane.refused is not None for lane in self._lanes.values()) > BLOCKED_MAILBOXES

    def offer(self, mailbox: bytes, frame: NewFrame, token_hash: bytes | None) -> Outcome | None:
        """Take a frame in for the next batch of its mailbox, or refuse it."""
        lane = self._lanes.get(mailbox)
        if lane is None:
            lane = self._lanes[mailbox] = _Lane()
        if lane.refused is not None:
            if frame.frame_id != lane.refused:
                return Outcome(frame.frame_id, ErrorCode.GO_BACK)
            lane.refused = None
        self._frames += 1
        self._bytes += len(frame.envelope)
        lane.waiting.append((frame, token_hash))
        self._offered[mailbox] = lane
        return None

    @property
    def has_offers(self) -> bool:
        """Whether frames were offered since the last batches."""
        return bool(self._offered)

    def batches(self) -> list[Batch]:
        """What may go to the store of all that was offered: one batch of each mailbox that has none there."""
        offered, self._offered = self._offered, {}
        batches = []
        for mailbox, lane in offered.items():
            if lane.waiting and not lane.in_store:
                batches.append(self._next(mailbox, lane))
        return batches

    def _next(self, mailbox: bytes, lane: _Lane) -> Batch:
        waiting = lane.waiting
        # What came before and after another token was attached is not put together.
        first, token_hash = waiting[0]
        together = [first]
        if len(waiting) > 1:
            size = len(first.envelope)
            for frame, its_token_hash in islice(waiting, 1, RESULTS_PER_MESSAGE):
                size += len(frame.envelope)
                if size > BATCH_BYTES or its_token_hash != token_hash:
                    break
                together.append(frame)
        lane.in_store = together
        del waiting[: len(together)]
        return Batch(mailbox, together, token_hash)

    def kept(self, mailbox: bytes) -> tuple[list[bytes], Batch | None]:
        """All of the batch of `mailbox` is kept as ordinary frames: their ids, and the next batch."""
        lane = self._lanes[mailbox]
        settled, lane.in_store = lane.in_store, ()
        return [frame.frame_id for frame in settled], self._go_on(mailbox, lane, settled)

    def settle(self, mailbox: bytes, verdicts: Sequence[Verdict]) -> tuple[list[Outcome], Batch | None]:
        """The store's answer to the batch of `mailbox`: what to tell the sender, and the next batch."""
        lane = self._lanes[mailbox]
        outcomes: list[Outcome] = []
        settled, lane.in_store = lane.in_store, ()
        for frame, verdict in zip(settled, verdicts, strict=True):
            if (isinstance(verdict, Later) or verdict in FOR_NOW) and lane.refused is None:
                lane.refused = frame.frame_id
            outcomes.append(Outcome(frame.frame_id, verdict))
        if lane.refused is not None:
            settled = [*settled, *self._turn_back(lane, outcomes)]
        return outcomes, self._go_on(mailbox, lane, settled)

    def _go_on(self, mailbox: bytes, lane: _Lane, settled: Sequence[NewFrame]) -> Batch | None:
        self._frames -= len(settled)
        for frame in settled:
            self._bytes -= len(frame.envelope)
        if lane.waiting:
            return self._next(mailbox, lane)
        if lane.refused is None and mailbox not in self._offered:
            del self._lanes[mailbox]
        return None

    def _turn_back(self, lane: _Lane, outcomes: list[Outcome]) -> Sequence[NewFrame]:
        """Refuse what waits behind the refused frame, up to where the sender has retried it already."""
        behind = next(
            (at for at, (frame, _) in enumerate(lane.waiting) if frame.frame_id == lane.refused),
            len(lane.waiting),
        )
        turned = [frame for frame, _ in lane.waiting[:behind]]
        del lane.waiting[:behind]
        outcomes.extend(Outcome(frame.frame_id, ErrorCode.GO_BACK) for frame in turned)
        if lane.waiting:
            lane.refused = None
        return turned
