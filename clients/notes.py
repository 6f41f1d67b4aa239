"""Notes between clients, which no user writes: receipts, read marks, cards, and that somebody types.

Owns when one is due, and what a received one changes. They go to approved contacts only, and wait for each
other at the door of a device. Knows no sockets, and not how long a note waits. Every call but `write_owed`,
`owed_to` and `typing` runs inside a transaction that its caller opened.
"""

from collections.abc import Callable, Container
from typing import Final

from clients import clock
from clients.card import Card, Cards
from clients.engine import Draft
from clients.envelopes import Envelopes
from clients.model import ContactStatus
from clients.profile import Profile
from clients.store.contacts import ContactRow, Contacts
from clients.store.history import History
from clients.store.outbox import Outbox
from clients.store.state import KeyState
from clients.store.store import Store
from keys.content import (
    MESSAGE_ID,
    Content,
    Extension,
    Kind,
    ReadMark,
    Receipt,
    decode_read,
    decode_receipt,
    decode_typing,
)
from keys.errors import DecryptError
from keys.primitives import Random
from wire.addresses import RelayUrl
from wire.errors import WireError
from wire.limits import HASH, TOKEN

DISPLAY_NAME_MAX: Final = 256  # bytes: 64 characters
TYPING_AGE_MS: Final = 60_000  # one that comes later tells nothing any more
TELL_AGAIN: Final = 3600  # seconds: whoever writes without our token may have lost our card

ALL_CONTACTS: Final[Container[int]] = range(1, 2**63)  # their rows

Typing = Callable[[int, bool], None]  # contact's row, whether somebody types there


class Notes:
    """The notes of one profile, out and in."""

    def __init__(
        self,
        profile: Profile,
        state: KeyState,
        contacts: Contacts,
        history: History,
        outbox: Outbox,
        cards: Cards,
        envelopes: Envelopes,
        random: Random,
    ) -> None:
        self._store: Store = profile.store
        self._relay = profile.relay.text.encode()
        self._state = state
        self._contacts = contacts
        self._history = history
        self._outbox = outbox
        self._cards = cards
        self._envelopes = envelopes
        self._random = random
        self._cards_due = True
        self._wait_for_card: set[int] = set()  # contacts
        self._unreceipted: dict[
            int, int
        ] = {}  # contact: messages that came since its last receipt, in this run
        self.on_typing: Typing = lambda contact, is_typing: None
        self.on_unread: Callable[[int], None] = lambda contact: None
        self.on_contact: Callable[[int], None] = lambda contact: None  # one that is not what it was

    # --- out ------------------------------------------------------------------------------------------

    def card_changed(self) -> None:
        """Our card, or who may have it, is not what it was: `write_owed` tells whoever has another one."""
        self._cards_due = True

    def came(self, contact_id: int) -> None:
        """A message that is to be receipted came from this contact."""
        self._unreceipted[contact_id] = self._unreceipted.get(contact_id, 0) + 1

    def owed_to(self) -> dict[int, int]:
        """Contacts that some note may be owed to, each with the messages that its receipt would cover."""
        self._note_cards()
        owed = {*self._outbox.notes_owed(), *self._wait_for_card}
        return {contact: self._unreceipted.get(contact, 0) for contact in owed}

    def _note_cards(self) -> None:
        if self._cards_due:
            version = self._cards.current(clock.now_seconds()).version
            self._wait_for_card = {contact for contact, _ in self._state.without_card(version)}
            self._cards_due = False

    def write_receipts(self, contacts: Container[int] = ALL_CONTACTS) -> bool:
        """Put owed receipts into the outbox: to approved contacts only, one outstanding a device."""
        with self._store.transaction():
            owed = [each for each in self._outbox.receipts_owed() if each[0] in contacts]
            written = [self._write_receipt(*each) for each in owed]
        for contact_id, *_ in owed:
            self._unreceipted.pop(contact_id, None)
        return any(written)

    def write_owed(self, contacts: Container[int] = ALL_CONTACTS) -> bool:
        """Put everything that is owed to these contacts into the outbox; False if nothing was."""
        self._note_cards()
        with self._store.transaction():
            written = [self.write_receipts(contacts)]
            reads = [each for each in self._outbox.reads_owed() if each[0] in contacts]
            written += [self._write_read(*each) for each in reads]
            told = {each for each in self._wait_for_card if each in contacts}
            waiting = self._write_cards(told, written) if told else set()
        self._wait_for_card = (self._wait_for_card - told) | waiting  # not before the commit
        return any(written)

    def _write_cards(self, contacts: set[int], written: list[bool]) -> set[int]:
        """Tell our card to whoever has another one; returns those that wait for a note that is on its way."""
        card = self._cards.current(clock.now_seconds())
        waiting = set()
        for contact_id, device_key in self._state.without_card(card.version):
            if contact_id not in contacts:
                continue
            if self._outbox.has_note(device_key):
                waiting.add(contact_id)
            else:
                written.append(self._write_card(contact_id, device_key, card))
        return waiting

    def _draft(self, kind: Kind, body: bytes, *extensions: tuple[int, bytes]) -> Draft:
        return Draft(kind, self._random(MESSAGE_ID), body, clock.now_ms(), extensions)

    def _is_ready(self, contact_id: int, device_key: bytes) -> bool:
        return device_key in self._envelopes.ready_devices(self._contacts.by_id(contact_id))

    def _write_receipt(self, contact_id: int, device_key: bytes, receipt: Receipt) -> bool:
        if not self._is_ready(contact_id, device_key):
            return False
        self._envelopes.write(contact_id, device_key, [self._draft(Kind.RECEIPT, receipt.encode())])
        self._outbox.receipt_written(device_key, receipt.stream_id)
        return True

    def _write_read(self, contact_id: int, device_key: bytes, mark: ReadMark) -> bool:
        contact = self._contacts.by_id(contact_id)
        shares = contact is not None and self._shares(contact.sharing.read, self._cards.sharing().read)
        if shares and not self._is_ready(contact_id, device_key):
            return False
        self._outbox.read_written(device_key, mark.stream_id)
        if shares:
            self._envelopes.write(contact_id, device_key, [self._draft(Kind.READ, mark.encode())])
        return shares

    @staticmethod
    def _shares(one: bool | None, all: bool | None) -> bool:
        return bool(all if one is None else one)

    def tell_card(self, contact: ContactRow, device_key: bytes) -> None:
        """Our card goes ahead of what follows, unless the device has it."""
        if self._cards.is_newer(self._state.told_card(device_key)):
            self._write_card(contact.id, device_key, self._cards.current(clock.now_seconds()))

    def _write_card(self, contact_id: int, device_key: bytes, card: Card) -> bool:
        contact = self._contacts.by_id(contact_id)
        if contact is None or device_key not in self._envelopes.ready_devices(contact):
            return False
        gifts = [(int(Extension.TOKEN), card.token), (int(Extension.RELAY), self._relay)]
        if self._shares(contact.sharing.presence, self._cards.sharing().presence):
            gifts.append((int(Extension.PRESENCE), card.presence))
        draft = self._draft(Kind.PROFILE, card.display_name.encode(), *gifts)
        self._envelopes.write(contact_id, device_key, [draft])
        self._state.card_told(device_key, card.version, clock.now_seconds())
        return True

    def typing(self, contact: ContactRow, *, is_typing: bool) -> bool:
        """Say that somebody types here, if the contact may know and at most a note is on its way there."""
        if contact.status is not ContactStatus.APPROVED or contact.alarm is not None:
            return False
        if not self._shares(contact.sharing.typing, self._cards.sharing().typing):
            return False
        with self._store.transaction():
            devices, ahead = self._envelopes.ready_devices(contact), self._outbox.frames(contact.id, 0, 2)
            # A receipt may go out at any moment, and be ahead for some milliseconds.
            is_behind = len(ahead) > 1 or any(not self._outbox.has_note(each.frame.mailbox) for each in ahead)
            if not devices or is_behind:
                return False
            for device_key in devices:
                draft = self._draft(Kind.TYPING, b"\x01" if is_typing else b"\x00")
                self._envelopes.write(contact.id, device_key, [draft])
        return True

    # --- in -------------------------------------------------------------------------------------------

    def take(self, contact: ContactRow, device_key: bytes, content: Content) -> None:
        """Act on a received note. Raises DecryptError for one that cannot be read; then nothing changes."""
        match content.kind:
            case Kind.RECEIPT:
                receipt = decode_receipt(content.body)
                if receipt.stream_id == self._state.stream:
                    self._history.delivered(device_key, receipt.ranges)
            case Kind.READ:
                mark = decode_read(content.body)
                if mark.stream_id == self._state.stream:
                    self._history.read(device_key, mark.through)
            case Kind.TYPING:
                is_typing = decode_typing(content.body)
                is_recent = abs(clock.now_ms() - content.sent_ms) < TYPING_AGE_MS
                if contact.status is ContactStatus.APPROVED and is_recent:
                    self.on_typing(contact.id, is_typing)
            case Kind.PROFILE:
                self._take_card(contact, device_key, content)

    def _take_card(self, contact: ContactRow, device_key: bytes, content: Content) -> None:
        """Keep a card. Of whoever is no contact, nothing but the name is used before it is accepted."""
        token, presence = content.extension(Extension.TOKEN), content.extension(Extension.PRESENCE)
        for gift, size in ((token, TOKEN), (presence, HASH)):
            if gift is not None and len(gift) != size:
                raise DecryptError
        if len(content.body) > DISPLAY_NAME_MAX:
            raise DecryptError
        if not self._outbox.is_newest_card(device_key, content.stream_id, content.sequence):
            return  # held back by the relay: a newer one stands
        name = content.body.decode("utf-8", "replace")
        self._contacts.learn_card(contact.id, name, token, presence)
        if contact.relay is None:
            self._learn_relay(contact, content.extension(Extension.RELAY) or b"")
        self.on_contact(contact.id)

    def _learn_relay(self, contact: ContactRow, text: bytes) -> None:
        """Where to answer whoever is known by its key alone. What the user has pasted stands."""
        try:
            relay = RelayUrl.parse(text.decode("ascii"))
        except (WireError, UnicodeDecodeError):
            return
        self._contacts.set_relay(contact.id, relay)

    def wrote_as_stranger(self, contact: ContactRow, device_key: bytes) -> None:
        """A contact's frame came without a token that is alive: perhaps our card never reached it."""
        now = clock.now_seconds()
        if contact.status is ContactStatus.APPROVED and self._state.forget_card(
            device_key, now - TELL_AGAIN, now
        ):
            self._cards_due = True
