"""Contacts as the application sees them: who there is, and everything that a user decides about one.

Owns what belongs together when a decision is made: rows, tokens, presence and what waits to be sent change
in one transaction, and `changed` is told after it. Knows no sockets; whoever listens to `changed` tells the
relay and the contacts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shlex import quote

from clients import clock
from clients.card import Cards
from clients.errors import TrustError, UsageError
from clients.model import Contact, ContactStatus, Sharing
from clients.parsing import parse_address
from clients.profile import Profile
from clients.store.contacts import ContactRow, Contacts
from clients.store.history import History
from clients.store.names import offered_name
from keys.safety_number import matches, safety_number, scannable
from wire.addresses import Address

EVERYBODY = 0  # told to `changed` when our own card has changed; no contact has this row


class ContactBook:
    """The contacts of a profile, by name. `changed` is called with the row of a contact, after the commit."""

    def __init__(
        self,
        profile: Profile,
        contacts: Contacts,
        history: History,
        cards: Cards,
        changed: Callable[[int], None],
        now: Callable[[], int] = clock.now_seconds,
    ) -> None:
        self._own = profile.account.key
        self._store = profile.store
        self._contacts = contacts
        self._history = history
        self._cards = cards
        self._changed = changed
        self._now = now

    # --- who there is ---------------------------------------------------------------------------------

    def all(self) -> list[Contact]:
        """Every contact, request and blocked one, by name."""
        return [row.shown() for row in self._contacts.all()]

    def requests(self) -> list[Contact]:
        """Whoever wrote to us and is no contact yet."""
        return [contact for contact in self.all() if contact.status is ContactStatus.REQUEST]

    def named(self, name: str) -> Contact:
        """The contact, request or blocked one of this name. Raises NotFoundError."""
        return self._contacts.named(name).shown()

    # --- what the user decides ------------------------------------------------------------------------

    @contextmanager
    def _deciding(self, *told: int) -> Iterator[list[int]]:
        """One transaction; whoever is in the list is told of after it."""
        rows = list(told)
        with self._store.transaction():
            yield rows
        for row in dict.fromkeys(rows):
            self._changed(row)

    def _shown(self, id: int) -> Contact:
        row = self._contacts.by_id(id)
        assert row is not None
        return row.shown()

    def _parsed(self, address: str | Address) -> Address:
        address = parse_address(address)
        if address.account_key == self._own:
            raise UsageError(
                "This is your own address. Ask the other person for the line of `blindpost address` there."
            )
        return address

    def add(self, name: str, address: str | Address) -> Contact:
        """Add a contact, or approve the request from this address, or unblock it. Raises UsageError."""
        address = self._parsed(address)
        with self._deciding() as rows:
            added = self._contacts.add(name, address)
            self._contacts.owe_receipts(added)
            rows.append(added.id)
        return added.shown()

    def accept(self, name: str, as_name: str | None = None) -> Contact:
        """Approve a request, under `as_name` or what it calls itself. Raises NotFoundError or UsageError."""
        request = self._contacts.named(name)
        if request.status is ContactStatus.APPROVED:
            raise UsageError(f"{request.name!r} is in your contacts already.")
        if request.status is ContactStatus.BLOCKED:
            raise UsageError(
                f"{request.name!r} is blocked. To undo that: blindpost contact unblock {quote(name)}"
            )
        return self.add(as_name or self._name_for(request), request.shown().address)

    def _name_for(self, request: ContactRow) -> str:
        """What a request calls itself, if that can be a name, else some digits of its key."""
        names = [row.name for row in self._contacts.all()]
        digits = request.name.removeprefix("request-")
        return offered_name(request.display_name, names) or offered_name(digits, names) or digits

    def remove(self, name: str) -> int:
        """Remove a contact with its history; returns how many messages went with it.

        Its token is dead in 37 days, and it sees us no more at once. The address line stays good: whoever is
        to be kept out is to be blocked.
        """
        contact = self._contacts.named(name)
        with self._deciding(contact.id):
            held_card = self._contacts.was_told_card(contact.id)
            count = self._contacts.remove(contact)
            if held_card:
                self._cards.rotate_token(self._now(), revoke=False)
                self._cards.rotate_presence(self._now())
        return count

    def block(self, name: str) -> Contact:
        """Drop whatever this contact sends from now on, here and (as no contact's) at the relay."""
        contact = self._contacts.named(name)
        if contact.status is not ContactStatus.BLOCKED:
            with self._deciding(contact.id):
                self._history.fail_unsent(contact.id, "the contact was blocked before this was sent")
                self._contacts.block(contact)
                if self._contacts.was_told_card(contact.id):
                    self._cards.rotate_token(self._now(), revoke=True)
                    self._cards.rotate_presence(self._now())
                else:
                    self._cards.revoke_former(self._now())
        return self._shown(contact.id)

    def unblock(self, name: str) -> Contact:
        """Approve a blocked contact again. Raises UsageError for one that is not blocked."""
        contact = self._contacts.named(name)
        if contact.status is not ContactStatus.BLOCKED:
            raise UsageError(f"{contact.name!r} is not blocked.")
        is_request = contact.name.startswith("request-")
        return self.add(self._name_for(contact) if is_request else contact.name, contact.shown().address)

    def rename(self, name: str, new: str) -> Contact:
        """Give a contact another name. Raises UsageError."""
        contact = self._contacts.named(name)
        if contact.status is ContactStatus.REQUEST:
            raise UsageError(
                f"{contact.name!r} is a request. To accept it under a name: blindpost contact accept "
                f"{quote(contact.name)} NAME"
            )
        with self._deciding(contact.id):
            self._contacts.rename(contact.id, new)
        return self._shown(contact.id)

    def replace(self, name: str, address: str | Address) -> Contact:
        """Put another account under this name, or meet the same one anew after an alarm. Raises UsageError.

        The history moves along. What no relay had taken yet is given up, and nothing is verified any more.
        With the same account and no alarm, only its relay and token are replaced.
        """
        address = self._parsed(address)
        contact = self._contacts.named(name)
        if contact.status is not ContactStatus.APPROVED:
            raise UsageError(f"{contact.name!r} is {contact.status.value}, and no contact to be replaced.")
        with self._deciding(contact.id) as rows:
            if address.account_key == contact.account_key and contact.alarm is None:
                self._contacts.set_route(contact.id, address)
                replaced = contact
            else:
                self._history.fail_unsent(contact.id, "the contact was replaced before this was sent")
                replaced = self._contacts.replace(contact, address)
                self._contacts.owe_receipts(replaced)
                self._cards.rotate_token(self._now(), revoke=False)
                self._cards.rotate_presence(self._now())
            rows.append(replaced.id)
        return self._shown(replaced.id)

    # --- whether it is the right one ------------------------------------------------------------------

    def safety_number(self, name: str) -> str:
        """The 60 digits to compare with a contact."""
        return safety_number(self._own, self._contacts.named(name).account_key)

    def scannable(self, name: str) -> str:
        """What a contact scans to compare."""
        return scannable(self._own, self._contacts.named(name).account_key)

    def verify(self, name: str, text: str) -> Contact:
        """Compare what the contact read out (60 digits) or showed (its scannable text).

        Raises TrustError when it is another, and the contact is not verified then; UsageError for what is
        neither, which changes nothing.
        """
        contact = self._contacts.named(name)
        try:
            is_same = matches(self._own, contact.account_key, text)
        except ValueError:
            raise UsageError(
                "A safety number has 60 digits; a scanned code begins with blindpost-verify. Give all of it."
            ) from None
        with self._deciding(contact.id):
            self._contacts.set_verified(contact.id, is_verified=is_same)
        if not is_same:
            raise TrustError(
                f"This is not the safety number with {contact.name!r}. It was misread, is another "
                "person's, or you have the wrong address. Compare again: blindpost contact verify "
                f"{quote(contact.name)}"
            )
        return self._shown(contact.id)

    # --- what it learns of us -------------------------------------------------------------------------

    def share(self, name: str, sharing: Sharing) -> Contact:
        """What this contact may learn of us; None: as all others. Presence is taken away at once."""
        contact = self._contacts.named(name)
        with self._deciding(contact.id):
            saw = self._sees_presence(contact.sharing)
            self._contacts.set_sharing(contact.id, sharing)
            sees = self._sees_presence(sharing)
            if saw and not sees:
                self._cards.rotate_presence(self._now())
            elif sees and not saw:
                self._contacts.tell_card_anew(contact.id)
        return self._shown(contact.id)

    def _sees_presence(self, sharing: Sharing) -> bool:
        return bool(self._cards.sharing().presence if sharing.presence is None else sharing.presence)

    def sharing(self) -> Sharing:
        """What every contact may learn of us unless said otherwise for one."""
        return self._cards.sharing()

    def share_with_all(self, sharing: Sharing) -> Sharing:
        """Change that, where it is not None."""
        with self._deciding(EVERYBODY):
            return self._cards.set_sharing(sharing)

    @property
    def longest_delay(self) -> float:
        """Seconds that receipts wait at most, so that their time does not tell whom they are for."""
        return self._cards.longest_delay()

    def set_longest_delay(self, seconds: float) -> None:
        """Change that; 0 is none. Raises UsageError over a minute."""
        self._cards.set_longest_delay(seconds)

    @property
    def display_name(self) -> str:
        """What we call ourselves to contacts; empty for nothing."""
        return self._cards.display_name

    def set_display_name(self, name: str) -> None:
        """Call ourselves something else. Raises UsageError."""
        with self._deciding(EVERYBODY):
            self._cards.set_display_name(name, self._now())
