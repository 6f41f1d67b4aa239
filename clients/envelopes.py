"""Writing to a contact's devices: who can be written to, and what then goes into the outbox.

Owns the readiness of a contact's keys, and the step from a draft to frames in the outbox. Every writing call
runs inside a transaction that its caller opened. Knows nothing of what drafts say.
"""

from collections.abc import Sequence
from typing import Final

from clients import clock
from clients.engine import Draft, Engine
from clients.errors import TrustError, UsageError
from clients.model import ContactStatus
from clients.profile import Profile
from clients.store.contacts import ContactRow
from clients.store.outbox import Outbox
from clients.store.outgoing import Unsealed
from clients.store.repairs import Fault, Repairs
from clients.store.state import KeyState
from keys.content import Extension
from keys.primitives import Random
from wire.frames import Put
from wire.limits import FRAME_ID

SEALING_FRESH: Final = 30 * 86_400  # rotated weekly, its private half lives 60 days longer


class Envelopes:
    """The envelopes of one profile, on their way out."""

    def __init__(
        self,
        profile: Profile,
        state: KeyState,
        outbox: Outbox,
        repairs: Repairs,
        engine: Engine,
        random: Random,
    ) -> None:
        self._profile = profile
        self._state = state
        self._outbox = outbox
        self._repairs = repairs
        self._engine = engine
        self._random = random

    def needs_refresh(self, contact: ContactRow) -> bool:
        """Whether what we know of this contact's keys may be out of date.

        It told us of a newer device list, or its sealing key is so old that its private half may be gone,
        unless the relay has said since that there is no newer one.
        """
        devices = contact.devices.devices if contact.devices else ()
        known = [self._state.sealing_known(entry.device_key) for entry in devices]
        oldest = clock.now_seconds() - SEALING_FRESH
        return contact.is_stale or any(at is not None and at < oldest for at in known)

    def ready_devices(self, contact: ContactRow | None) -> list[bytes]:
        """The devices of a contact if all of them can be written to, else none."""
        if contact is None or contact.devices is None or self.needs_refresh(contact):
            return []
        keys = [entry.device_key for entry in contact.devices.devices]
        return keys if all(self.has_session(key) for key in keys) else []

    def has_session(self, device_key: bytes) -> bool:
        """Whether there is a session that can be written on, and none is to be begun in its place."""
        now = clock.now_seconds()
        is_due = self._repairs.is_due(device_key, Fault.SESSION, now)
        return not is_due and self._engine.has_session(device_key, now)

    def write(
        self,
        contact_id: int,
        device_key: bytes,
        drafts: Sequence[Draft],
        rows: Sequence[int | None] = (None,),
    ) -> list[int]:
        """Encrypt drafts into the outbox, in this order; returns their sequences.

        `rows` are their rows in the history, None for one that has none.
        """
        written = self._engine.write(self._profile.device_list, device_key, drafts)
        self._outbox.add_all(
            contact_id,
            [
                (Put(self._random(FRAME_ID), device_key, envelope), row)
                for each, row in zip(written, rows, strict=True)
                for envelope in each.envelopes
            ],
        )
        return [each.sequence for each in written]


def draft_of(message: Unsealed, sequence: int | None = None) -> Draft:
    """A message of the history as it is written, with the sequence that it had, or the next one."""
    reply = message.reply_to
    extensions = () if reply is None else ((int(Extension.REPLY_TO), reply),)
    return Draft(message.kind, message.message_id, message.body, message.sent_ms, extensions, sequence)


def check_writable(contact: ContactRow) -> None:
    """Raises TrustError or UsageError for a contact that nothing is sent to."""
    if contact.alarm is not None:
        raise TrustError(
            f"Nothing was sent to {contact.name!r}: {contact.alarm}. Ask the person by another way for the "
            f"right address; then run: blindpost contact replace {contact.name} ADDRESS --yes"
        )
    if contact.status is ContactStatus.BLOCKED:
        raise UsageError(
            f"{contact.name!r} is blocked. To write there again: blindpost contact unblock {contact.name}"
        )
    if contact.status is not ContactStatus.APPROVED:
        raise UsageError(
            f"{contact.name!r} is a request, no contact yet. Accept it first: "
            f"blindpost contact accept {contact.name} NAME"
        )
