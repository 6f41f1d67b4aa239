"""What a backup holds: one JSON object a line, as strict models.

Owns names, fields and bounds. What a device alone may hold has no field here, and so cannot get into a
backup: device and identity keys, sessions, prekeys, the stream id, what is on its way in the outbox.

In this order: one `profile`, then `own_list`, `relay`, `token`, `contact`, `device`, `message`.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clients.delays import MOST
from clients.model import ContactStatus, MessageStatus
from keys.content import MESSAGE_ID
from wire.control_values import U63, Base64Url, Count, EncodedDeviceList, Key, Token
from wire.limits import HASH, PUBLIC_KEY, RELAY_TEXT_MAX, TEXT_MAX, TOKEN

VERSION: Final = 1
LINE_MAX: Final = 1024 * 1024  # bytes of a record, its line feed left out
_AUTHORITY_MAX: Final = 512 * 1024
_NAME_MAX: Final = 200

Name: TypeAlias = Annotated[str, Field(max_length=_NAME_MAX)]
Sentence: TypeAlias = Annotated[str, Field(max_length=1000)]
Id: TypeAlias = Annotated[bytes, Base64Url(MESSAGE_ID, MESSAGE_ID)]
_Token: TypeAlias = Annotated[bytes, Base64Url(TOKEN, TOKEN)]
_Capability: TypeAlias = Annotated[bytes, Base64Url(HASH, HASH)]
Flag: TypeAlias = Annotated[int, Field(ge=0, le=3)]


class Record(BaseModel):
    """Base of all records: strict, closed and immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def encode(self) -> bytes:
        """One line; fields that are None are left out."""
        return self.model_dump_json(exclude_none=True).encode() + b"\n"


class ProfileRecord(Record):
    """Who this is. The counts say how much follows."""

    record: Literal["profile"] = "profile"
    version: Literal[1] = VERSION
    made: U63
    account: Annotated[bytes, Base64Url(PUBLIC_KEY, PUBLIC_KEY), Field(repr=False)]  # the seed
    relay: Annotated[str, Field(max_length=RELAY_TEXT_MAX)]
    authority: Annotated[bytes, Base64Url(1, _AUTHORITY_MAX)] | None = None
    display_name: Name = ""
    sharing: Annotated[bytes, Base64Url(3, 3)] | None = None
    receipt_delay_ms: Annotated[int, Field(ge=0, le=round(MOST * 1000))] | None = None
    contacts: Count
    messages: Count


class OwnListRecord(Record):
    """A version of our own device list."""

    record: Literal["own_list"] = "own_list"
    device_list: EncodedDeviceList


class RelayRecord(Record):
    """A relay that was met, and its key."""

    record: Literal["relay"] = "relay"
    origin: Annotated[str, Field(max_length=RELAY_TEXT_MAX + 8)]
    relay_key: Key


class TokenRecord(Record):
    """A delivery token of ours, so that those who were given one are no strangers afterwards."""

    record: Literal["token"] = "token"
    token: Token
    purpose: Literal["contacts", "address"]
    until: U63 | None = None


class ContactRecord(Record):
    """Somebody, and what is believed and decided. `number` is what devices and messages refer to."""

    record: Literal["contact"] = "contact"
    number: U63
    name: Name
    account_key: Key
    relay: Annotated[str, Field(max_length=RELAY_TEXT_MAX)]
    status: Annotated[ContactStatus, Field(strict=False)]
    device_list: EncodedDeviceList | None = None
    alarm: Sentence | None = None
    display_name: Name = ""
    verified: bool
    token: Annotated[_Token | None, Field(repr=False)] = None
    presence: Annotated[_Capability | None, Field(repr=False)] = None
    shares_presence: bool | None = None
    shares_typing: bool | None = None
    shares_read: bool | None = None
    told: bool  # whether it may hold a card of ours


class DeviceRecord(Record):
    """A device that was met: it belongs to this contact, and older prekeys of it are not believed."""

    record: Literal["device"] = "device"
    contact: U63
    device_key: Key
    newest_signed: U63


class MessageRecord(Record):
    """One message, in the order in which they were kept."""

    record: Literal["message"] = "message"
    contact: U63
    id: Id
    outgoing: bool
    kind: Annotated[int, Field(ge=0, le=255)]
    body: Annotated[bytes, Base64Url(0, TEXT_MAX), Field(repr=False)]
    sent_ms: U63
    sort_ms: U63
    sequence: U63
    status: Annotated[MessageStatus, Field(strict=False)]
    extensions: Annotated[bytes, Base64Url(0, 65_536), Field(repr=False)] = b""
    late: bool = False
    missing: U63 = 0
    handed: Flag
    seen: bool
    reply_to: Id | None = None
    key: Annotated[str, Field(max_length=_NAME_MAX)] | None = None
    failed: Sentence | None = None
    accepted_ms: U63 = 0


AnyRecord: TypeAlias = Annotated[
    ProfileRecord | OwnListRecord | RelayRecord | TokenRecord | ContactRecord | DeviceRecord | MessageRecord,
    Field(discriminator="record"),
]
_RECORDS: Final[TypeAdapter[AnyRecord]] = TypeAdapter(AnyRecord)


def decode_record(line: bytes) -> AnyRecord:
    """The record of a line. Raises ValueError, which quotes nothing of it."""
    try:
        return _RECORDS.validate_json(line)
    except ValidationError:
        raise ValueError("no record of a backup") from None
