"""Outgoing messages: from the moment they are queued until somebody has read them, or they are given up.

Owns the status of a message, and the sent table: which of our sequences to a device stands for which message.
A status never goes back, in whatever order relay and recipient report. Every call runs inside a transaction
that its caller opened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from clients.store.conversation import Conversations
from clients.store.store import Store
from keys.content import Kind
from wire.limits import MAILBOX_TTL

EXPIRY_MS: Final = (MAILBOX_TTL + 86_400) * 1000  # a day more than the relay keeps it
NO_RECEIPT: Final = "no receipt within 30 days"


@dataclass(frozen=True, slots=True)
class Unsealed:
    """An outgoing message that has not been encrypted yet."""

    row: int
    kind: Kind
    message_id: bytes
    body: bytes = field(repr=False)
    sent_ms: int
    reply_to: bytes | None = None


class Outgoing(Conversations):
    """What we sent.

    `touched` is called with the row of every shown message that was inserted or has changed, inside the
    transaction: what is rolled back was touched for nothing.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.touched: Callable[[int], None] = lambda row: None

    def _touch(self, rows: list[tuple[Any, ...]]) -> int:
        """Say so of each (row, ...); returns how many."""
        for row, *_ in rows:
            self.touched(row)
        return len(rows)

    def _move(self, change: str, *values: Any) -> int:
        """Change the status of messages, and say so of each; returns how many."""
        rows = self._db.execute(f"UPDATE messages SET {change} RETURNING id", values)  # noqa: S608 our own words
        return self._touch(rows.fetchall())

    def _next_sort(self, contact: int, now_ms: int) -> int:
        last = self._db.execute("SELECT max(sort_ms) FROM messages WHERE contact = ?", (contact,)).get
        return max(now_ms, last or 0)

    def add_outgoing(
        self,
        contact: int,
        kind: Kind,
        message_id: bytes,
        body: bytes,
        now_ms: int,
        key: str | None = None,
        reply_to: bytes | None = None,
    ) -> int:
        """Queue a message and return its row; it is encrypted in this transaction or later.

        A `key` names one message to this contact: see `by_key` first.
        """
        row = self._db.execute(
            "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, status, "
            "handed, seen, key, reply_to) VALUES (?, ?, 1, ?, ?, ?, ?, 'queued', 2, 1, ?, ?) RETURNING id",
            (message_id, contact, kind, body, now_ms, self._next_sort(contact, now_ms), key, reply_to),
        ).get
        self.touched(row)
        return int(row)

    def unsealed(self, contact: int, limit: int) -> list[Unsealed]:
        """The oldest messages to a contact that are not encrypted yet."""
        rows = self._db.execute(
            "SELECT id, kind, message_id, body, sent_ms, reply_to FROM messages "
            "WHERE contact = ? AND outgoing = 1 AND sealed = 0 ORDER BY id LIMIT ?",
            (contact, limit),
        )
        return [
            Unsealed(
                row, Kind(kind), bytes(id), bytes(body), sent, None if reply_to is None else bytes(reply_to)
            )
            for row, kind, id, body, sent, reply_to in rows
        ]

    def sealed(self, row: int, sequences: dict[bytes, int]) -> None:
        """The message is encrypted: remember its sequence to each device, for the receipts."""
        first = next(iter(sequences.values()))
        self._db.execute("UPDATE messages SET sealed = 1, sequence = ? WHERE id = ?", (first, row))
        for device_key, sequence in sequences.items():
            self._db.execute(
                "INSERT INTO sent (device_key, sequence, message) VALUES (?, ?, ?)",
                (device_key, sequence, row),
            )

    def accepted(self, row: int, now_ms: int) -> None:
        """The relay holds every frame of this message."""
        move = "status = 'accepted', accepted_ms = ? WHERE id = ? AND status IN ('queued', 'requested')"
        self._move(move, now_ms, row)

    def requested(self, row: int, now_ms: int) -> None:
        """The relay holds this message as a request."""
        move = "status = 'requested', accepted_ms = ? WHERE id = ? AND status = 'queued'"
        self._move(move, now_ms, row)

    def failed(self, row: int, why: str) -> bool:
        """Give up on a message that is not delivered, and send nothing more of it; whether that was news."""
        self._db.execute("DELETE FROM outbox WHERE message = ?", (row,))
        # Without its key: whoever repeats it means it to be sent after all.
        failed = "status = 'failed', failed = ?, sealed = 1, key = NULL WHERE id = ? AND outgoing = 1 "
        return bool(self._move(failed + "AND status IN ('queued', 'requested', 'accepted')", why, row))

    def fail_unsent(self, contact: int, why: str) -> int:
        """Give up on everything for a contact that no relay has taken yet; returns how many messages."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            "SELECT id FROM messages WHERE contact = ?1 AND outgoing = 1 AND sealed = 0 "
            "UNION SELECT message FROM outbox WHERE contact = ?1 AND message IS NOT NULL",
            (contact,),
        ).fetchall()
        return sum(self.failed(row, why) for (row,) in rows)

    def expire(self, now_ms: int) -> int:
        """Give up on what a relay took and nobody receipted in time; a later receipt still counts."""
        return self._move(
            "status = 'failed', failed = ? WHERE outgoing = 1 AND status IN ('requested', 'accepted') "
            "AND accepted_ms < ?",
            NO_RECEIPT,
            now_ms - EXPIRY_MS,
        )

    def delivered(self, device_key: bytes, ranges: tuple[tuple[int, int], ...]) -> int:
        """The device's own receipt names these sequences of our stream. Returns how many were news."""
        count = 0
        for first, last in ranges:
            rows = self._db.execute(
                "UPDATE sent INDEXED BY sent_not_delivered SET delivered = 1 "
                "WHERE device_key = ? AND sequence BETWEEN ? AND ? AND delivered = 0 RETURNING message",
                (device_key, first, last),
            ).fetchall()
            for (row,) in rows:
                self._move(
                    "status = 'delivered', failed = NULL "
                    "WHERE id = ? AND status NOT IN ('delivered', 'read')",
                    row,
                )
            count += len(rows)
        if count:
            self._read_what_is_delivered(device_key)
        return count

    def read(self, device_key: bytes, through: int) -> int:
        """A person has seen our stream to this device up to `through`; returns how many messages were news.

        It may come before the receipts it goes with: what is delivered later is read then.
        """
        self._db.execute(
            "UPDATE devices SET read_ours = max(read_ours, ?) WHERE device_key = ?", (through, device_key)
        )
        return self._read_what_is_delivered(device_key)

    def _read_what_is_delivered(self, device_key: bytes) -> int:
        rows = self._db.execute(
            "DELETE FROM sent INDEXED BY sent_not_read WHERE device_key = ?1 AND delivered = 1 "
            "AND sequence <= (SELECT read_ours FROM devices WHERE device_key = ?1) RETURNING message",
            (device_key,),
        ).fetchall()
        to_read = "status = 'read' WHERE id = ? AND status = 'delivered'"
        return sum(self._move(to_read, row) for (row,) in rows)
