"""From the records of a backup to the store of a new device.

Owns what a record means where nothing else is: which messages are to be sent again, and who is to be told of
the new device. Runs inside a transaction that its caller opened; a wrong record ends it.
"""

from collections.abc import Callable
from typing import Final

import apsw

from clients.backup.records import (
    AnyRecord,
    ContactRecord,
    DeviceRecord,
    MessageRecord,
    OwnListRecord,
    ProfileRecord,
    RelayRecord,
    TokenRecord,
)
from clients.backup.sealed_files import DAMAGED
from clients.errors import StorageError
from clients.model import ContactStatus, MessageStatus
from clients.store.outgoing import EXPIRY_MS
from clients.store.store import Store
from keys.errors import VerificationError
from keys.identities import Account, verify_device_list, verify_successor
from wire.device_lists import DeviceList, decode_device_list
from wire.errors import WireError

_ON_THE_WAY: Final = (MessageStatus.QUEUED, MessageStatus.REQUESTED, MessageStatus.ACCEPTED)


class Filling:
    """A store that is being filled. `now_ms` decides what is too old to be sent again."""

    def __init__(self, store: Store, now_ms: int, seen: Callable[[int, int], None]) -> None:
        """`seen` is told of every message: how many there were, of how many."""
        self._store = store
        self._db = store.db
        self._now_ms = now_ms
        self._seen = seen
        self._contacts: dict[int, tuple[int, ContactStatus]] = {}
        self._messages = 0
        self._newest: DeviceList | None = None
        self.profile: ProfileRecord | None = None

    def take(self, record: AnyRecord) -> None:
        """Keep what a record says. Raises StorageError if it cannot stand here."""
        try:
            self._take(record)
        except (WireError, VerificationError, KeyError, apsw.ConstraintError):
            raise StorageError(DAMAGED) from None

    def _take(self, record: AnyRecord) -> None:
        if (self.profile is None) != isinstance(record, ProfileRecord):
            raise StorageError(DAMAGED)
        match record:
            case ProfileRecord():
                self._take_profile(record)
            case OwnListRecord():
                self._take_own_list(decode_device_list(record.device_list))
            case RelayRecord():
                self._db.execute("INSERT INTO relays VALUES (?, ?)", (record.origin, record.relay_key))
            case TokenRecord():
                self._db.execute(
                    "INSERT INTO tokens VALUES (?, ?, ?)", (record.token, record.purpose, record.until)
                )
            case ContactRecord():
                self._take_contact(record)
            case DeviceRecord():
                self._db.execute(
                    "INSERT INTO devices (device_key, contact, newest_signed) VALUES (?, ?, ?)",
                    (record.device_key, self._contacts[record.contact][0], record.newest_signed),
                )
            case MessageRecord():
                self._take_message(record)

    def finish(self) -> Account:
        """Nothing more comes; returns the account. Raises StorageError if something is missing."""
        profile = self.profile
        if profile is None or self._newest is None:
            raise StorageError(DAMAGED)
        if (profile.contacts, profile.messages) != (len(self._contacts), self._messages):
            raise StorageError(DAMAGED)
        return Account(profile.account)

    def _take_profile(self, record: ProfileRecord) -> None:
        self.profile = record
        self._store.set_meta("relay", record.relay.encode())
        self._store.set_meta("display_name", record.display_name.encode())
        delay = None if record.receipt_delay_ms is None else str(record.receipt_delay_ms).encode()
        kept = (("ca", record.authority), ("sharing", record.sharing), ("longest_delay_ms", delay))
        for name, value in kept:
            if value is not None:
                self._store.set_meta(name, value)

    def _take_own_list(self, devices: DeviceList) -> None:
        assert self.profile is not None
        verify_device_list(devices, Account(self.profile.account).key)
        if self._newest is not None:
            verify_successor(self._newest, devices)
        self._newest = devices
        self._db.execute("INSERT INTO own_lists VALUES (?, ?)", (devices.version, devices.encode()))

    def _take_contact(self, record: ContactRecord) -> None:
        if record.device_list is not None:
            verify_device_list(decode_device_list(record.device_list), record.account_key)
        # Who may hold a card of ours writes to a device that is gone, until told otherwise.
        is_due = record.told and record.status is ContactStatus.APPROVED and record.alarm is None
        row = self._db.execute(
            "INSERT INTO contacts (name, account_key, relay, status, device_list, alarm, display_name, "
            "verified, token, presence, shares_presence, shares_typing, shares_read, due) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                record.name, record.account_key, record.relay, record.status.value, record.device_list,
                record.alarm, record.display_name, record.verified, record.token, record.presence,
                record.shares_presence, record.shares_typing, record.shares_read, is_due,
            ),
        ).get  # fmt: skip
        self._contacts[record.number] = int(row), record.status

    def _take_message(self, record: MessageRecord) -> None:
        """Without device and stream: sequences to a new device begin anew, and must not meet these.

        What was sent and not receipted is sent again under its id, because the receipt was for a device that
        is gone: whoever has it already receipts it once more, and shows it once.
        """
        assert self.profile is not None
        contact, contact_status = self._contacts[record.contact]
        status, sealed, accepted_ms = record.status, record.outgoing, record.accepted_ms
        is_young = record.accepted_ms == 0 or record.accepted_ms > self._now_ms - EXPIRY_MS
        if (
            record.outgoing
            and status in _ON_THE_WAY
            and contact_status is ContactStatus.APPROVED
            and is_young
        ):
            status, sealed, accepted_ms = MessageStatus.QUEUED, False, 0
        self._db.execute(
            "INSERT INTO messages (contact, message_id, outgoing, kind, body, sent_ms, sort_ms, sequence, "
            "status, sealed, extensions, late, missing, handed, seen, reply_to, key, failed, accepted_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                contact, record.id, record.outgoing, record.kind, record.body, record.sent_ms, record.sort_ms,
                record.sequence, status.value, sealed, record.extensions, record.late, record.missing,
                record.handed, record.seen, record.reply_to, record.key, record.failed, accepted_ms,
            ),
        )  # fmt: skip
        self._messages += 1
        self._seen(self._messages, self.profile.messages)
