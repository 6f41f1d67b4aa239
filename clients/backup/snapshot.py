"""From a profile's store to the records of a backup.

Owns which rows and columns go into a backup. Reads inside one transaction, beside whoever writes: what it
sees is one moment of the store. Changes nothing.
"""

from collections.abc import Iterator
from typing import Any

import apsw

from clients.backup.records import (
    ContactRecord,
    DeviceRecord,
    MessageRecord,
    OwnListRecord,
    ProfileRecord,
    Record,
    RelayRecord,
    TokenRecord,
)
from clients.model import ContactStatus, MessageStatus
from clients.store.store import Store


def records(store: Store, now: int) -> Iterator[Record]:
    """Everything that a backup holds, the profile first. `now` is noted in it."""
    with store.snapshot() as db:
        yield _profile(store, db, now)
        for (device_list,) in db.execute("SELECT device_list FROM own_lists ORDER BY version"):
            yield OwnListRecord(device_list=bytes(device_list))
        for origin, relay_key in db.execute("SELECT origin, relay_key FROM relays ORDER BY origin"):
            yield RelayRecord(origin=origin, relay_key=bytes(relay_key))
        for token, purpose, until in db.execute("SELECT token, purpose, until FROM tokens ORDER BY token"):
            yield TokenRecord(token=bytes(token), purpose=purpose, until=until)
        yield from _contacts(db)
        for contact, device_key, newest_signed in db.execute(
            "SELECT contact, device_key, newest_signed FROM devices ORDER BY contact, device_key"
        ):
            yield DeviceRecord(contact=contact, device_key=bytes(device_key), newest_signed=newest_signed)
        yield from _messages(db)


def _profile(store: Store, db: apsw.Connection, now: int) -> ProfileRecord:
    account, relay, delay = store.meta("account"), store.meta("relay"), store.meta("longest_delay_ms")
    assert account is not None
    assert relay is not None
    return ProfileRecord(
        made=now,
        account=account,
        relay=relay.decode(),
        authority=store.meta("ca"),
        display_name=(store.meta("display_name") or b"").decode(),
        sharing=store.meta("sharing"),
        receipt_delay_ms=None if delay is None else int(delay),
        contacts=db.execute("SELECT count(*) FROM contacts").get,
        messages=db.execute("SELECT count(*) FROM messages").get,
    )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _choice(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _contacts(db: apsw.Connection) -> Iterator[ContactRecord]:
    rows: Any = db.execute(
        "SELECT id, name, account_key, relay, status, device_list, alarm, display_name, verified, token, "
        "presence, shares_presence, shares_typing, shares_read, "
        "EXISTS (SELECT 1 FROM devices WHERE contact = contacts.id AND told_card_at > 0) "
        "FROM contacts ORDER BY id"
    )
    for row in rows:
        yield ContactRecord(
            number=row[0],
            name=row[1],
            account_key=bytes(row[2]),
            relay=row[3],
            status=ContactStatus(row[4]),
            device_list=_bytes(row[5]),
            alarm=row[6],
            display_name=row[7],
            verified=bool(row[8]),
            token=_bytes(row[9]),
            presence=_bytes(row[10]),
            shares_presence=_choice(row[11]),
            shares_typing=_choice(row[12]),
            shares_read=_choice(row[13]),
            told=bool(row[14]),
        )


def _messages(db: apsw.Connection) -> Iterator[MessageRecord]:
    rows: Any = db.execute(
        "SELECT contact, message_id, outgoing, kind, body, sent_ms, sort_ms, sequence, status, extensions, "
        "late, missing, handed, seen, reply_to, key, failed, accepted_ms FROM messages ORDER BY id"
    )
    for row in rows:
        yield MessageRecord(
            contact=row[0],
            id=bytes(row[1]),
            outgoing=bool(row[2]),
            kind=row[3],
            body=bytes(row[4]),
            sent_ms=row[5],
            sort_ms=row[6],
            sequence=row[7],
            status=MessageStatus(row[8]),
            extensions=bytes(row[9]),
            late=bool(row[10]),
            missing=row[11],
            handed=row[12],
            seen=bool(row[13]),
            reply_to=_bytes(row[14]),
            key=row[15],
            failed=row[16],
            accepted_ms=row[17],
        )
