"""Contacts: names for accounts, and what is believed about them.

Owns the contacts table. Under one account only the device list can change, and only to a signed
successor; anything else raises the contact's alarm and blocks sending until the user decides.
"""

from dataclasses import dataclass

import apsw

from clients.errors import NotFoundError, UsageError
from clients.model import Contact, ContactStatus
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

    def shown(self) -> Contact:
        """As the application sees it."""
        count = len(self.devices.devices) if self.devices else 0
        return Contact(self.name, Address(self.account_key, self.relay), self.status, count, self.alarm)


def _row(values: tuple[int, str, bytes, str, str, bytes | None, str | None, int]) -> ContactRow:
    id, name, account, relay, status, devices, alarm, stale = values
    return ContactRow(
        id,
        name,
        bytes(account),
        RelayUrl.parse(relay) if relay else None,
        ContactStatus(status),
        decode_device_list(bytes(devices)) if devices else None,
        alarm,
        bool(stale),
    )


_SELECT = "SELECT id, name, account_key, relay, status, device_list, alarm, stale FROM contacts "


def check_name(name: str) -> str:
    """A name as it will be kept. Raises UsageError."""
    name = name.strip()
    if (
        not name
        or len(name) > NAME_MAX
        or not name.isprintable()
        or name.lower().startswith(("-", "bp1", "request-"))
    ):
        raise UsageError(
            "A contact's name has 1 to 64 printable characters and does not begin with -, bp1 or request-."
        )
    return name


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
        found = self._one("WHERE name = ?", name)
        if found is None:
            raise NotFoundError(
                f"There is no contact named {name!r}. Add one: blindpost contact add NAME ADDRESS"
            )
        return found

    def all(self) -> list[ContactRow]:
        """Every contact, by name."""
        return [_row(values) for values in self._db.execute(_SELECT + "ORDER BY status, name")]

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
        """Remove a contact with its sessions and history; returns how many messages went with it."""
        with self._store.transaction() as db:
            count = int(db.execute("SELECT count(*) FROM messages WHERE contact = ?", (contact.id,)).get)
            db.execute("DELETE FROM contacts WHERE id = ?", (contact.id,))
            return count

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
