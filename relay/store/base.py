"""What a store promises, and the values that cross its border.

Owns the `Store` protocol and the rules that are the same for every engine: which device list succeeds
which, and which prekey may be published. Does not verify signatures (`relay.auth` has done so) and
knows no connection: whoever is told about a stored frame is the business of `relay.mailboxes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from relay.complaints import OperatorError
from wire.device_lists import DeviceList
from wire.errors import ErrorCode, WireError
from wire.limits import MAILBOX_BYTES, MAILBOX_FRAMES, ONE_TIME_MAX, REQUEST_BYTES, REQUEST_FRAMES
from wire.prekeys import DeviceBundle, Prekey

if TYPE_CHECKING:  # it has the errors from here
    from relay.store.holdings import Page


class PutResult(StrEnum):
    """What became of one frame."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # the mailbox holds this frame id already: accepted, stored once
    REQUESTED = "requested"  # stored as a request: no token that holds came with it
    REQUESTED_BEFORE = "requested_before"  # the mailbox holds this frame id already, as a request
    QUOTA = "quota"
    LIMITED = "limited"  # it would be a request, and there was no room for another one now
    UNKNOWN = "unknown"  # no such mailbox
    UNTRIED = "untried"  # an earlier frame of the same call was refused


LEASED: Final = 16_384  # sequences of one lease
FULL_EVERY: Final = 3600  # seconds: a full mailbox costs a write an hour, not one per refused frame

ACCEPTED: Final = frozenset((PutResult.STORED, PutResult.DUPLICATE))
REQUESTED: Final = frozenset((PutResult.REQUESTED, PutResult.REQUESTED_BEFORE))


# Not frozen: one is made for each frame, and that would take three times as long.
@dataclass(slots=True)
class NewFrame:
    """A frame on its way in: id 16 bytes, envelope 1 to 64 KiB."""

    frame_id: bytes
    envelope: bytes = field(repr=False)


# Not frozen: one is made for each frame, and that would take three times as long.
@dataclass(slots=True)
class StoredFrame:
    """A frame in its mailbox; sequences count from 1 and are never used twice."""

    sequence: int
    frame_id: bytes
    envelope: bytes = field(repr=False)
    is_request: bool = False
    is_damaged: bool = False  # not what was put: of the rest only the sequence holds


@dataclass(frozen=True, slots=True)
class Token:
    """A delivery token by its hash, 32 bytes; dead from the Unix second `until` on."""

    hash: bytes = field(repr=False)
    until: int | None = None

    def holds(self, now: int) -> bool:
        """Whether it lets frames in."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Lease:
    """The sequences `first` to `last` of a mailbox, for its holder alone to give out.

    `tokens` are the mailbox's, `held` are the sequences and ids of the frames that it holds, in order.
    """

    first: int
    last: int
    tokens: tuple[Token, ...]
    held: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class LeasedFrame:
    """A frame that was given a sequence under a lease."""

    mailbox: bytes
    sequence: int
    frame_id: bytes
    envelope: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Returned:
    """A lease that ends: `next_sequence` and all after it, up to its `last`, were never given."""

    mailbox: bytes
    next_sequence: int
    last: int


@dataclass(frozen=True, slots=True)
class StockCount:
    """How many one-time prekeys of each kind are left."""

    one_time: int = 0
    one_time_kem: int = 0


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What a device is told at login. `expired` counts frames that ever outlived the TTL, or were damaged.

    `full_at`: when, to the hour, a frame was last refused because the mailbox was full; Unix seconds.
    """

    registered: bool = False
    expired: int = 0
    stock: StockCount = StockCount()
    checkpoint: bytes | None = field(default=None, repr=False)
    full_at: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an account comes in that is new to this relay; one that is known needs nothing.

    Without a `refusal` everybody does. Else whoever brings an invite that holds at `now`, which is spent; and
    everybody else is told the refusal, whatever is wrong with the invite.
    """

    refusal: str | None = None
    invite_hash: bytes | None = field(default=None, repr=False)
    now: int = 0
    field: Literal["invite", "device_list"] = "invite"  # what the refusal is about


@dataclass(frozen=True, slots=True)
class Offer:
    """An account's device list and what each of its published devices offers.

    `stocks` holds what is left of every device that one-time prekeys were taken from, `former` the lists
    after the version that was asked for, if one was.
    """

    device_list: DeviceList
    devices: tuple[DeviceBundle, ...]
    stocks: tuple[tuple[bytes, StockCount], ...] = ()
    former: tuple[DeviceList, ...] | None = None


@dataclass(frozen=True, slots=True)
class Deletion:
    """An account that is no more: its devices, former ones too, and the hashes of its delivery tokens."""

    device_keys: tuple[bytes, ...] = ()
    tokens: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Quota:
    """What one mailbox holds at most; what came as a request counts apart, and takes nobody else's room."""

    frames: int = MAILBOX_FRAMES
    bytes: int = MAILBOX_BYTES
    request_frames: int = REQUEST_FRAMES
    request_bytes: int = REQUEST_BYTES


ANYBODY: Final = Terms()


class Condition(StrEnum):
    """Whether a store takes writes, and if not, why."""

    READY = "ready"
    FULL = "full"  # no room on its disk, or no write succeeds at present
    FAILED = "failed"  # an fsync failed: nothing is written until the next start
    DAMAGED = "damaged"  # its structure is: nothing is written until it is restored


@dataclass(frozen=True, slots=True)
class Measure:
    """How much a store holds and has to do. `missing`: accepted frames that the last start found lost."""

    frames: int
    bytes: int
    waiting: int = 0  # writes that are not durable yet
    missing: int = 0


class StoreUnusableError(OperatorError):
    """The store cannot be opened; the text is one sentence for the operator, saying what to do."""


class Store(Protocol):
    """The same promises from every engine.

    Whatever returns has happened durably. Refusals are `WireError` and change nothing; besides those
    named, STORAGE_FULL, RATE_LIMITED (more waits to be written than memory is given to) and INTERNAL.
    """

    async def register(self, device_list: DeviceList, terms: Terms = ANYBODY) -> tuple[bytes, ...]:
        """Store a list or its successor and open mailboxes; returns the device keys that were dropped.

        Where invites are kept, one is spent with it. Raises WireError(REGISTRATION_REFUSED).
        """

    async def publish(self, device_key: bytes, prekeys: Sequence[Prekey], anew: bool = False) -> StockCount:
        """Store all of the prekeys or none; with `anew` the one-time keys that are there go first.

        Raises WireError: NOT_REGISTERED, BAD_PREKEY or TOO_LARGE.
        """

    async def keep_checkpoint(self, device_key: bytes, checkpoint: bytes) -> None:
        """Keep a device's checkpoint, 1 to 256 bytes. Raises WireError(NOT_REGISTERED)."""

    async def fetch(self, account_key: bytes, take: bool, since: int | None = None) -> Offer | None:
        """The account's list and bundles. With `take` each one-time prekey goes to exactly one caller.

        With `since` also the first 24 former lists above that version; the last 64 of an account are kept.
        """

    async def allow(self, device_key: bytes, tokens: Sequence[Token]) -> None:
        """Replace all tokens of a mailbox; their hashes are distinct. Raises WireError(NOT_REGISTERED)."""

    async def put(
        self,
        mailbox: bytes,
        frames: Sequence[NewFrame],
        now: int,
        token_hash: bytes | None,
        request_room: int | None = None,
    ) -> list[PutResult]:
        """Append in order, up to the first that is refused; one result per frame. `now`: Unix seconds.

        `token_hash` is that of the token which came with all of these frames. Unless it is one of the
        mailbox's own and holds at `now`, they are requests. A request that comes again with a token that
        holds becomes an ordinary frame, if there is room, and keeps its place. At most `request_room` frames
        are stored as requests; without it, as many as the quota lets in.
        """

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        """The next frames in order, as many as fit both bounds; those that are damaged are marked so."""

    async def lease(self, mailbox: bytes) -> Lease | None:
        """Take a block of sequences out of a mailbox, durably; None where it has to see every frame itself.

        While a lease lasts, its holder alone adds frames to the mailbox.
        """

    async def keep(self, frames: Sequence[LeasedFrame], ended: Sequence[Returned], now: int) -> list[bool]:
        """Store frames that were given their sequences under leases, and end leases: all of it or nothing.

        One result per frame: False where there is no such mailbox any more.
        """

    async def discard(self, mailbox: bytes, sequences: Sequence[int]) -> int:
        """Delete those of these frames that are damaged, count them as expired, return how many."""

    async def acknowledge(self, mailbox: bytes, through: int) -> int:
        """Delete up to and including sequence `through`; returns how many frames that were."""

    async def expire(self, stored_before: int, at_most: int) -> int:
        """Delete up to `at_most` frames put before that time, count them, return how many."""

    async def prune(self, now: int) -> int:
        """Delete the tokens and invites that are dead at `now`, return how many."""

    async def clear(self, at_most: int) -> int:
        """Delete so many frames and prekeys that dropped devices left behind; 0: nothing is left.

        They are out of everybody's reach since the drop, and count for nothing.
        """

    async def forget(self, dropped_before: int, at_most: int) -> int:
        """Forget up to `at_most` devices that were dropped before that time, return how many.

        Mailboxes that are opened later begin above their sequences, so that none is ever given twice.
        """

    async def export(self, device_key: bytes, place: bytes | None) -> "Page":
        """What is held of the device's account, from its begin or behind the place where a page ended.

        Raises WireError(NOT_REGISTERED). Behind what is no such place there is something or nothing.
        """

    async def delete(self, account_key: bytes) -> Deletion:
        """Delete an account; what its mailboxes held is out of everybody's reach, and left to `clear`.

        Mailboxes that are opened later begin above their sequences, its own devices' too. One that is not
        there is no error: nothing is deleted.
        """

    async def wipe(self) -> bool:
        """Leave nothing of what was cleared on the disk; False while somebody copies the store."""

    async def status(self, device_key: bytes) -> DeviceStatus:
        """What the device is told at login."""

    async def condition(self) -> Condition:
        """Whether a write would be stored right now."""

    async def measure(self) -> Measure:
        """Totals for whoever watches. Raises WireError(INTERNAL)."""

    async def close(self) -> None:
        """Finish what was asked for, then release everything."""


def is_unchanged(stored: DeviceList | None, offered: DeviceList) -> bool:
    """Whether `offered` is stored already; raises WireError(REGISTRATION_REFUSED) unless it may follow.

    The first list of an account that is new to this relay may have any version: the account may have
    lived elsewhere.
    """
    if stored is None:
        return False
    if offered.hash() == stored.hash():
        return True
    if offered.version != stored.version + 1 or offered.previous != stored.hash():
        raise WireError(
            ErrorCode.REGISTRATION_REFUSED, "device list: does not follow the one that is registered"
        )
    return False


def refuse_newcomer(terms: Terms) -> WireError:
    """The error for an account that is new to this relay and is not let in."""
    assert terms.refusal is not None
    return WireError(ErrorCode.REGISTRATION_REFUSED, terms.refusal, terms.field)


def marks_full(before: int | None, now: int) -> bool:
    """Whether a refusal at `now` becomes the mailbox's `full_at`: once an hour, or when the clock was set."""
    return before is None or not before <= now < before + FULL_EVERY


def refuse_foreign_device() -> WireError:
    """The error for a device that is registered under another account."""
    return WireError(ErrorCode.REGISTRATION_REFUSED, "device list: a device belongs to another account")


def refuse_unregistered(what: str) -> WireError:
    """The error for prekeys or tokens of a device without a mailbox."""
    return WireError(ErrorCode.NOT_REGISTERED, f"{what}: register this device first")


def replaces_lasting(stored: Prekey | None, offered: Prekey) -> bool:
    """Whether a signed, sealing or last-resort prekey replaces the published one; False if it is the same.

    Raises WireError(BAD_PREKEY) for an id that goes back, or stands for other bytes already.
    """
    if stored is None or offered.id > stored.id:
        return True
    if offered == stored:
        return False
    raise WireError(ErrorCode.BAD_PREKEY, "prekey: its id is not above the published one of its kind")


def adds_one_time(stored: Prekey | None, highest: int, offered: Prekey) -> bool:
    """Whether a one-time prekey is new. `highest` is the highest id of its kind ever published here.

    An id at or below it is a repetition: it may have been handed out, and is never stocked again. Raises
    WireError(BAD_PREKEY) where the id stands for other bytes.
    """
    if offered.id > highest:
        return True
    if stored is not None and stored != offered:
        raise WireError(ErrorCode.BAD_PREKEY, "prekey: its id stands for another key already")
    return False


def check_stock(count: int) -> None:
    """Raises WireError(TOO_LARGE) when more one-time prekeys of a kind would be kept than allowed."""
    if count > ONE_TIME_MAX:
        raise WireError(ErrorCode.TOO_LARGE, f"publish: at most {ONE_TIME_MAX} one-time prekeys of a kind")
