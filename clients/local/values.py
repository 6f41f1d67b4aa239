"""Contacts and messages back from the objects that calls answer with.

Owns the way from `to_json()` to the value it was made of. Knows nothing of lines.
"""

import base64
from datetime import datetime
from typing import Any

from clients.model import Contact, ContactStatus, Message, MessageStatus, Sharing
from keys.content import Kind
from wire.addresses import Address


def message_from(value: dict[str, Any]) -> Message:
    """The message that `Message.to_json` made this of."""
    is_data = "data" in value
    return Message(
        id=bytes.fromhex(value["id"]),
        contact=value["contact"],
        outgoing=value["direction"] == "out",
        kind=Kind.DATA if is_data else Kind.TEXT,
        body=base64.b64decode(value["data"]) if is_data else value["text"].encode(),
        sent_ms=round(datetime.fromisoformat(value["sent"]).timestamp() * 1000),
        sequence=value["sequence"],
        status=MessageStatus(value["status"]),
        late=value["late"],
        redelivered=value["redelivered"],
        missing_before=value["missing_before"],
        reply_to=None if value["reply_to"] is None else bytes.fromhex(value["reply_to"]),
        failed=value["failed"],
        seen=value["seen"],
    )


def contact_from(value: dict[str, Any]) -> Contact:
    """The contact that `Contact.to_json` made this of."""
    return Contact(
        name=value["name"],
        address=Address.parse(value["address"]),
        status=ContactStatus(value["status"]),
        devices=value["devices"],
        alarm=value["alarm"],
        display_name=value["display_name"],
        is_verified=value["verified"],
        sharing=Sharing(**value["sharing"]),
        unread=value["unread"],
        online=value["online"],
        typing=value["typing"],
    )
