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
from wire.frames import Put
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


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames for one mailbox, to be put in this order; all with the same token or without.

    At most 256, and 256 KiB of envelopes.
    """

    mailbox: bytes
    frames: tuple[NewFrame, ...]
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


# Not frozen: one is made for each frame, and that would take three times as long.
@dataclass(slots=True)
class _Waiting:
    frame: NewFrame
    token_hash: bytes | None  # of the token that was attached when the frame came


@dataclass(slots=True)
class _Lane:
    in_store: tuple[NewFrame, ...] = ()
    waiting: list[_Waiting] = field(default_factory=list)
    refused: bytes | None = None  # the frame id that must be tried again first


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

    def offer(self, put: Put, token_hash: bytes | None) -> Outcome | None:
        """Take a frame in for the next batch of its mailbox, or refuse it."""
        lane = self._lanes.get(put.mailbox)
        if lane is None:
            lane = self._lanes[put.mailbox] = _Lane()
        if lane.refused is not None:
            if put.frame_id != lane.refused:
                return Outcome(put.frame_id, ErrorCode.GO_BACK)
            lane.refused = None
        self._frames += 1
        self._bytes += len(put.envelope)
        lane.waiting.append(_Waiting(NewFrame(put.frame_id, put.envelope), token_hash))
        self._offered[put.mailbox] = lane
        return None

    @property
    def has_offers(self) -> bool:
        """Whether frames were offered since the last batches."""
        return bool(self._offered)

    def batches(self) -> list[Batch]:
        """What may go to the store of all that was offered: one batch of each mailbox that has none there."""
        offered, self._offered = self._offered, {}
        batches = (self._next(mailbox, lane) for mailbox, lane in offered.items())
        return [batch for batch in batches if batch is not None]

    def _next(self, mailbox: bytes, lane: _Lane) -> Batch | None:
        if lane.in_store or not lane.waiting:
            return None
        # What came before and after another token was attached is not put together.
        token_hash = lane.waiting[0].token_hash
        together: list[NewFrame] = []
        size = 0
        for item in islice(lane.waiting, RESULTS_PER_MESSAGE):
            size += len(item.frame.envelope)
            if item.token_hash != token_hash or (together and size > BATCH_BYTES):
                break
            together.append(item.frame)
        lane.in_store = tuple(together)
        del lane.waiting[: len(lane.in_store)]
        return Batch(mailbox, lane.in_store, token_hash)

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
            settled += self._turn_back(lane, outcomes)
        return outcomes, self._go_on(mailbox, lane, settled)

    def _go_on(self, mailbox: bytes, lane: _Lane, settled: Sequence[NewFrame]) -> Batch | None:
        self._frames -= len(settled)
        self._bytes -= sum(len(frame.envelope) for frame in settled)
        batch = self._next(mailbox, lane)
        if batch is None and lane.refused is None and mailbox not in self._offered:
            del self._lanes[mailbox]
        return batch

    def _turn_back(self, lane: _Lane, outcomes: list[Outcome]) -> tuple[NewFrame, ...]:
        """Refuse what waits behind the refused frame, up to where the sender has retried it already."""
        behind = next(
            (at for at, item in enumerate(lane.waiting) if item.frame.frame_id == lane.refused),
            len(lane.waiting),
        )
        turned = tuple(item.frame for item in lane.waiting[:behind])
        del lane.waiting[:behind]
        outcomes.extend(Outcome(frame.frame_id, ErrorCode.GO_BACK) for frame in turned)
        if lane.waiting:
            lane.refused = None
        return turned
