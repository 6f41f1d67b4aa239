"""Where messages meet the store: writing them out, taking them in, each in one transaction.

Owns the border between the engine and the tables. Outgoing: history row, advanced ratchet and outbox frames
commit together, before anything is sent. Incoming: advanced ratchet, message, its id and the envelope's
hash commit together, before anything is acknowledged. Knows no sockets and no tasks.
"""

import time
from collections.abc import Sequence
from typing import Final

from clients.engine import Alarm, Draft, Engine, Received
from clients.errors import OutboxFullError, TooLargeError, TrustError, UsageError
from clients.model import ContactStatus
from clients.profile import Profile
from clients.store.contacts import ContactRow, Contacts
from clients.store.history import History
from clients.store.outbox import Outbox
from clients.store.state import KeyState
from keys.content import MESSAGE_ID, Content, Kind, Receipt, decode_receipt
from keys.errors import DecryptError, VerificationError
from keys.handshake import Party
from keys.identities import verify_device_list, verify_successor
from keys.primitives import Random, sha256
from wire.control import Bundle
from wire.device_lists import DeviceList, decode_device_list
from wire.frames import Deliver, Put
from wire.limits import FRAME_ID, TEXT_MAX
from wire.prekeys import decode_device_bundle

SEAL_BATCH: Final = 64
TAKE_IN_FOR: Final = 0.05  # seconds
SEALING_FRESH: Final = 30 * 86_400  # rotated weekly, its private half lives 60 days longer


def now_seconds() -> int:
    """Unix seconds."""
    return int(time.time())


def now_ms() -> int:
    """Unix milliseconds."""
    return int(time.time() * 1000)


class Mailroom:
    """One profile's messages, in and out."""

    def __init__(self, profile: Profile, random: Random) -> None:
        self._profile = profile
        self._store = profile.store
        self._random = random
        self.state = KeyState(profile.store)
        self.contacts = Contacts(profile.store)
        self.history = History(profile.store)
        self.outbox = Outbox(profile.store)
        self._engine = Engine(profile.device, profile.stream, self.state, random)
        self.undecryptable = 0
        self.replayed = 0

    # --- out ------------------------------------------------------------------------------------------

    def post(self, contact: ContactRow, kind: Kind, body: bytes) -> bytes:
        """Queue a message durably and return its id; it is encrypted at once if a session exists.

        Raises TooLargeError, OutboxFullError, TrustError, UsageError (a request that is no contact yet) or
        StorageError; then nothing was queued.
        """
        if len(body) > TEXT_MAX:
            raise TooLargeError(f"A message has at most {TEXT_MAX:,} bytes of UTF-8. Send it in parts.")
        if contact.alarm is not None:
            raise TrustError(
                f"Nothing was sent to {contact.name!r}: {contact.alarm}. Ask the person by another way; "
                f"then blindpost contact remove and add again with the right address."
            )
        if contact.status is not ContactStatus.APPROVED:
            raise UsageError(
                f"{contact.name!r} is a request, no contact yet. Accept it first: "
                f"blindpost contact add NAME {contact.shown().address}"
            )
        message_id = self._random(MESSAGE_ID)
        with self._store.transaction():
            if self.outbox.is_full():
                raise OutboxFullError(
                    "10,000 messages or 256 MiB wait to be sent. Let blindpost listen run until the relay "
                    "has taken them."
                )
            self.history.add_outgoing(contact.id, kind, message_id, body, now_ms())
            self.seal_waiting(contact.id)
        return message_id

    def _ready_devices(self, contact: ContactRow | None) -> list[bytes]:
        """The devices of a contact if all of them can be written to, else none."""
        if contact is None or contact.devices is None or self.needs_refresh(contact):
            return []
        keys = [entry.device_key for entry in contact.devices.devices]
        return keys if all(self._engine.has_session(key, now_seconds()) for key in keys) else []

    def needs_bundle(self, contact: ContactRow) -> bool:
        """Whether something must be fetched before this contact can be written to."""
        return not self._ready_devices(contact)

    def seal_waiting(self, contact_id: int) -> int:
        """Encrypt the oldest waiting messages of a contact into the outbox; returns how many."""
        with self._store.transaction():
            contact = self.contacts.by_id(contact_id)
            devices = self._ready_devices(contact)
            if not devices or contact is None or contact.alarm is not None:
                return 0
            waiting = self.history.unsealed(contact_id, SEAL_BATCH)
            for message in waiting:
                draft = Draft(message.kind, message.message_id, message.body, message.sent_ms)
                sequences = {key: self._write(contact_id, key, draft, message.row) for key in devices}
                self.history.sealed(message.row, sequences)
            return len(waiting)

    def _write(self, contact_id: int, device_key: bytes, draft: Draft, row: int | None) -> int:
        written = self._engine.write(self._profile.device_list, device_key, draft)
        for envelope in written.envelopes:
            self.outbox.add(contact_id, Put(self._random(FRAME_ID), device_key, envelope), row)
        return written.sequence

    def write_receipts(self) -> bool:
        """Put owed receipts into the outbox: to approved contacts only, one outstanding a device."""
        with self._store.transaction():
            owed = self.outbox.receipts_owed()
            written = [item for item in owed if self._write_receipt(*item)]
        return bool(written)

    def _write_receipt(self, contact_id: int, device_key: bytes, receipt: Receipt) -> bool:
        if device_key not in self._ready_devices(self.contacts.by_id(contact_id)):
            return False
        draft = Draft(Kind.RECEIPT, self._random(MESSAGE_ID), receipt.encode(), now_ms())
        self._write(contact_id, device_key, draft, None)
        self.outbox.receipt_written(device_key, receipt.stream_id)
        return True

    def waits_for_bundle(self, contact: ContactRow) -> bool:
        """Whether messages wait here that only a new session can carry, and nothing else is left to send."""
        if not self.needs_bundle(contact) or self.outbox.frames(contact.id, 0, 1):
            return False
        return bool(self.history.unsealed(contact.id, 1))

    def needs_refresh(self, contact: ContactRow) -> bool:
        """Whether what we know of this contact's keys may be out of date.

        It told us of a newer device list, or its sealing key is so old that its private half may be gone,
        unless the relay has said since that there is no newer one.
        """
        devices = contact.devices.devices if contact.devices else ()
        known = [self.state.sealing_known(entry.device_key) for entry in devices]
        oldest = now_seconds() - SEALING_FRESH
        return contact.is_stale or any(at is not None and at < oldest for at in known)

    def learn_bundle(self, contact: ContactRow, bundle: Bundle, *, begin: bool = True) -> None:
        """Verify what the relay answered, believe newer keys, and with `begin` begin missing sessions.

        A bundle that was fetched without a take has no one-time keys, and is no ground for a session.
        Raises TrustError, with the contact's alarm raised, when the list is not this account's signed
        successor; VerificationError or DecryptError for a broken bundle. Then nothing else changed.
        """
        devices = self._believe(contact, decode_device_list(bundle.device_list))
        with self._store.transaction():
            self.state.pin(devices)
            self.contacts.set_stale(contact.account_key, is_stale=False)
            self.outbox.drop_gone(contact.id, [entry.device_key for entry in devices.devices])
            for offered in bundle.devices:
                entry = devices.entry(offered.device_key)
                if entry is None:
                    continue
                party = Party(devices, entry)
                device_bundle = decode_device_bundle(offered.device_key, offered.prekeys)
                had_session = self._engine.has_session(offered.device_key, now_seconds())
                self._engine.learn_bundle(party, device_bundle, now_seconds())
                self.state.refreshed(entry.device_key, now_seconds())
                if begin and not had_session:
                    self._engine.start_session(self._profile.device_list, party, device_bundle, now_seconds())

    def _believe(self, contact: ContactRow, offered: DeviceList) -> DeviceList:
        verify_device_list(offered, contact.account_key)
        if contact.devices is None:
            return offered
        try:
            verify_successor(contact.devices, offered)
        except VerificationError as error:
            self.contacts.raise_alarm(contact.account_key, str(error))
            raise TrustError(f"{contact.name!r}: {error}. Nothing was sent.") from None
        return offered

    def mark_stale(self, contact_id: int) -> None:
        """A mailbox of this contact is not there: its device list is to be fetched anew."""
        contact = self.contacts.by_id(contact_id)
        if contact is not None:
            with self._store.transaction():
                self.contacts.set_stale(contact.account_key, is_stale=True)

    def frame_accepted(self, frame_ids: list[bytes]) -> None:
        """The relay holds these frames durably."""
        with self._store.transaction():
            for frame_id in frame_ids:
                row = self.outbox.accepted(frame_id)
                if row is not None:
                    self.history.accepted(row)

    def tidy(self) -> None:
        """Forget what protects against nothing any more: old envelope hashes and old handshakes."""
        with self._store.transaction():
            self.outbox.forget_consumed(now_seconds())
            self.state.forget_handshakes(now_seconds())
            self.state.tidy_sessions(now_seconds())

    # --- in -------------------------------------------------------------------------------------------

    def take_in(self, frames: Sequence[Deliver]) -> int:
        """Open frames from the first on and commit them; returns how many, which may be acknowledged then.

        At least one, and more for at most 50 ms, so that nobody's frames hold up everything else. What
        cannot be opened is counted and forgotten; it changes and resets nothing. Raises StorageError; then
        nothing was taken in and nothing may be acknowledged.
        """
        enough = time.monotonic() + TAKE_IN_FOR
        count = 0
        with self._store.transaction():
            now = now_seconds()
            for frame in frames:
                count += 1
                if self.outbox.consume(sha256(frame.envelope), now):
                    self._take_one(frame, now)
                else:
                    self.replayed += 1
                if time.monotonic() > enough:
                    break
        return count

    def unopened(self) -> str | None:
        """A sentence if something came in this run that could not be opened."""
        if not self.undecryptable:
            return None
        return f"{self.undecryptable} envelopes could not be opened; they changed nothing."

    def _take_one(self, frame: Deliver, now: int) -> None:
        # A frame that fails half way must leave no trace, while the rest of its batch goes on.
        db = self._store.db
        try:
            with db:
                received = self._engine.open(frame.envelope, now)
                self._keep(received)
        except DecryptError:
            self.undecryptable += 1
        except Alarm as alarm:
            self.contacts.raise_alarm(alarm.account_key, str(alarm))

    def _keep(self, received: Received) -> None:
        content, sender = received.content, received.sender
        device_key = sender.entry.device_key
        contact = self.contacts.by_account(sender.devices.account_key)
        if contact is None:
            raise DecryptError
        if contact.status is ContactStatus.REMOVED:
            self.contacts.wrote_again(contact)
        if received.alarm is not None:
            self.contacts.raise_alarm(contact.account_key, received.alarm)
        if received.is_list_old:
            self.contacts.set_stale(contact.account_key, is_stale=True)
        is_approved = contact.status is ContactStatus.APPROVED
        owes = content.kind not in (Kind.RECEIPT, Kind.TYPING, Kind.OPEN)
        arrived = self.outbox.arrived(device_key, content.stream_id).added(content.sequence)
        self.outbox.save_arrived(
            device_key, content.stream_id, arrived, now_seconds(), owes=owes and is_approved
        )
        if content.kind == Kind.RECEIPT:
            self._read_receipt(device_key, content)
        elif content.kind not in (Kind.TYPING, Kind.OPEN):
            self.history.add_incoming(
                contact.id, device_key, content, arrived, now_ms(), is_request=not is_approved
            )
        self.history.filled(device_key, content.stream_id, content.sequence, arrived)

    def _read_receipt(self, device_key: bytes, content: Content) -> None:
        receipt = decode_receipt(content.body)
        if receipt.stream_id == self._profile.stream:
            self.history.delivered(device_key, receipt.ranges)
