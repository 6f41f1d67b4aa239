"""What a session wants done: the words between `relay.session` and `relay.connection`.

Owns plain values; a `Batch` is to be put, and answered with `Session.settle`. Knows neither who decides them
nor who carries them out.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from relay.lanes import Batch
from relay.metrics import Drop
from relay.store.base import Token
from wire.control import ControlMessage
from wire.device_lists import DeviceList
from wire.errors import CloseCode
from wire.login import Mode
from wire.prekeys import Prekey


@dataclass(frozen=True, slots=True)
class Send:
    """Send a control message."""

    message: ControlMessage


# Not frozen: one is made for each frame, and that would take three times as long.
@dataclass(slots=True)
class Say:
    """Write a control message that is a text already."""

    text: str


# Not frozen: one is made for each frame, and that would take three times as long.
@dataclass(slots=True)
class SendFrames:
    """Send DELIVER frames."""

    frames: list[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Close:
    """Close with this code once everything before it is written. `drop` names why, where it is a loss."""

    code: CloseCode
    drop: Drop | None = None


@dataclass(frozen=True, slots=True)
class Greeted:
    """The hello is done: the connection is of this kind from now on."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class LogIn:
    """The device proved its key: make this its connection, and answer with `Session.welcome`."""

    device_key: bytes


@dataclass(frozen=True, slots=True)
class Register:
    """Store a verified device list, answer with `Session.enrolled`. An invite is known by its hash."""

    ref: int
    device_list: DeviceList
    invite_hash: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Publish:
    """Store verified prekeys of this connection's device, answer with `Session.published`."""

    ref: int
    prekeys: tuple[Prekey, ...]
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Allow:
    """Store the delivery tokens of this connection's mailbox, answer with `Session.allowed`."""

    ref: int
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """Look up a page of what is held of this connection's account, answer with `relay.accounts.exported`."""

    ref: int
    place: bytes | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an account whose key has signed for it, answer with `Session.deleted`."""

    ref: int
    account_key: bytes


@dataclass(frozen=True, slots=True)
class KeepCheckpoint:
    """Keep this for the device's next login."""

    checkpoint: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Appear:
    """Show this connection's device to whoever holds one of these capabilities."""

    capabilities: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell this connection of the presence behind a capability, now and at each change."""

    ref: int
    capability: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fetch:
    """Look up an account, answer with `Session.offered`."""

    ref: int
    account_key: bytes
    take: bool
    since: int | None = None


@dataclass(frozen=True, slots=True)
class StartDelivery:
    """Keep pulling as long as `Session.room` allows, each time through `Session.deliver`."""


# Not frozen, as above.
@dataclass(slots=True)
class Acknowledge:
    """Delete up to this sequence in this connection's mailbox."""

    through: int


Action: TypeAlias = (
    Send
    | Say
    | SendFrames
    | Close
    | Greeted
    | LogIn
    | Register
    | Publish
    | Allow
    | Export
    | Delete
    | KeepCheckpoint
    | Appear
    | Watch
    | Fetch
    | Batch
    | StartDelivery
    | Acknowledge
)
