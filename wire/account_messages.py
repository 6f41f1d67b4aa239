"""Control messages of a whole account: what the relay holds of it, and its deletion.

Owns the two questions, their answers, and a model for each kind of thing that a relay holds, with all that is
held of it. What is signed for a deletion is in `wire.login`.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from wire.control_message import ControlMessage
from wire.control_values import (
    U32,
    U63,
    Base64Url,
    Count,
    EncodedDeviceList,
    EncodedPrekey,
    FrameId,
    Hash,
    Key,
    SealedCheckpoint,
    Signature,
)
from wire.limits import CAPABILITIES_MAX, PLACE_MAX, RECORDS_PER_PAGE

Place: TypeAlias = Annotated[bytes, Base64Url(1, PLACE_MAX)]


class Export(ControlMessage):
    """Ask for what the relay holds of this device's account: a page of it, the one behind `place`."""

    type: Literal["export"] = "export"
    ref: U32
    place: Place | None = None


class Delete(ControlMessage):
    """Delete an account with all that the relay holds of it. Its key signs `wire.login.deletion_bytes`."""

    type: Literal["delete"] = "delete"
    ref: U32
    account_key: Key
    signature: Signature


class HeldAccount(ControlMessage):
    """The account, and its device list."""

    held: Literal["account"] = "account"
    account_key: Key
    device_list: EncodedDeviceList


class HeldFormerList(ControlMessage):
    """A device list that was replaced."""

    held: Literal["former_list"] = "former_list"
    version: U63
    device_list: EncodedDeviceList


class HeldMailbox(ControlMessage):
    """The mailbox of a device; with `dropped_at`, what is left of one that was dropped from the list then."""

    held: Literal["mailbox"] = "mailbox"
    device_key: Key
    next_sequence: U63
    skipped: U63
    frames: Count
    bytes: Count
    request_frames: Count
    request_bytes: Count
    expired: Count
    one_time_highest: U32
    one_time_kem_highest: U32
    checkpoint: SealedCheckpoint | None = Field(default=None, repr=False)
    full_at: U63 | None = None
    dropped_at: U63 | None = None


class HeldPrekey(ControlMessage):
    """A prekey that nobody has taken yet."""

    held: Literal["prekey"] = "prekey"
    device_key: Key
    kind: Annotated[int, Field(ge=1, le=5)]
    id: U32
    prekey: EncodedPrekey


class HeldToken(ControlMessage):
    """A delivery token by its hash; `puts_left`: frames that may be put with it right now, for its rate."""

    held: Literal["token"] = "token"
    device_key: Key
    hash: Hash = Field(repr=False)
    until: U63 | None = None
    puts_left: Count | None = None


class HeldFrame(ControlMessage):
    """A frame that waits. Its envelope comes by delivery; here are its size and its SHA-256."""

    held: Literal["frame"] = "frame"
    device_key: Key
    sequence: U63
    frame_id: FrameId
    stored_at: U63
    request: bool
    checksum: U32 | None = None
    size: Count
    sha256: Hash


class HeldRates(ControlMessage):
    """In memory: how many more lists of the account, and takes of its prekeys, its rates let in right now."""

    held: Literal["rates"] = "rates"
    lists_left: Count
    takes_left: Count


class HeldPresence(ControlMessage):
    """In memory: whether a device is connected, what it appears under, and what is on its way to it.

    `passing`: frames that were handed over and are neither acknowledged nor stored; `changes_left`: how many
    more changes of the device its rate lets in right now.
    """

    held: Literal["presence"] = "presence"
    device_key: Key
    connected: bool
    capabilities: Annotated[list[Hash], Field(max_length=CAPABILITIES_MAX, repr=False)]
    passing: Count
    changes_left: Count


Stored: TypeAlias = HeldAccount | HeldFormerList | HeldMailbox | HeldPrekey | HeldToken | HeldFrame
Record: TypeAlias = Annotated[Stored | HeldRates | HeldPresence, Field(discriminator="held")]


class Exported(ControlMessage):
    """A page of what the relay holds of the account. With `place` there is more behind it."""

    type: Literal["exported"] = "exported"
    ref: U32
    records: Annotated[list[Record], Field(max_length=RECORDS_PER_PAGE)]
    place: Place | None = None


class Deleted(ControlMessage):
    """The account is deleted, and the connection ends.

    `wiped`: nothing of it is in the relay's database files any more. Else their log still holds some of it,
    because a copy of them is being made; the relay goes on trying.
    """

    type: Literal["deleted"] = "deleted"
    ref: U32
    wiped: bool
