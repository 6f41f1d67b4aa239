"""Repair: what happens when a device cannot be understood, or lacks something.

Owns the decisions. A session is made anew only for an approved contact, on an envelope that its device has
sealed and that was not here before, and seldom: garbage, replays and strangers reset nothing. What is
missing is asked for, and what a contact lacks is encrypted again under its old id and sequence. Every call
runs inside a transaction that its caller opened. Knows no sockets.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from typing import Final

from clients import clock
from clients.engine import Draft
from clients.envelopes import Envelopes, draft_of
from clients.model import ContactStatus
from clients.store.contacts import ContactRow, Contacts
from clients.store.history import History
from clients.store.outbox import RANGES_SENT, Outbox
from clients.store.ranges import Ranges
from clients.store.repairs import Fault, Repairs
from clients.store.state import KeyState
from keys.content import (
    MESSAGE_ID,
    RANGES_MAX,
    Content,
    Kind,
    Receipt,
    decode_receipt,
)
from keys.primitives import Random

ASKED_MAX: Final = 500  # sequences that one request is answered for
AGAIN_BATCH: Final = 64


class Repair:
    """The repairs of one profile."""

    def __init__(
        self,
        state: KeyState,
        contacts: Contacts,
        history: History,
        outbox: Outbox,
        repairs: Repairs,
        envelopes: Envelopes,
        random: Random,
        card_changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._contacts = contacts
        self._history = history
        self._outbox = outbox
        self._repairs = repairs
        self._envelopes = envelopes
        self._random = random
        self._card_changed = card_changed
        self._answers: set[int] = set()  # contacts that are to be sent something again, not known to senders
        self._unread: dict[int, int] = {}  # contact: envelopes that could not be decrypted in this run

    def lines(self) -> list[str]:
        """A sentence on each contact whose messages could not be decrypted in this run."""
        sentences = []
        for contact_id, count in self._unread.items():
            contact = self._contacts.by_id(contact_id)
            if contact is not None:
                what = "A message" if count == 1 else f"{count} messages"
                sentences.append(
                    f"{what} of {contact.name!r} could not be decrypted. The session is made anew, and what "
                    "is missing is asked for."
                )
        return sentences

    # --- what goes wrong here -------------------------------------------------------------------------

    def undecryptable(self, device_key: bytes) -> bool:
        """A known device's envelope cannot be decrypted; False if nothing is done about it."""
        owner = self._state.owner(device_key)
        contact = None if owner is None else self._contacts.by_account(owner)
        if contact is None or contact.status is not ContactStatus.APPROVED or contact.alarm is not None:
            return False
        self._repairs.owe(device_key, Fault.SESSION)
        self._unread[contact.id] = self._unread.get(contact.id, 0) + 1
        return True

    def replayed(self, device_key: bytes) -> None:
        """A contact's device repeats an envelope: perhaps our receipt for it was lost."""
        owner = self._state.owner(device_key)
        contact = None if owner is None else self._contacts.by_account(owner)
        if contact is None or contact.status is not ContactStatus.APPROVED:
            return
        if self._repairs.grant(device_key, Fault.RECEIPT, clock.now_seconds()):
            self._outbox.owe_receipt(device_key)

    def arrived(self, device_key: bytes, sequence: int, arrived: Ranges) -> None:
        """A content came from an approved contact: what is missing before it is to be asked for."""
        if sequence == arrived.highest and arrived.gaps(1):
            self._repairs.owe(device_key, Fault.GAP)

    def owed_to(self) -> set[int]:
        """Contacts with whom something is to be mended now."""
        now = clock.now_seconds()
        faults = (Fault.SESSION, Fault.RENEWED, Fault.GAP)
        return self._answers.union(*({each for each, _ in self._repairs.due(fault, now)} for fault in faults))

    def write_gaps(self, contacts: Container[int]) -> bool:
        """Put requests for what is missing into the outbox; False if none may be made now."""
        now = clock.now_seconds()
        written = False
        for contact_id, device_key in self._repairs.due(Fault.RENEWED, now):
            if contact_id in contacts and self._envelopes.has_session(device_key):
                self._repairs.done(device_key, Fault.RENEWED, now)
                self._begin_anew(device_key)
                self._outbox.owe_receipt(device_key)
                written = True
        for contact_id, device_key in self._repairs.due(Fault.GAP, now):
            contact = self._contacts.by_id(contact_id)
            if contact_id not in contacts or device_key not in self._envelopes.ready_devices(contact):
                continue
            self._repairs.done(device_key, Fault.GAP, now)
            last = self._outbox.arrived_last(device_key)
            gaps = () if last is None else self._outbox.arrived(device_key, last.stream_id).gaps(RANGES_SENT)
            if last is None or not gaps:
                continue  # it has come meanwhile
            body = Receipt(last.stream_id, gaps).encode()
            self._envelopes.write(contact_id, device_key, [self._draft(Kind.RESEND, body)])
            written = True
        return written

    def _draft(self, kind: Kind, body: bytes) -> Draft:
        return Draft(kind, self._random(MESSAGE_ID), body, clock.now_ms())

    # --- a new session --------------------------------------------------------------------------------

    def is_due(self, device_key: bytes) -> bool:
        """Whether a new session with this device is to be begun now."""
        return self._repairs.is_due(device_key, Fault.SESSION, clock.now_seconds())

    def must_send(self, contacts: Container[int]) -> bool:
        """Whether senders of these have to be woken: for what a contact lacks, or to begin a new session."""
        answers = {contact for contact in self._answers if contact in contacts}
        self._answers -= answers
        sessions = self._repairs.due(Fault.SESSION, clock.now_seconds())
        return bool(answers) or any(contact in contacts for contact, _ in sessions)

    def begun(self, contact_id: int, device_key: bytes) -> None:
        """A new session was begun for this: say so in it, and what has arrived before."""
        self._repairs.done(device_key, Fault.SESSION, clock.now_seconds())
        last = self._outbox.arrived_last(device_key)
        body = b"" if last is None else last.encode()
        # What was sealed for the session before may be as unreadable to the other side.
        self._begin_anew(device_key)
        self._envelopes.write(contact_id, device_key, [self._draft(Kind.REPAIR, body)])

    def begin_with_all(self) -> None:
        """Every session is lost: begin new ones with all contacts."""
        for device_key in self._state.devices_of_contacts():
            self._repairs.owe(device_key, Fault.SESSION)

    def _begin_anew(self, device_key: bytes) -> None:
        """Nothing that waits for this device or was not receipted by it is of use to it as it is sealed."""
        now = clock.now_seconds()
        self._outbox.drop_notes(device_key)
        self._state.forget_card(device_key, now + 1, now)
        self._card_changed()
        self._history.lacks_all(device_key)

    # --- what goes wrong over there -------------------------------------------------------------------

    def take(self, contact: ContactRow, device_key: bytes, content: Content) -> None:
        """Act on a contact's receipt, request or repair. Raises DecryptError for one that cannot be read."""
        if contact.status is not ContactStatus.APPROVED:
            return
        match content.kind:
            case Kind.RECEIPT:
                receipt = decode_receipt(content.body)
                if receipt.stream_id == self._state.stream:
                    self._lacking(contact, device_key, receipt.ranges[-1][1])
            case Kind.RESEND:
                missing = decode_receipt(content.body)
                if missing.stream_id == self._state.stream and self._may_send_again(contact, device_key):
                    self._answer(contact, device_key, missing.ranges)
            case Kind.REPAIR:
                arrived = decode_receipt(content.body) if content.body else None
                self._renewed(contact, device_key, arrived)

    def _lacking(self, contact: ContactRow, device_key: bytes, below: int) -> None:
        """The relay keeps the order, so what came before the last receipted one is lost to the device."""
        if self._history.is_lacking(device_key, below) and self._may_send_again(contact, device_key):
            self._history.lacks(device_key, below)

    def _may_send_again(self, contact: ContactRow, device_key: bytes, fault: Fault = Fault.AGAIN) -> bool:
        """Whether it may, which it is granted seldom; not before it can be written to, nor without end."""
        if not self._envelopes.has_session(device_key) or self._history.awaited_again(device_key) > ASKED_MAX:
            return False
        if not self._repairs.grant(device_key, fault, clock.now_seconds()):
            return False
        self._answers.add(contact.id)
        return True

    def _answer(self, contact: ContactRow, device_key: bytes, wanted: Iterable[tuple[int, int]]) -> None:
        """Send again what a contact asks for; where no message was, a content that says just that."""
        left, last_used = ASKED_MAX, self._state.last_sequence(device_key)
        for first, last in reversed([*wanted]):
            last = min(last, last_used)
            first = max(first, last - left + 1)
            if first > last:
                continue
            left -= last - first + 1
            messages = self._history.asked_for(device_key, first, last)
            for sequence in range(first, last + 1):
                if sequence not in messages:
                    draft = replace(self._draft(Kind.OPEN, b""), sequence=sequence)
                    self._envelopes.write(contact.id, device_key, [draft])

    def _renewed(self, contact: ContactRow, device_key: bytes, arrived: Receipt | None) -> None:
        """The contact has begun a new session, because it could not decrypt what we sent."""
        has_ours = arrived is None or arrived.stream_id == self._state.stream
        ranges = Ranges(() if arrived is None or not has_ours else arrived.ranges)
        self._history.delivered(device_key, ranges.pairs)
        if not self._may_send_again(contact, device_key, Fault.RENEWED):
            self._repairs.owe(device_key, Fault.RENEWED)
            return
        self._begin_anew(device_key)
        self._outbox.owe_receipt(device_key)
        if has_ours:
            behind = (ranges.highest + 1, self._state.last_sequence(device_key))
            self._answer(contact, device_key, (*ranges.gaps(RANGES_MAX), behind))

    # --- what no relay takes --------------------------------------------------------------------------

    def not_taken(self, frame_id: bytes) -> None:
        """A relay will never take a frame as it is: what it says is to be encrypted again.

        A note that is not owed anew is lost like any other: its recipient sees a gap, and asks (`_answer`).
        """
        frame = self._outbox.take_back(frame_id)
        if frame is None:
            return
        device_key, row = frame
        if row is not None:
            self._history.lacks_one(device_key, row)
            return
        now = clock.now_seconds()
        self._state.forget_card(device_key, now + 1, now)
        self._card_changed()
        self._outbox.owe_receipt(device_key)

    # --- again ----------------------------------------------------------------------------------------

    def write_again(self, contact: ContactRow) -> int:
        """Encrypt what is to be sent again into the outbox, oldest first; returns how many messages."""
        waiting = self._history.to_write_again(contact.id, AGAIN_BATCH)
        for device_key, sequence, message in waiting:
            self._outbox.drop(device_key, message.row)
            self._envelopes.write(contact.id, device_key, [draft_of(message, sequence)], [message.row])
            self._history.written_again(device_key, sequence)
        return len(waiting)
