"""Mailboxes of devices that were dropped from their account's list: how they end.

Owns the three steps. A drop takes the same time whatever was in the mailbox: in the transaction of the new
list the mailbox is closed, and what it held is left under a row that no device has the name of. That is
cleared in slices, each a transaction of its own, so that nobody's put waits for all of it. The device's own
row stays for a while, because neither a sequence nor a one-time prekey id may be used twice should it come
back; when it is forgotten, mailboxes that are opened later begin above its sequences. Opens and ends no
transaction.
"""

from collections.abc import Iterator

import apsw


def drop(connection: apsw.Connection, device_key: bytes) -> None:
    """Close the device's mailbox, which it has; nothing can be put there, pulled or taken any more."""
    mailbox = connection.execute("SELECT id FROM mailboxes WHERE device_key = ?", (device_key,)).get
    # Shorter than a device key, so that it is nobody's.
    connection.execute(
        "UPDATE mailboxes SET device_key = CAST('dropped ' || id AS BLOB), account = NULL WHERE id = ?",
        (mailbox,),
    )
    connection.execute(
        "INSERT INTO mailboxes (device_key, dropped_at, next_sequence, skipped, expired, one_time_highest,"
        " one_time_kem_highest) SELECT ?, unixepoch(), next_sequence, skipped, expired, one_time_highest,"
        " one_time_kem_highest FROM mailboxes WHERE id = ?",
        (device_key, mailbox),
    )
    connection.execute(
        "UPDATE mailboxes SET next_sequence = 1, skipped = 0, frames = 0, bytes = 0, request_frames = 0,"
        " request_bytes = 0, expired = 0, checkpoint = NULL, full_at = NULL WHERE id = ?",
        (mailbox,),
    )
    connection.execute("INSERT INTO dropped (mailbox) VALUES (?)", (mailbox,))


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
    old: Iterator[tuple[int, int, int]] = connection.execute(
        "SELECT id, next_sequence, skipped FROM mailboxes WHERE dropped_at < ? ORDER BY dropped_at LIMIT ?",
        (dropped_before, at_most),
    )
    rows = list(old)
    if not rows:
        return 0
    highest = max(next_sequence - 1 for _, next_sequence, _ in rows)
    frames = sum(next_sequence - 1 - skipped for _, next_sequence, skipped in rows)
    connection.execute("UPDATE life SET base = max(base, ?), forgotten = forgotten + ?", (highest, frames))
    connection.executemany("DELETE FROM mailboxes WHERE id = ?", [(id,) for id, _, _ in rows])
    return len(rows)
