"""Mailboxes of devices that were dropped from their account's list, and of deleted accounts: how they end.

Owns the three steps. A drop takes the same time whatever was in the mailbox: in the transaction of the new
list the mailbox is closed, and what it held is left under a row that no device has the name of. That is
cleared in slices, each a transaction of its own, so that nobody's put waits for all of it. The device's own
row stays for a while, because neither a sequence nor a one-time prekey id may be used twice should it come
back; when it is forgotten, mailboxes that are opened later begin above its sequences. Where the whole account
is deleted, that is at once. Opens and ends no transaction.
"""

from collections.abc import Iterator, Sequence

import apsw

from relay.store.base import Deletion
from relay.store.holdings import mailboxes_of


def drop(connection: apsw.Connection, device_key: bytes) -> None:
    """Close the device's mailbox, which it has; nothing can be put there, pulled or taken any more."""
    mailbox = connection.execute("SELECT id FROM mailboxes WHERE device_key = ?", (device_key,)).get
    _rename(connection, mailbox)
    connection.execute(
        "INSERT INTO mailboxes (device_key, dropped_at, next_sequence, skipped, expired, one_time_highest,"
        " one_time_kem_highest) SELECT ?, unixepoch(), next_sequence, skipped, expired, one_time_highest,"
        " one_time_kem_highest FROM mailboxes WHERE id = ?",
        (device_key, mailbox),
    )
    _leave(connection, mailbox)


def _rename(connection: apsw.Connection, mailbox: int) -> None:
    # Shorter than a device key, so that it is nobody's.
    connection.execute(
        "UPDATE mailboxes SET device_key = CAST('dropped ' || id AS BLOB), account = NULL WHERE id = ?",
        (mailbox,),
    )


def _leave(connection: apsw.Connection, mailbox: int) -> None:
    """What is in it is left to `clear`, and counts for nothing."""
    connection.execute(
        "UPDATE mailboxes SET next_sequence = 1, skipped = 0, frames = 0, bytes = 0, request_frames = 0,"
        " request_bytes = 0, expired = 0, checkpoint = NULL, full_at = NULL, one_time_highest = 0,"
        " one_time_kem_highest = 0 WHERE id = ?",
        (mailbox,),
    )
    connection.execute("INSERT INTO dropped (mailbox) VALUES (?)", (mailbox,))


def delete(connection: apsw.Connection, account_key: bytes) -> Deletion:
    """See `Store.delete`. At most 8 mailboxes, and those of 64 former lists: what they hold is left."""
    account = connection.execute("SELECT id FROM accounts WHERE account_key = ?", (account_key,)).get
    if account is None:
        return Deletion()
    found = mailboxes_of(connection, account)
    _retire(connection, [id for _, id, _ in found])
    tokens: list[bytes] = []
    for _, id, is_listed in found:
        if is_listed:
            hashes = connection.execute("DELETE FROM tokens WHERE mailbox = ? RETURNING hash", (id,))
            tokens += [bytes(hash) for (hash,) in hashes]
            _rename(connection, id)
            _leave(connection, id)
        else:
            connection.execute("DELETE FROM mailboxes WHERE id = ?", (id,))
    connection.execute("DELETE FROM former_lists WHERE account = ?", (account,))
    connection.execute("DELETE FROM accounts WHERE id = ?", (account,))
    return Deletion(tuple(key for key, _, _ in found), tuple(tokens))


def _retire(connection: apsw.Connection, mailboxes: Sequence[int]) -> None:
    """These rows are about to go: mailboxes that are opened later begin above their sequences."""
    numbers = [
        connection.execute("SELECT next_sequence, skipped FROM mailboxes WHERE id = ?", (id,)).get
        for id in mailboxes
    ]
    highest = max((next_sequence - 1 for next_sequence, _ in numbers), default=0)
    frames = sum(next_sequence - 1 - skipped for next_sequence, skipped in numbers)
    connection.execute("UPDATE life SET base = max(base, ?), forgotten = forgotten + ?", (highest, frames))


def clear(connection: apsw.Connection, at_most: int) -> int:
    """See `Store.clear`."""
    left = at_most
    rows = connection.execute("SELECT mailbox FROM dropped ORDER BY mailbox LIMIT ?", (at_most,)).fetchall()
    for (mailbox,) in rows:
        connection.execute(
            "DELETE FROM frames WHERE id IN (SELECT id FROM frames WHERE mailbox = ? LIMIT ?)",
            (mailbox, left),
        )
        left -= connection.changes()
        connection.execute(
            "DELETE FROM prekeys WHERE mailbox = ?1 AND (kind, id) IN"
            " (SELECT kind, id FROM prekeys WHERE mailbox = ?1 LIMIT ?2)",
            (mailbox, left),
        )
        left -= connection.changes()
        if left <= 0:  # perhaps there is more in this one
            break
        for statement in (
            "DELETE FROM tokens WHERE mailbox = ?",
            "DELETE FROM dropped WHERE mailbox = ?",
            "DELETE FROM mailboxes WHERE id = ?",
        ):
            connection.execute(statement, (mailbox,))
        left -= 1
    return at_most - left


def forget(connection: apsw.Connection, dropped_before: int, at_most: int) -> int:
    """See `Store.forget`."""
    old: Iterator[tuple[int]] = connection.execute(
        "SELECT id FROM mailboxes WHERE dropped_at < ? ORDER BY dropped_at LIMIT ?", (dropped_before, at_most)
    )
    rows = [id for (id,) in old]
    if not rows:
        return 0
    _retire(connection, rows)
    connection.executemany("DELETE FROM mailboxes WHERE id = ?", [(id,) for id in rows])
    return len(rows)
