"""What the application sees: contacts and messages, as plain values.

Owns the public shapes and their JSON. Knows nothing of keys, stores or sockets.
"""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from keys.content import Kind
from wire.addresses import Address

Json = dict[str, object]
_LATEST_MS: Final = 253_402_128_000_000  # 9999-12-30: every zone's clock can still show it


class ContactStatus(StrEnum):
    """How a contact came about."""

    APPROVED = "approved"  # added by the user
    REQUEST = "request"  # wrote to us; nothing automatic happens until it is accepted
    BLOCKED = "blocked"  # by the user; what it writes is dropped unread
    REMOVED = "removed"  # by the user; not listed, and a request again as soon as it writes


class MessageStatus(StrEnum):
    """Where a message is on its way."""

    QUEUED = "queued"  # safe in our outbox
    REQUESTED = "requested"  # at the relay as a request: kept only if the recipient accepts it
    ACCEPTED = "accepted"  # safe at the relay (fsynced)
    DELIVERED = "delivered"  # the recipient's own receipt says so
    READ = "read"  # the recipient says that a person has seen it
    FAILED = "failed"  # given up; `failed` of the message says why
    RECEIVED = "received"  # incoming

    def is_at_least(self, wanted: "MessageStatus") -> bool:
        """Whether a sent message is as far as `wanted`, or will get no further by waiting.

        A request is all that a relay can say before the recipient has accepted it.
        """
        if self is MessageStatus.REQUESTED:
            return wanted in (MessageStatus.QUEUED, MessageStatus.REQUESTED, MessageStatus.ACCEPTED)
        return self is MessageStatus.FAILED or _FAR.index(self) >= _FAR.index(wanted)


_FAR: Final = list(MessageStatus)


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a contact may learn of us besides receipts. None for one contact: as for all."""

    presence: bool | None = None  # whether we are online
    typing: bool | None = None
    read: bool | None = None  # that a person has seen a message

    def to_json(self) -> Json:
        """One JSON object."""
        return {"presence": self.presence, "typing": self.typing, "read": self.read}


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or program that messages go to and come from."""

    name: str
    address: Address  # without a token
    status: ContactStatus
    devices: int
    alarm: str | None
    display_name: str = ""  # what it calls itself: anybody can say anything
    is_verified: bool = False  # the user has compared the safety number
    sharing: Sharing = Sharing()
    unread: int = 0
    online: bool | None = None  # None: not known, because not watched or not shown to us
    typing: bool = False

    def to_json(self) -> Json:
        """One JSON object; `alarm` is a sentence or null, `online` null if it is not known."""
        return {
            "name": self.name,
            "address": self.address.text,
            "status": self.status.value,
            "devices": self.devices,
            "alarm": self.alarm,
            "display_name": self.display_name,
            "verified": self.is_verified,
            "sharing": self.sharing.to_json(),
            "unread": self.unread,
            "online": self.online,
            "typing": self.typing,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `body` is UTF-8 for text, opaque for data."""

    id: bytes
    contact: str
    outgoing: bool
    kind: int
    body: bytes = field(repr=False)
    sent_ms: int
    sequence: int
    status: MessageStatus
    late: bool = False
    redelivered: bool = False
    missing_before: int = 0
    reply_to: bytes | None = None  # id of the message that this one answers
    failed: str | None = None  # why, in a sentence
    seen: bool = True  # incoming: a person or program has had it before them

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    @property
    def sent(self) -> datetime:
        """When the sender says it was sent."""
        return datetime.fromtimestamp(min(self.sent_ms, _LATEST_MS) / 1000, UTC)

    def to_json(self) -> Json:
        """One JSON object: `text`, or `data` in base64 for bytes."""
        body = {"text": self.text}
        if self.kind == Kind.DATA:
            body = {"data": base64.b64encode(self.body).decode("ascii")}
        return {
            "id": self.id.hex(),
            "contact": self.contact,
            "direction": "out" if self.outgoing else "in",
            **body,
            "sent": self.sent.isoformat(timespec="milliseconds"),
            "sequence": self.sequence,
            "status": self.status.value,
            "late": self.late,
            "redelivered": self.redelivered,
            "missing_before": self.missing_before,
            "reply_to": None if self.reply_to is None else self.reply_to.hex(),
            "failed": self.failed,
            "seen": self.seen,
        }
