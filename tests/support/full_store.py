"""A relay's database that is full before its relay starts: many frames, made quickly.

Owns the rows, written as the relay would have put them, with checksums and counts. Knows no relay that runs.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from relay.store.checksums import frame_checksum
from relay.store.schema import open_writer

COMMIT = 50_000  # frames


def _rows(
    mailboxes: Sequence[tuple[int, bytes]], count: int, envelopes: Sequence[bytes], stored_at: int
) -> Iterator[tuple[int, int, bytes, int, bytes, int]]:
    """Round the mailboxes, so that each mailbox's frames lie apart in the file, as they do in life."""
    choice = cycle(envelopes)
    for number in range(count):
        mailbox, device_key = mailboxes[number % len(mailboxes)]
        sequence, frame_id, envelope = number // len(mailboxes) + 1, os.urandom(16), next(choice)
        checksum = frame_checksum(device_key, sequence, frame_id, stored_at, envelope)
        yield mailbox, sequence, frame_id, stored_at, envelope, checksum


def fill(path: Path, device_keys: Sequence[bytes], count: int, size: int = 1024) -> None:
    """Put `count` frames of `size` bytes in turn into the mailboxes of these devices; 15 s for a million.

    The devices are opened without a list: a test that logs in as one of them registers it first, at the
    running relay, stops that, and may then hand its key in here.
    """
    connection, _ = open_writer(path)
    envelopes = [b"\x01" + os.urandom(size - 1) for _ in range(64)]
    for key in device_keys:
        connection.execute(
            "INSERT OR IGNORE INTO accounts (account_key, device_list) VALUES (?, x'')", (key,)
        )
        connection.execute(
            "INSERT OR IGNORE INTO mailboxes (device_key, account)"
            " SELECT ?1, id FROM accounts WHERE account_key = ?1",
            (key,),
        )
    mailboxes = [
        (connection.execute("SELECT id FROM mailboxes WHERE device_key = ?", (key,)).get, key)
        for key in device_keys
    ]
    rows = _rows(mailboxes, count, envelopes, int(time.time()))
    connection.pragma("synchronous", "OFF")
    for start in range(0, count, COMMIT):
        with connection:
            connection.executemany(
                "INSERT INTO frames (mailbox, sequence, frame_id, stored_at, envelope, checksum)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (next(rows) for _ in range(min(COMMIT, count - start))),
            )
    connection.execute(
        "UPDATE mailboxes SET (next_sequence, frames, bytes) ="
        " (SELECT max(sequence) + 1, count(*), sum(length(envelope)) FROM frames"
        " WHERE mailbox = mailboxes.id)"
        " WHERE id IN (SELECT mailbox FROM frames)"
    )
    connection.close()


def forget(path: Path) -> None:
    """Let the system drop what it has in memory of a file, so that a start reads the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
