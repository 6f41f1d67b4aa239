"""Every call that a process may be asked for, as strict models.

    {"call": NAME, "ref": NUMBER, ...arguments}

Owns names, arguments and their bounds. Unknown calls and arguments are refused by name. Carrying them out is
`clients.local.performer`'s.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clients.errors import UsageError
from clients.model import Json, MessageStatus

HISTORY_MAX: Final = 10_000  # messages one call may ask for; as many come as one line holds
WAIT_MAX: Final = 86_400.0  # seconds

Ref = Annotated[int, Field(ge=0, lt=2**53)]
# A contact's name, or an address with its relay where the call takes one.
Name = Annotated[str, Field(min_length=1, max_length=400)]
Words = Annotated[str, Field(max_length=1000)]
Key = Annotated[str, Field(min_length=1, max_length=200)]
MessageId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Seconds = Annotated[float, Field(ge=0, le=WAIT_MAX, allow_inf_nan=False)]
Choice = bool | None


class Call(BaseModel):
    """One call. `ref` comes back with the answer."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    ref: Ref


class Me(Call):
    """Who we are and how it goes; with `settle`, once it is connected or knows why not."""

    settle: Seconds | None = None


class Contacts(Call):
    """Contacts and requests in order, as many as fit in a line; with `after`, those behind that name."""

    after: Name | None = None


class Contact(Call):
    """One contact, by name or address."""

    name: Name


class Add(Call):
    """Add a contact, or accept the request from this address."""

    name: Name
    address: Name


class Accept(Call):
    """Make a request a contact, under `as` or the name it gives itself."""

    name: Name
    as_name: Name | None = Field(None, alias="as")


class Remove(Call):
    """Remove a contact; with `force` also where a history goes with it."""

    name: Name
    force: bool = False


class Rename(Call):
    """Give a contact another name."""

    name: Name
    to: Name


class Block(Call):
    """Drop what this contact writes, unread."""

    name: Name


class Unblock(Call):
    """A contact as before."""

    name: Name


class Replace(Call):
    """Another account under the same name, or the same one met anew."""

    name: Name
    address: Name


class SafetyNumber(Call):
    """The digits to compare with a contact."""

    name: Name


class Verify(Call):
    """Compare what the other side shows with the safety number."""

    name: Name
    text: Words


class Share(Call):
    """What a contact, or without `name` everybody, may learn; null is "as all". Without a choice: ask."""

    name: Name | None = None
    presence: Choice = None
    typing: Choice = None
    read: Choice = None


class Delay(Call):
    """How many seconds receipts wait at most, or without `longest`: ask."""

    longest: Seconds | None = None


class SetName(Call):
    """What we call ourselves."""

    display_name: Annotated[str, Field(max_length=1000)]


class RenewAddress(Call):
    """A new address line; the one given out before makes strangers of those who use it."""


class TrustRelay(Call):
    """This relay's new key is genuine."""

    relay: Name


class ExportAccount(Call):
    """What the relay holds of the account: a page of records, and the place where the next one begins."""

    place: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{2,87}$")] | None = None


class DeleteAccount(Call):
    """Delete the account at its relay, for good."""


class Send(Call):
    """Queue a text or bytes. Repeating it under the same `key` sends nothing twice.

    A full outbox is given `timeout` seconds to empty.
    """

    to: Name
    text: str | None = None
    data: str | None = None
    key: Key | None = None
    reply_to: MessageId | None = None
    timeout: Seconds = 0.0

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("give text or data, one of them")
        return self


class Status(Call):
    """How far a sent message is; with `wait`, once it is that far, within `timeout` seconds."""

    id: MessageId
    wait: Literal["queued", "requested", "accepted", "delivered", "read"] | None = None
    timeout: Seconds = 15.0


class History(Call):
    """The last messages with a contact, oldest first, as many as fit in a line; those before `before`."""

    name: Name
    limit: Annotated[int, Field(ge=1, le=HISTORY_MAX)] = 50
    since_ms: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    search: Words | None = None
    before: MessageId | None = None


class Read(Call):
    """A person has seen this conversation, up to the message `through` or to its end."""

    name: Name
    through: MessageId | None = None


class Typing(Call):
    """Tell a contact that we type, or no more."""

    name: Name
    on: bool


class Flush(Call):
    """Wait until nothing waits to be sent, receipts included."""

    timeout: Seconds


class Backup(Call):
    """Write a backup to `file`, a whole path; events tell how far it is, the last one that it is done."""

    file: Annotated[str, Field(min_length=1, max_length=4096)]
    passphrase: Annotated[str, Field(max_length=1000, repr=False)]


class Watch(Call):
    """Events of everything or of one contact, from now on; without `messages`, of all but messages."""

    name: Name | None = None
    messages: bool = True


class Listen(Call):
    """The stream of messages, one in hand at a time."""


class Done(Call):
    """The message in hand has been dealt with."""

    id: MessageId


CALLS: Final[dict[str, type[Call]]] = {
    "me": Me, "contacts": Contacts, "contact": Contact, "add": Add, "accept": Accept, "remove": Remove,
    "rename": Rename, "block": Block, "unblock": Unblock, "replace": Replace, "safety_number": SafetyNumber,
    "verify": Verify, "share": Share, "delay": Delay, "set_name": SetName, "renew_address": RenewAddress,
    "trust_relay": TrustRelay, "export_account": ExportAccount, "delete_account": DeleteAccount,
    "send": Send, "status": Status, "history": History, "read": Read,
    "typing": Typing, "flush": Flush, "backup": Backup, "watch": Watch, "listen": Listen, "done": Done,
}  # fmt: skip


def status_wanted(call: Status) -> MessageStatus | None:
    """What `wait` asks for."""
    return None if call.wait is None else MessageStatus(call.wait)


def ref_of(value: Json) -> int | None:
    """The ref of something that may not be a call at all, for the answer."""
    ref = value.get("ref")
    return ref if isinstance(ref, int) and not isinstance(ref, bool) and 0 <= ref < 2**53 else None


def parse_call(value: Json) -> Call:
    """The call in an object. Raises UsageError naming what is wrong."""
    arguments = dict(value)
    name = arguments.pop("call", None)
    if not isinstance(name, str) or name not in CALLS:
        raise UsageError(f"There is no call {_shown(name)}. There are: {', '.join(CALLS)}.")
    try:
        return CALLS[name].model_validate(arguments)
    except ValidationError as error:
        raise UsageError(_sentence(name, error)) from None


def _shown(name: Any) -> str:
    return ascii(name[:40]) if isinstance(name, str) else "without a name"


def _sentence(call: str, error: ValidationError) -> str:
    """Name the field, never its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = _shown(str(first["loc"][0])) if first["loc"] else ""
    match first["type"]:
        case "missing":
            return f"The call {call!r} lacks the field {field}."
        case "extra_forbidden":
            return f"The call {call!r} has no field {field}."
        case "value_error":
            return f"The call {call!r}: {first['msg'].removeprefix('Value error, ')}."
        case _:
            return f"The call {call!r}: the field {field} has a wrong type, size or value."
