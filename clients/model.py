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
    REQUEST = "request"  # wrote to us; nothing automatic happens until it is added
    REMOVED = "removed"  # by the user; not listed, and a request again as soon as it writes


class MessageStatus(StrEnum):
    """Where a message is on its way."""

    QUEUED = "queued"  # safe in our outbox
    ACCEPTED = "accepted"  # safe at the relay (fsynced)
    DELIVERED = "delivered"  # the recipient's own receipt says so
    RECEIVED = "received"  # incoming


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or program that messages go to and come from."""

    name: str
    address: Address
    status: ContactStatus
    devices: int
    alarm: str | None

    def to_json(self) -> Json:
        """One JSON object; `alarm` is a sentence or null."""
        return {
            "name": self.name,
            "address": self.address.text,
            "status": self.status.value,
            "devices": self.devices,
            "alarm": self.alarm,
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
        }
