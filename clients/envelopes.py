"""Writing to a contact's devices: who can be written to, and what then goes into the outbox.

Owns the readiness of a contact's keys, and the step from a draft to frames in the outbox. Every writing call
runs inside a transaction that its caller opened. Knows nothing of what drafts say.
"""

from typing import Final

from clients import clock
from clients.engine import Draft, Engine
from clients.profile import Profile
from clients.store.contacts import ContactRow
from clients.store.outbox import Outbox
from clients.store.state import KeyState
from keys.primitives import Random
from wire.frames import Put
from wire.limits import FRAME_ID

SEALING_FRESH: Final = 30 * 86_400  # rotated weekly, its private half lives 60 days longer


class Envelopes:
    """The envelopes of one profile, on their way out."""

    def __init__(
        self, profile: Profile, state: KeyState, outbox: Outbox, engine: Engine, random: Random
    ) -> None:
        self._profile = profile
        self._state = state
        self._outbox = outbox
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
        return keys if all(self._engine.has_session(key, clock.now_seconds()) for key in keys) else []

    def write(self, contact_id: int, device_key: bytes, draft: Draft, row: int | None) -> int:
        """Encrypt a draft into the outbox; returns its sequence. `row` is its row in the history, if any."""
        written = self._engine.write(self._profile.device_list, device_key, draft)
        for envelope in written.envelopes:
            self._outbox.add(contact_id, Put(self._random(FRAME_ID), device_key, envelope), row)
        return written.sequence
