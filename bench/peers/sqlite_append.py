"""The bound of what is durable: SQLite alone, which takes rows in transactions and does nothing else.

Rows of 1 KiB in WAL with synchronous=FULL, recipients as integers, one index; a transaction has one row of
each of 256 producers. Run as a program: `sqlite_append.py FILE SECONDS` prints rows per second.
"""

import os
import sys
import time

import apsw

PRODUCERS = 256
ENVELOPE = 1024


def main(path: str, seconds: float) -> None:
    """Append for so long."""
    connection = apsw.Connection(path)
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS frames"
        " (id INTEGER PRIMARY KEY, mailbox INTEGER, frame_id BLOB, envelope BLOB);"
        "CREATE INDEX IF NOT EXISTS frames_by_mailbox ON frames (mailbox, id)"
    )
    envelope = os.urandom(ENVELOPE)
    rows, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        batch = [(mailbox, os.urandom(16), envelope) for mailbox in range(PRODUCERS)]
        with connection:
            connection.executemany("INSERT INTO frames (mailbox, frame_id, envelope) VALUES (?, ?, ?)", batch)
        rows += PRODUCERS
    print(rows / taken)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
