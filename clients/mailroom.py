"""Where messages meet the store: writing them out, taking them in, each in one transaction.

Owns the border between the engine and the tables. Outgoing: history row, advanced ratchet and outbox frames
commit together, before anything is sent. Incoming: advanced ratchet, message, its id and the envelope's
hash commit together, before anything is acknowledged. Knows no sockets and no tasks.
"""

import time
from collections.abc import Container, Sequence
from typing import Final

from clients import clock
from clients.card import Cards
from clients.engine import Ahead, Alarm, Engine, Received, Undecryptable
from clients.envelopes import Envelopes, draft_of
from clients.errors import ClientError, TrustError
from clients.lives import Lives
from clients.model import ContactStatus
from clients.notes import ALL_CONTACTS, Notes
from clients.posting import Post, Posting
from clients.profile import Profile
from clients.repair import Repair
from clients.store.contacts import ContactRow, Contacts
from clients.store.history import History
from clients.store.outbox import Outbox
from clients.store.repairs import Repairs
from clients.store.state import KeyState
from keys.content import NOTES, Kind
from keys.errors import DecryptError, ForkError, VerificationError
from keys.handshake import Party
from keys.identities import verify_chain, verify_device_list
from keys.primitives import Random, sha256
from wire.control import Bundle
from wire.device_lists import DeviceList, decode_device_list
from wire.frames import FLAG_REQUEST, Deliver
from wire.limits import FRAME_ID
from wire.prekeys import PrekeyKind, decode_device_bundle

SEAL_BATCH: Final = 64
TAKE_IN_FOR: Final = 0.05  # seconds


class Mailroom:
    """One profile's messages, in and out."""

    def __init__(self, profile: Profile, random: Random) -> None:
        self._profile = profile
        self._store = profile.store
        self.state = KeyState(profile.store)
        self.contacts = Contacts(profile.store)
        self.history = History(profile.store)
        self.outbox = Outbox(profile.store)
        self.cards = Cards(profile.store, random)
        self._repairs = Repairs(profile.store)
        self._engine = Engine(profile.device, self.state, random)
        self._envelopes = Envelopes(profile, self.state, self.outbox, self._repairs, self._engine, random)
        self.notes = Notes(
            profile, self.state, self.contacts, self.history, self.outbox, self.cards, self._envelopes, random
        )
        self.repair = Repair(
            self.state, self.contacts, self.history, self.outbox, self._repairs, self._envelopes, random,
            self.notes.card_changed,
        )  # fmt: skip
        self.lives = Lives(
            self.state, self.history, self.outbox, self.repair, random, self.notes.card_changed
        )
        self.posting = Posting(profile, self.contacts, self.history, self.outbox, random, self.seal_waiting)
        self.is_judged = False  # whether our relay was asked if this store is an old copy, or cannot be asked
        self.undecryptable = 0
        self.dropped = 0  # messages of strangers that there was no room for
        self.replayed = 0

    # --- out ------------------------------------------------------------------------------------------

    def post(
        self,
        contact: ContactRow,
        kind: Kind,
        body: bytes,
        key: str | None = None,
        reply_to: bytes | None = None,
    ) -> bytes:
        """Queue one message durably and return its id. Raises what `Posting.post_all` returns or raises."""
        [outcome] = self.posting.post_all([Post(contact.id, kind, body, key, reply_to)])
        if isinstance(outcome, ClientError):
            raise outcome
        return outcome

    def needs_refresh(self, contact: ContactRow) -> bool:
        """See `Envelopes.needs_refresh`."""
        return self._envelopes.needs_refresh(contact)

    def needs_bundle(self, contact: ContactRow) -> bool:
        """Whether something must be fetched before this contact can be written to."""
        return not self._envelopes.ready_devices(contact)

    def seal_waiting(self, contact_id: int) -> int:
        """Encrypt the oldest waiting messages of a contact into the outbox; returns how many.

        What is to be sent again comes before what is sent first.
        """
        if not self.outbox.is_unwritten(contact_id):
            return 0
        with self._store.transaction():
            contact = self.contacts.by_id(contact_id)
            devices = self._envelopes.ready_devices(contact)
            if not devices or contact is None or contact.alarm is not None:
                return 0
            again = self.repair.write_again(contact)
            if again:
                return again
            waiting = self.history.unsealed(contact_id, SEAL_BATCH)
            if self.contacts.was_due(contact_id) or waiting:
                for key in devices:
                    self.notes.tell_card(contact, key)
            if waiting:
                drafts, rows = [draft_of(message) for message in waiting], [each.row for each in waiting]
                sequences = {key: self._envelopes.write(contact_id, key, drafts, rows) for key in devices}
                self.history.sealed(rows, sequences)
            return len(waiting)

    def waits_for_bundle(self, contact: ContactRow) -> bool:
        """Whether only a new session can carry what waits here, and nothing else is left to send."""
        if self.outbox.has_frames(contact.id) or not self.needs_bundle(contact):
            return False
        return contact.id in self.contacts_waiting()

    def contacts_waiting(self) -> list[int]:
        """Contacts with something to send."""
        return self.outbox.contacts_waiting(clock.now_seconds())

    def owed_to(self) -> dict[int, int]:
        """Contacts that something is owed to, each with the messages that its receipt would cover.

        Whatever goes out by itself because of what came in is among it.
        """
        others = [*self.repair.owed_to(), *self.contacts.all_due()]
        return dict.fromkeys(others, 0) | self.notes.owed_to()

    def write_owed(self, contacts: Container[int] = ALL_CONTACTS) -> bool:
        """Put what is owed to these into the outbox; whether senders may not know of all that waits."""
        with self._store.transaction():
            written = [self.notes.write_owed(contacts), self.repair.write_gaps(contacts)]
            must_send = self.repair.must_send(contacts)
        return any(written) or must_send or any(each in contacts for each in self.contacts.all_due())

    def repeat(self) -> list[int]:
        """Put again what a relay took long ago and nobody has receipted; returns the contacts."""
        with self._store.transaction():
            late = self.history.repeat(clock.now_ms(), SEAL_BATCH)
            for _, row in late:
                self.outbox.put_again(row)
        return list({contact for contact, _ in late})

    def learn_bundle(
        self, contact: ContactRow, bundle: Bundle, between: Sequence[DeviceList] = (), *, begin: bool = True
    ) -> None:
        """Verify what the relay answered, believe newer keys, and with `begin` begin missing sessions.

        `between` are the lists between the one believed so far and the bundle's, as the relay shows them.
        A bundle that was fetched without a take has no one-time keys, and is no ground for a session.
        Raises TrustError, with the contact's alarm raised, when the account has signed what contradicts what
        was believed; VerificationError or DecryptError for a broken bundle. Then nothing else changed.
        """
        devices = self._believe(contact, decode_device_list(bundle.device_list), between)
        now = clock.now_seconds()
        with self._store.transaction():
            self.state.pin(devices)
            self.contacts.list_shown(contact.account_key, devices.version)
            self._drop_gone(contact.id, devices)
            for offered in bundle.devices:
                entry = devices.entry(offered.device_key)
                if entry is None:
                    continue
                party = Party(devices, entry)
                device_bundle = decode_device_bundle(offered.device_key, offered.prekeys)
                had_session = self._envelopes.has_session(offered.device_key)
                is_due = self.repair.is_due(offered.device_key)
                self._engine.learn_bundle(party, device_bundle, now)
                self.state.refreshed(entry.device_key, now)
                if begin and not had_session:
                    self._engine.start_session(self._profile.device_list, party, device_bundle, now)
                    if is_due:
                        self.repair.begun(contact.id, offered.device_key)
            for envelope, is_request in self.outbox.take_deferred(contact.id):
                flags = FLAG_REQUEST if is_request else 0
                self._take_one(Deliver(bytes(FRAME_ID), self._profile.device.key, 1, flags, envelope), now)
        self.notes.card_changed()  # it can be written to now: perhaps it waits for our card

    def _drop_gone(self, contact_id: int, devices: DeviceList) -> None:
        """What is on its way to devices that are gone, or never came there, goes to those that are."""
        keys = [entry.device_key for entry in devices.devices]
        if self.outbox.drop_gone(contact_id, keys):
            self.contacts.set_due(contact_id)
        self._repairs.forget_others(contact_id, keys)

    def _believe(self, contact: ContactRow, offered: DeviceList, between: Sequence[DeviceList]) -> DeviceList:
        verify_device_list(offered, contact.account_key)
        for entry in offered.devices:
            if self.state.owner(entry.device_key) not in (None, contact.account_key):
                raise VerificationError("a device in the list belongs to another contact")
        if contact.devices is None:
            return offered
        try:
            verify_chain(contact.devices, between, offered)
        except ForkError as error:
            self.contacts.raise_alarm(contact.account_key, str(error))
            raise TrustError(f"{contact.name!r}: {error}. Nothing was sent.") from None
        return offered

    def mark_stale(self, contact_id: int) -> None:
        """A mailbox of this contact is not there: its device list is to be fetched anew."""
        contact = self.contacts.by_id(contact_id)
        if contact is not None:
            with self._store.transaction():
                self.contacts.expect_list(contact.account_key)

    def frame_accepted(self, frame_ids: list[bytes], *, as_request: bool = False) -> None:
        """The relay holds these frames durably: in the mailbox, or `as_request` beside it."""
        with self._store.transaction():
            for frame_id in frame_ids:
                row = self.outbox.accepted(frame_id, keep=not as_request)
                if row is not None and as_request:
                    self.history.requested(row, clock.now_ms())
                elif row is not None:
                    self.history.accepted(row, clock.now_ms())

    def frame_not_taken(self, frame_id: bytes) -> None:
        """No relay will take this frame as it is; what it says goes out in another one."""
        with self._store.transaction():
            self.repair.not_taken(frame_id)

    def tidy(self) -> None:
        """Forget what protects against nothing any more, and give up on what nobody has receipted."""
        now = clock.now_seconds()
        with self._store.transaction():
            self.outbox.forget_consumed(self.state.held_since(PrekeyKind.SEALING, now))
            self.state.forget_handshakes(now)
            self.state.tidy_sessions(now)
            self.history.expire(clock.now_ms())

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
            now = clock.now_seconds()
            for frame in frames:
                count += 1
                if self.outbox.consume(sha256(frame.envelope), now):
                    self._take_one(frame, now)
                else:
                    self._take_replayed(frame)
                if time.monotonic() > enough:
                    break
        return count

    def _take_replayed(self, frame: Deliver) -> None:
        self.replayed += 1
        sender = self._engine.sender_of(frame.envelope)
        if sender is not None:
            self.repair.replayed(sender.entry.device_key)

    def lost(self) -> list[str]:
        """Sentences on what came in this run and was not kept."""
        sentences = [*self.repair.lines(), *self.lives.lines()]
        if self.undecryptable:
            sentences.append(f"{self.undecryptable} envelopes could not be opened; they changed nothing.")
        if self.dropped:
            sentences.append(
                f"{self.dropped} messages of strangers were dropped, because too many wait already. Accept, "
                "block or remove some: blindpost contact requests"
            )
        return sentences

    def _take_one(self, frame: Deliver, now: int) -> None:
        # A frame that fails half way must leave no trace, while the rest of its batch goes on.
        db = self._store.db
        try:
            with db:
                received = self._engine.open(frame.envelope, now)
                self._keep(received, now, is_request=bool(frame.flags & FLAG_REQUEST))
        except Undecryptable as error:
            if not self.repair.undecryptable(error.device_key):
                self.undecryptable += 1
        except (DecryptError, ValueError, _NoRoom) as error:
            # ValueError: nothing that one frame says may stop the others. Anybody can make up such frames,
            # without end, so not even their hashes are kept.
            self.outbox.unconsume(sha256(frame.envelope))
            self.dropped += isinstance(error, _NoRoom)
            self.undecryptable += not isinstance(error, _NoRoom)
        except Alarm as alarm:
            self.contacts.raise_alarm(alarm.account_key, str(alarm))
        except Ahead as ahead:
            self._defer(frame, ahead.account_key, ahead.version, now)

    def _defer(self, frame: Deliver, account_key: bytes, version: int, now: int) -> None:
        """Keep an opening until the device lists that it follows are known; its sender is asked for now.

        Nobody is asked for on behalf of a stranger, of whom nothing is believed that could be betrayed: it
        is met anew.
        """
        contact = self.contacts.by_account(account_key)
        if contact is None or contact.status is ContactStatus.BLOCKED:
            return
        if contact.status is not ContactStatus.APPROVED:
            self.contacts.forget_list(contact.id)
            self._take_one(frame, now)
        elif not self.outbox.defer(contact.id, frame.envelope, bool(frame.flags & FLAG_REQUEST)):
            self.undecryptable += 1
        else:
            self.contacts.expect_list(account_key, version)
            self.contacts.set_due(contact.id)

    def _keep(self, received: Received, now: int, *, is_request: bool) -> None:
        content, sender = received.content, received.sender
        device_key = sender.entry.device_key
        contact = self.contacts.by_account(sender.devices.account_key)
        if contact is None:
            raise DecryptError
        if contact.status is ContactStatus.BLOCKED:
            return  # read by nobody, told to nobody; only the ratchet has moved
        is_note = content.kind in NOTES
        is_approved = contact.status is ContactStatus.APPROVED
        if not is_approved and not self.contacts.has_room(contact, len(content.body)):
            raise _NoRoom
        if contact.status is ContactStatus.REMOVED and not is_note:
            self.contacts.wrote_again(contact)
            self.notes.on_contact(contact.id)
        if received.alarm is not None:
            self.contacts.raise_alarm(contact.account_key, received.alarm)
        if received.has_new_list:
            self._drop_gone(contact.id, sender.devices)
        if received.newer_list:
            self.contacts.expect_list(contact.account_key, received.newer_list)
            if is_approved:
                self.contacts.set_due(contact.id)  # nothing is sent there before, not even a receipt
        arrived = self.outbox.arrived(device_key, content.stream_id).added(content.sequence)
        owes = is_approved and not is_note
        self.outbox.save_arrived(device_key, content.stream_id, arrived, now, owes=owes)
        if owes:
            self.notes.came(contact.id)
        if is_note:
            self.notes.take(contact, device_key, content)
            if not received.is_overtaken:
                self.repair.take(contact, device_key, content)
        else:
            self.notes.on_typing(contact.id, False)
            self.history.add_incoming(
                contact.id, device_key, content, arrived, clock.now_ms(), is_request=not is_approved
            )
            self.notes.on_unread(contact.id)
        self.history.filled(device_key, content.stream_id, content.sequence, arrived)
        if is_approved:
            self.repair.arrived(device_key, content.sequence, arrived)
        if is_request:
            self.notes.wrote_as_stranger(contact, device_key)
        if is_approved and not self.state.told_card(device_key):
            self.notes.card_changed()  # added before it first wrote: it gets our card with the receipt


class _NoRoom(Exception):
    """A stranger's message that is not kept, because too many are."""
