"""Contacts: names for accounts, and what is believed about them.

Owns the contacts table. Under one account only the device list can change, and only to a signed
successor; anything else raises the contact's alarm and blocks sending until the user decides.
"""

from dataclasses import dataclass, field
from typing import Any

import apsw

from clients.errors import NotFoundError, UsageError
from clients.model import Contact, ContactStatus, Sharing
from clients.store.store import Store
from wire.addresses import Address, RelayUrl
from wire.device_lists import DeviceList, decode_device_list

NAME_MAX = 64


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
    presence: bytes | None = field(repr=False)  # 16 bytes: what shows us whether it is online
    sharing: Sharing
    unread: int

    def shown(self) -> Contact:
        """As the application sees it; presence and typing are not the store's to know."""
        count = len(self.devices.devices) if self.devices else 0
        return Contact(
            self.name, Address(self.account_key, self.relay), self.status, count, self.alarm,
            self.display_name, self.is_verified, self.sharing, self.unread,
        )  # fmt: skip


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
        RelayUrl.parse(relay) if relay else None,
        ContactStatus(status),
        decode_device_list(bytes(devices)) if devices else None,
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
    "presence, shares_presence, shares_typing, shares_read, (SELECT count(*) FROM messages m "
    "WHERE m.contact = contacts.id AND outgoing = 0 AND seen = 0 AND kind IN (1, 7)) FROM contacts "
)


def check_name(name: str) -> str:
    """A name as it will be kept. Raises UsageError."""
    name = name.strip()
    if (
        not name
        or len(name) > NAME_MAX
        or not name.isprintable()
        or name.lower().startswith(("-", "bp1", "request-", "removed-"))
    ):
        raise UsageError(
            "A contact's name has 1 to 64 printable characters, and does not begin with -, bp1, request- or "
            "removed-."
        )
    return name


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

    def named(self, name: str) -> ContactRow:
        """The contact of this name. Raises NotFoundError."""
        found = self._one("WHERE status != 'removed' AND name = ?", name)
        if found is None:
            raise NotFoundError(
                f"There is no contact named {name!r}. Add one: blindpost contact add NAME ADDRESS"
            )
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
            try:
                if known is None:
                    self._db.execute(
                        "INSERT INTO contacts (name, account_key, relay, status) "
                        "VALUES (?, ?, ?, 'approved')",
                        (name, address.account_key, relay),
                    )
                else:
                    self._db.execute(
                        "UPDATE contacts SET name = ?, relay = ?, status = 'approved' WHERE id = ?",
                        (name, relay, known.id),
                    )
            except apsw.ConstraintError:
                raise UsageError(f"There is a contact named {name!r} already. Choose another name.") from None
            # What it wrote as a request goes to the application now.
            self._db.execute(
                "UPDATE messages SET handed = 0 WHERE handed = 3 "
                "AND contact = (SELECT id FROM contacts WHERE account_key = ?)",
                (address.account_key,),
            )
            added = self.by_account(address.account_key)
            assert added is not None
            return added

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
        whoever is added again under this address is met anew.
        """
        with self._store.transaction() as db:
            count = int(db.execute("SELECT count(*) FROM messages WHERE contact = ?", (contact.id,)).get)
            if contact.alarm is not None:
                db.execute("DELETE FROM contacts WHERE id = ?", (contact.id,))
                return count
            db.execute("DELETE FROM outbox WHERE contact = ?", (contact.id,))
            db.execute("DELETE FROM messages WHERE contact = ?", (contact.id,))
            db.execute(
                "UPDATE contacts SET name = ?, relay = '', status = 'removed' WHERE id = ?",
                (f"removed-{contact.account_key.hex()}", contact.id),
            )
            return count

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

    def set_stale(self, account_key: bytes, *, is_stale: bool) -> None:
        """Whether a newer device list of this account is known to exist."""
        self._db.execute("UPDATE contacts SET stale = ? WHERE account_key = ?", (is_stale, account_key))

    def raise_alarm(self, account_key: bytes, sentence: str) -> None:
        """Block sending to this account until the user decides."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE contacts SET alarm = coalesce(alarm, ?) WHERE account_key = ?",
                (sentence, account_key),
            )
