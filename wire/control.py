"""The JSON channel: every control message, both ways, as strict models.

Owns names, fields and their bounds. Signed objects travel as base64url of their canonical bytes. Unknown
types, extra fields and wrong types are refused with the name of the field, never with its value.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from wire import strict_json
from wire.account_messages import Delete as Delete
from wire.account_messages import Deleted as Deleted
from wire.account_messages import Export as Export
from wire.account_messages import Exported as Exported
from wire.control_message import ControlMessage as ControlMessage
from wire.control_values import (
    U32,
    U63,
    Base64Url,
    Count,
    EncodedDeviceList,
    EncodedPrekey,
    FrameId,
    Hash,
    Invite,
    Key,
    Nonce,
    SealedCheckpoint,
    Sentence,
    Signature,
    Token,
)
from wire.errors import ErrorCode, WireError
from wire.limits import (
    CAPABILITIES_MAX,
    DEVICES_PER_ACCOUNT,
    FORMER_PER_BUNDLE,
    PREKEYS_PER_PAGE,
    RELAY_TEXT_MAX,
    RESULTS_PER_MESSAGE,
    TOKEN,
    TOKENS_MAX,
)
from wire.login import Mode

# --- client to relay ---------------------------------------------------------------------------------


class Hello(ControlMessage):
    """First message of every connection: which kind it is and how the relay was dialled."""

    type: Literal["hello"] = "hello"
    mode: Annotated[Mode, Field(strict=False)]
    version: U32
    origin: Annotated[str, Field(max_length=RELAY_TEXT_MAX + 8)]
    nonce: Nonce


class Login(ControlMessage):
    """The device's answer to the relay's hello: its signature over `Greeting.login_bytes`."""

    type: Literal["login"] = "login"
    device_key: Key
    signature: Signature


class Register(ControlMessage):
    """Opens a mailbox for each device of a signed device list, or replaces the list by a successor.

    `invite` is what a relay may want of an account that is new to it.
    """

    type: Literal["register"] = "register"
    ref: U32
    device_list: EncodedDeviceList
    invite: Invite | None = Field(default=None, repr=False)


class Publish(ControlMessage):
    """One page of prekeys. Signed, sealing and last-resort keys replace older ones; one-time keys add up.

    With `anew` the device has lost the private halves of what was published: its one-time keys go first.
    """

    type: Literal["publish"] = "publish"
    ref: U32
    prekeys: Annotated[list[EncodedPrekey], Field(min_length=1, max_length=PREKEYS_PER_PAGE)]
    anew: bool | None = None


class Pull(ControlMessage):
    """Start delivery: the relay sends DELIVER frames, at most 256 or 1 MiB of them unacknowledged."""

    type: Literal["pull"] = "pull"


class Acknowledge(ControlMessage):
    """All that this connection delivered up to `through` is safe with the device; the relay deletes it."""

    type: Literal["acknowledge"] = "acknowledge"
    through: U63


class AllowedToken(ControlMessage):
    """A delivery token by its hash (`wire.capabilities.token_hash`); from `until` on it is dead."""

    hash: Hash
    until: U63 | None = None


class Allow(ControlMessage):
    """All delivery tokens of this device's mailbox, in place of those before, durably."""

    type: Literal["allow"] = "allow"
    ref: U32
    tokens: Annotated[list[AllowedToken], Field(max_length=TOKENS_MAX)]


class Appear(ControlMessage):
    """Whoever holds the capability of one of these secrets may know that this device is connected.

    In place of those before (`wire.capabilities.presence_capability`); with none the device is invisible.
    Kept in memory, for as long as this connection lasts. No answer.
    """

    type: Literal["appear"] = "appear"
    secrets: Annotated[
        list[Annotated[bytes, Base64Url(TOKEN, TOKEN)]], Field(max_length=CAPABILITIES_MAX, repr=False)
    ]


class Checkpoint(ControlMessage):
    """What the device wants to be shown at its next login, in place of the one before. No answer.

    Opaque to the relay: the device seals it for itself, and recognises by it that its store was rolled back.
    """

    type: Literal["checkpoint"] = "checkpoint"
    checkpoint: Annotated[SealedCheckpoint, Field(repr=False)]


class Attach(ControlMessage):
    """A delivery token for later PUTs to a mailbox on this connection. No answer, whatever the token is."""

    type: Literal["attach"] = "attach"
    mailbox: Key
    token: Token


class Watch(ControlMessage):
    """Ask whether a device is connected, now and at each change, by a presence capability.

    The same `ref` again replaces the watch, and keeps the connection from going idle.
    """

    type: Literal["watch"] = "watch"
    ref: U32
    capability: Annotated[Hash, Field(repr=False)]


class Fetch(ControlMessage):
    """Ask for an account's device list and bundles. With `take`, one-time prekeys are handed out too.

    With `since`, the lists after that version are shown as well, for whoever missed some.
    """

    type: Literal["fetch"] = "fetch"
    ref: U32
    account_key: Key
    take: bool
    since: U63 | None = None


# --- relay to client ---------------------------------------------------------------------------------


class RelayHello(ControlMessage):
    """The relay's signed answer to `hello`; the signature is over `Greeting.hello_bytes`."""

    type: Literal["relay_hello"] = "relay_hello"
    version: U32
    relay_key: Key
    nonce: Nonce
    time: U63
    signature: Signature


class Stock(ControlMessage):
    """How many one-time prekeys the relay still holds for the device. Sent after takes, unasked."""

    type: Literal["stock"] = "stock"
    one_time: Count
    one_time_kem: Count


class Welcome(ControlMessage):
    """The login holds; the signature is over `Greeting.welcome_bytes`.

    `expired` counts the frames that this mailbox ever lost: to the TTL, or to a disk. `checkpoint` is the
    last one that the device left. `full_at`: when a frame was last refused because the mailbox was full, to
    the hour.
    """

    type: Literal["welcome"] = "welcome"
    signature: Signature
    registered: bool
    expired: Count
    stock: Stock
    checkpoint: SealedCheckpoint | None = Field(default=None, repr=False)
    full_at: U63 | None = None


class Registered(ControlMessage):
    """The device list is stored and its mailboxes are open."""

    type: Literal["registered"] = "registered"
    ref: U32


class Published(ControlMessage):
    """The page of prekeys is stored."""

    type: Literal["published"] = "published"
    ref: U32
    stock: Stock


class Allowed(ControlMessage):
    """The delivery tokens are stored."""

    type: Literal["allowed"] = "allowed"
    ref: U32


class Presence(ControlMessage):
    """Whether a device is connected that appears under the watched capability.

    An unknown capability and a device that is away are one answer.
    """

    type: Literal["presence"] = "presence"
    ref: U32
    online: bool


class OfferedDevice(ControlMessage):
    """The prekeys of one device: signed, sealing, KEM, and a one-time X25519 prekey if one was left."""

    device_key: Key
    prekeys: Annotated[list[EncodedPrekey], Field(min_length=3, max_length=4)]


class Bundle(ControlMessage):
    """Answer to `fetch`. A device that has not published yet is missing from `devices`.

    `former`, if it was asked for: lists before the newest one, the oldest first.
    """

    type: Literal["bundle"] = "bundle"
    ref: U32
    device_list: EncodedDeviceList
    devices: Annotated[list[OfferedDevice], Field(max_length=DEVICES_PER_ACCOUNT)]
    former: Annotated[list[EncodedDeviceList], Field(max_length=FORMER_PER_BUNDLE)] | None = None


class Accepted(ControlMessage):
    """These frames are durable in their mailbox (fsynced), or already acknowledged by the device."""

    type: Literal["accepted"] = "accepted"
    frames: Annotated[list[FrameId], Field(min_length=1, max_length=RESULTS_PER_MESSAGE)]


class QueuedAsRequest(ControlMessage):
    """These frames are durable in their mailbox, but as requests: no token that holds was attached."""

    type: Literal["queued_as_request"] = "queued_as_request"
    frames: Annotated[list[FrameId], Field(min_length=1, max_length=RESULTS_PER_MESSAGE)]


class Refused(ControlMessage):
    """This frame was not stored. `retry_after` is in seconds, given where waiting helps."""

    type: Literal["refused"] = "refused"
    frame: FrameId
    code: Annotated[ErrorCode, Field(strict=False)]
    message: Sentence
    retry_after: Count | None = None


class Error(ControlMessage):
    """A request failed (`ref` says which), or something without a `ref` was refused.

    Before a login, and after 20 of them, the connection is closed behind it.
    """

    type: Literal["error"] = "error"
    code: Annotated[ErrorCode, Field(strict=False)]
    message: Sentence
    field: Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9_]*$")] | None = None
    ref: U32 | None = None
    retry_after: Count | None = None


ClientMessage: TypeAlias = Annotated[
    Hello
    | Login
    | Register
    | Publish
    | Pull
    | Acknowledge
    | Allow
    | Appear
    | Checkpoint
    | Fetch
    | Attach
    | Watch
    | Export
    | Delete,
    Field(discriminator="type"),
]
RelayMessage: TypeAlias = Annotated[
    RelayHello
    | Welcome
    | Registered
    | Published
    | Allowed
    | Stock
    | Bundle
    | Accepted
    | QueuedAsRequest
    | Refused
    | Presence
    | Exported
    | Deleted
    | Error,
    Field(discriminator="type"),
]
CLIENT_MESSAGES: Final[TypeAdapter[ClientMessage]] = TypeAdapter(ClientMessage)
RELAY_MESSAGES: Final[TypeAdapter[RelayMessage]] = TypeAdapter(RelayMessage)

_KNOWN_FIELDS: Final = frozenset(
    name for model in ControlMessage.__subclasses__() for name in model.model_fields
)


def _as_wire_error(error: ValidationError) -> WireError:
    """Name the field, never its value; a name the peer invented is not repeated either."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    names = [part for part in first["loc"] if isinstance(part, str) and part in _KNOWN_FIELDS]
    field = names[-1] if names else None
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return WireError(ErrorCode.BAD_REQUEST, "control message: unknown type", "type")
    what = {"missing": "a field is missing", "extra_forbidden": "an unknown field"}.get(
        first["type"], "a field has a wrong type, size or value"
    )
    return WireError(ErrorCode.BAD_REQUEST, f"control message: {what}", field)


def decode_client_message(text: str) -> ClientMessage:
    """What a client said. Raises WireError(BAD_REQUEST or TOO_LARGE)."""
    try:
        return CLIENT_MESSAGES.validate_python(strict_json.parse(text))
    except ValidationError as error:
        raise _as_wire_error(error) from None


def decode_relay_message(text: str) -> RelayMessage:
    """What the relay said. Raises WireError(BAD_REQUEST or TOO_LARGE)."""
    try:
        return RELAY_MESSAGES.validate_python(strict_json.parse(text))
    except ValidationError as error:
        raise _as_wire_error(error) from None
