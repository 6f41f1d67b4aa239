"""Contacts: names for accounts, and what is believed about them.

Owns the contacts table. Under one account only the device list can change, and only to a signed
successor; anything else raises the contact's alarm and blocks sending until the user decides.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import apsw

from clients.errors import NotFoundError, UsageError
from clients.model import Contact, ContactStatus, Sharing
from clients.store.known import known_list
from clients.store.names import check_name, clean_display_name, is_half, unknown_name
from clients.store.store import Store
from wire.addresses import Address, RelayUrl
from wire.device_lists import DeviceList

STRANGERS_MAX: Final = 1000  # who wrote and is no contact
STRANGER_MESSAGES: Final = 50  # kept of one of them
STRANGER_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A contact with its row id and pinned device list."""

    id: int
    name: str
    account_key: bytes
    relay: RelayUrl | None
    status: ContactStatus
    devices: DeviceList | None
    alarm: str | None
    is_stale: bool
    display_name: str
    is_verified: bool
    token: bytes | None = field(repr=False)  # 16 bytes: what lets our frames in as a contact's
    presence: bytes | None = field(repr=False)  # 32 bytes: what shows us whether it is online
    sharing: Sharing
    unread: int

    def shown(self) -> Contact:
        """As the application sees it; presence and typing are not the store's to know."""
        count = len(self.devices.devices) if self.devices else 0
        return Contact(
            self.name, Address(self.account_key, self.relay), self.status, count, self.alarm,
            self.display_name, self.is_verified, self.sharing, self.unread,
        )  # fmt: skip


_relay = lru_cache(maxsize=256)(RelayUrl.parse)  # every frame asks for its contact several times


def _choice(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _row(values: tuple[Any, ...]) -> ContactRow:
    id, name, account, relay, status, devices, alarm, stale, display_name, verified, token, presence = values[
        :12
    ]
    return ContactRow(
        id,
        name,
        bytes(account),
        _relay(relay) if relay else None,
        ContactStatus(status),
        known_list(bytes(devices)) if devices else None,
        alarm,
        bool(stale),
        display_name,
        bool(verified),
        None if token is None else bytes(token),
        None if presence is None else bytes(presence),
        Sharing(*map(_choice, values[12:15])),
        int(values[15]),
    )


_SELECT = (
    "SELECT id, name, account_key, relay, status, device_list, alarm, stale, display_name, verified, token, "
    "presence, shares_presence, shares_typing, shares_read, unread FROM contacts "
)


def request_name(db: apsw.Connection, account_key: bytes) -> str:
    """Twelve digits of the key; more for a stranger who made a key that begins like another's."""
    digits = account_key.hex()
    taken = "SELECT 1 FROM contacts WHERE name = ? AND account_key != ?"
    is_taken = db.execute(taken, (f"request-{digits[:12]}", account_key)).get
    return f"request-{digits[:56] if is_taken else digits[:12]}"


class Contacts:
    """The contacts of a profile."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db

    def _one(self, where: str, value: str | bytes | int) -> ContactRow | None:
        values = self._db.execute(_SELECT + where, (value,)).fetchone()
        return None if values is None else _row(values)

    def by_id(self, id: int) -> ContactRow | None:
        """The contact with this row id."""
        return self._one("WHERE id = ?", id)

    def by_account(self, account_key: bytes) -> ContactRow | None:
        """The contact with this account."""
        return self._one("WHERE account_key = ?", account_key)

    def addressed(self, address: Address) -> ContactRow:
        """The contact with this address. Raises NotFoundError."""
        found = self.by_account(address.account_key)
        if found is None or found.status is ContactStatus.REMOVED:
            raise NotFoundError(
                "This address is not among your contacts. Add it: blindpost contact add NAME ADDRESS"
            )
        return found

    def named(self, name: str) -> ContactRow:
        """The contact of this name. Raises NotFoundError."""
        known = "WHERE status != 'removed' AND name = ?"
        found = None if is_half(name) else self._one(known, name)
        if found is None:
            # SQLite knows the case of A to Z alone.
            rows = self._db.execute("SELECT name FROM contacts WHERE status != 'removed'")
            names = [str(row[0]) for row in rows]
            same = next((other for other in names if other.casefold() == name.casefold()), None)
            found = None if same is None else self._one(known, same)
            if found is None:
                raise unknown_name(name, names)
        return found

    def all(self) -> list[ContactRow]:
        """Every contact and request, by name."""
        rows = self._db.execute(_SELECT + "WHERE status != 'removed' ORDER BY status, name")
        return [_row(values) for values in rows]

    def add(self, name: str, address: Address) -> ContactRow:
        """Add a contact, or approve the request of this account under a new name.

        Raises UsageError when the name or the address is taken.
        """
        name = check_name(name)
        relay = address.relay.text if address.relay else ""
        with self._store.transaction():
            known = self.by_account(address.account_key)
            if known is not None and known.status is ContactStatus.APPROVED:
                raise UsageError(f"This address is in your contacts already, as {known.name!r}.")
            self._check_free(name, None if known is None else known.id)
            if known is None:
                self._db.execute(
                    "INSERT INTO contacts (name, account_key, relay, status, token) "
                    "VALUES (?, ?, ?, 'approved', ?)",
                    (name, address.account_key, relay, address.token),
                )
            else:
                self._db.execute(
                    "UPDATE contacts SET name = ?1, relay = iif(?2 = '', relay, ?2), status = 'approved', "
                    "token = coalesce(?3, token) WHERE id = ?4",
                    (name, relay, address.token, known.id),
                )
            # What it wrote as a request goes to the application now.
            self._db.execute(
                "UPDATE messages SET handed = 0 WHERE handed = 3 "
                "AND contact = (SELECT id FROM contacts WHERE account_key = ?)",
                (address.account_key,),
            )
            added = self.by_account(address.account_key)
            assert added is not None
            return added

    def learn_card(
        self, contact_id: int, display_name: str, token: bytes | None, presence: bytes | None
    ) -> bool:
        """Keep what a contact sent of itself; whether anything is new.

        A card without a token leaves the one that we have; one without presence says that we may not see it.
        """
        self._db.execute(
            "UPDATE contacts SET display_name = ?1, token = coalesce(?2, token), presence = ?3 WHERE id = ?4 "
            "AND (display_name != ?1 OR token IS NOT coalesce(?2, token) OR presence IS NOT ?3)",
            (clean_display_name(display_name), token, presence, contact_id),
        )
        return self._db.changes() == 1

    def set_verified(self, contact_id: int, *, is_verified: bool) -> None:
        """Whether the user has compared the safety number."""
        with self._store.transaction() as db:
            db.execute("UPDATE contacts SET verified = ? WHERE id = ?", (is_verified, contact_id))

    def set_sharing(self, contact_id: int, sharing: Sharing) -> None:
        """What this contact may learn of us; None: as all others."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE contacts SET shares_presence = ?, shares_typing = ?, shares_read = ? WHERE id = ?",
                (sharing.presence, sharing.typing, sharing.read, contact_id),
            )

    def tell_card_anew(self, contact_id: int) -> None:
        """Our card holds more for this contact than it was told."""
        with self._store.transaction() as db:
            db.execute("UPDATE devices SET told_card = 0 WHERE contact = ?", (contact_id,))

    def set_route(self, contact_id: int, address: Address) -> None:
        """Where the contact's account is reached now, and the token that lets us in, if it is given."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE contacts SET relay = ?, token = coalesce(?, token) WHERE id = ?",
                (address.relay.text if address.relay else "", address.token, contact_id),
            )

    def set_relay(self, contact_id: int, relay: RelayUrl) -> None:
        """Where the contact says that its account lives."""
        self._db.execute("UPDATE contacts SET relay = ? WHERE id = ?", (relay.text, contact_id))

    def was_told_card(self, contact_id: int) -> bool:
        """Whether this contact may hold a card of ours."""
        told = "SELECT 1 FROM devices WHERE contact = ? AND told_card_at > 0"
        return self._db.execute(told, (contact_id,)).get is not None

    def block(self, contact: ContactRow) -> None:
        """Listen no more to a contact, and send it nothing more."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM outbox WHERE contact = ?", (contact.id,))
            db.execute(
                "UPDATE messages SET handed = 3 WHERE contact = ? AND outgoing = 0 AND handed < 2",
                (contact.id,),
            )
            db.execute("UPDATE contacts SET status = 'blocked' WHERE id = ?", (contact.id,))

    def rename(self, contact_id: int, name: str) -> None:
        """Give a contact another name. Raises UsageError."""
        name = check_name(name)
        with self._store.transaction() as db:
            self._check_free(name, contact_id)
            db.execute("UPDATE contacts SET name = ? WHERE id = ?", (name, contact_id))

    def _check_free(self, name: str, id: int | None) -> None:
        """Raises UsageError if another contact has this name, in whatever case."""
        rows = self._db.execute("SELECT name FROM contacts WHERE id IS NOT ?", (id,))
        if any(str(row[0]).casefold() == name.casefold() for row in rows):
            raise UsageError(f"There is a contact named {name!r} already. Choose another name.")

    def replace(self, contact: ContactRow, address: Address) -> ContactRow:
        """Put another account under a contact's name; history and what the user chose move along.

        Nothing else of the former is kept: no session, no believed device list, no token, nothing in the
        outbox. What the other account has sent as a request belongs to the conversation then. The same
        account is met anew. Raises UsageError if the address is in the contacts under another name.
        """
        with self._store.transaction() as db:
            other = self.by_account(address.account_key)
            if other is not None and other.id != contact.id and other.status is ContactStatus.APPROVED:
                raise UsageError(f"This address is in your contacts already, as {other.name!r}.")
            # Out of the way, so that name and account are free while both rows are there.
            db.execute(
                "UPDATE contacts SET name = ?, account_key = ? WHERE id = ?",
                (f"removed-{contact.id}", b"replaced" + contact.id.to_bytes(8, "big"), contact.id),
            )
            added = self.add(contact.name, address)
            self.set_sharing(added.id, contact.sharing)
            db.execute("UPDATE contacts SET verified = 0 WHERE id = ?", (added.id,))
            # What a script repeats now is meant for the other account.
            db.execute("UPDATE messages SET key = NULL WHERE contact = ?", (contact.id,))
            # A message that both conversations hold is there once.
            db.execute("UPDATE OR IGNORE messages SET contact = ? WHERE contact = ?", (added.id, contact.id))
            db.execute("DELETE FROM contacts WHERE id = ?", (contact.id,))
            found = self.by_id(added.id)
            assert found is not None
            return found

    def owe_receipts(self, contact: ContactRow) -> None:
        """A request was approved: what it sent so far is receipted from now on."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE received SET owed = 1 "
                "WHERE device_key IN (SELECT device_key FROM devices WHERE contact = ?)",
                (contact.id,),
            )

    def remove(self, contact: ContactRow) -> int:
        """Remove a contact with its history; returns how many messages went with it.

        Its sessions stay, because it may write on one that it still has: it then comes as a request, and
        nothing that its relay accepted is lost. After an alarm they go too, and so does the believed list:
        whoever is added again under this address is met anew. Of a stranger nothing is left.
        """
        with self._store.transaction() as db:
            count = int(db.execute("SELECT count(*) FROM messages WHERE contact = ?", (contact.id,)).get)
            is_stranger = contact.status is ContactStatus.REQUEST and not self.was_told_card(contact.id)
            db.execute("DELETE FROM outbox WHERE contact = ?", (contact.id,))
            db.execute("DELETE FROM messages WHERE contact = ?", (contact.id,))
            if count:
                # Until it is written anew, the index of words holds every text that was deleted.
                db.execute("INSERT INTO words (words) VALUES ('optimize')")
            if contact.alarm is not None or is_stranger:
                db.execute("DELETE FROM contacts WHERE id = ?", (contact.id,))
                return count
            db.execute(
                "UPDATE contacts SET name = ?, relay = '', status = 'removed', display_name = '', "
                "verified = 0, token = NULL, presence = NULL, shares_presence = NULL, shares_typing = NULL, "
                "shares_read = NULL WHERE id = ?",
                (f"removed-{contact.account_key.hex()}", contact.id),
            )
            return count

    def has_room(self, stranger: ContactRow, size: int) -> bool:
        """Whether one more message of so many bytes is kept of somebody who is no contact.

        Strangers who have sent nothing yet but notes make room for those who write.
        """
        held = "SELECT count(*), total(length(body)) FROM messages WHERE contact = ? AND outgoing = 0"
        row: tuple[Any, ...] = self._db.execute(held, (stranger.id,)).fetchall()[0]
        count, held_bytes = row
        if count >= STRANGER_MESSAGES or held_bytes + size > STRANGER_BYTES:
            return False
        strangers = "SELECT count(*) FROM contacts WHERE status IN ('request', 'removed')"
        if self._db.execute(strangers).get > STRANGERS_MAX:
            self._db.execute(
                "DELETE FROM contacts WHERE id IN (SELECT c.id FROM contacts c WHERE status = 'removed' "
                "AND id != ? AND NOT EXISTS (SELECT 1 FROM messages WHERE contact = c.id) AND NOT EXISTS "
                "(SELECT 1 FROM devices WHERE contact = c.id AND told_card_at > 0) ORDER BY id LIMIT 100)",
                (stranger.id,),
            )
        return int(self._db.execute(strangers).get) <= STRANGERS_MAX

    def wrote_again(self, contact: ContactRow) -> None:
        """A removed contact has written: it is a request now."""
        self._db.execute(
            "UPDATE contacts SET name = ?, status = 'request' WHERE id = ?",
            (request_name(self._db, contact.account_key), contact.id),
        )

    def alarms(self) -> list[tuple[str, str]]:
        """(name, sentence) of every contact that nothing is sent to."""
        rows = self._db.execute(
            "SELECT name, alarm FROM contacts WHERE alarm IS NOT NULL AND status != 'removed'"
        )
        return [(str(row[0]), str(row[1])) for row in rows]

    def expect_list(self, account_key: bytes, version: int = 1) -> None:
        """The account's device list is to be fetched, and is stale until one of this version is shown."""
        self._db.execute(
            "UPDATE contacts SET stale = max(stale, ?) WHERE account_key = ?",
            (min(version, 2**63 - 1), account_key),
        )

    def list_shown(self, account_key: bytes, version: int) -> None:
        """The relay has just shown this version as the newest."""
        self._db.execute(
            "UPDATE contacts SET stale = 0 WHERE account_key = ? AND stale <= ?",
            (account_key, min(version, 2**63 - 1)),
        )

    def set_due(self, contact_id: int) -> None:
        """This contact is to be looked for, though no message waits for it."""
        self._db.execute("UPDATE contacts SET due = 1 WHERE id = ?", (contact_id,))

    def all_due(self) -> list[int]:
        """Contacts to look for."""
        return [int(row[0]) for row in self._db.execute("SELECT id FROM contacts WHERE due = 1")]

    def was_due(self, contact_id: int) -> bool:
        """Whether it was to be looked for; it is not any more."""
        self._db.execute("UPDATE contacts SET due = 0 WHERE id = ? AND due = 1", (contact_id,))
        return self._db.changes() == 1

    def forget_list(self, contact_id: int) -> None:
        """Meet an account anew that is no contact."""
        self._db.execute("UPDATE contacts SET device_list = NULL WHERE id = ?", (contact_id,))

    def raise_alarm(self, account_key: bytes, sentence: str) -> None:
        """Block sending to this account until the user decides."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE contacts SET alarm = coalesce(alarm, ?) WHERE account_key = ?",
                (sentence, account_key),
            )
