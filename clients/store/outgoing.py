"""Outgoing messages: from the moment they are queued until somebody has read them, or they are given up.

Owns the status of a message, and the sent table: which of our sequences to a device stands for which message.
A status never goes back, in whatever order relay and recipient report. Every call runs inside a transaction
that its caller opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clients.store.conversation import Conversations
from clients.store.store import Store
from keys.content import Kind
from wire.limits import MAILBOX_TTL

EXPIRY_MS: Final = (MAILBOX_TTL + 86_400) * 1000  # a day more than the relay keeps it
REPEAT_MS: Final = (3_600_000, 6 * 3_600_000, 86_400_000)
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


_LACKS: Final = (
    "device_key = ? AND delivered = 0 AND again = 0 AND sequence < ? "
    "AND (SELECT status FROM messages WHERE id = message) IN ('requested', 'accepted') "
    "AND NOT EXISTS (SELECT 1 FROM outbox o "
    "WHERE o.message = sent.message AND o.mailbox = sent.device_key AND o.accepted = 0)"
)


def _unsealed(values: tuple[Any, ...]) -> Unsealed:
    row, kind, id, body, sent, reply_to = values
    return Unsealed(
        row, Kind(kind), bytes(id), bytes(body), sent, None if reply_to is None else bytes(reply_to)
    )


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
        return [_unsealed(row) for row in rows]

    def sealed(self, rows: Sequence[int], sequences: Mapping[bytes, Sequence[int]]) -> None:
        """These messages are encrypted: remember their sequences to each device, for the receipts."""
        first = next(iter(sequences.values()))
        self._db.executemany(
            "UPDATE messages SET sealed = 1, sequence = ? WHERE id = ?", zip(first, rows, strict=True)
        )
        for device_key, numbers in sequences.items():
            self._db.executemany(
                "INSERT INTO sent (device_key, sequence, message) VALUES (?, ?, ?)",
                [(device_key, number, row) for number, row in zip(numbers, rows, strict=True)],
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
        self._give_up(row)
        # Without its key: whoever repeats it means it to be sent after all.
        failed = "status = 'failed', failed = ?, sealed = 1, key = NULL WHERE id = ? AND outgoing = 1 "
        return bool(self._move(failed + "AND status IN ('queued', 'requested', 'accepted')", why, row))

    def fail_unsent(self, contact: int, why: str) -> int:
        """Give up on everything for a contact that no relay has taken yet; returns how many messages."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            "SELECT id FROM messages WHERE contact = ?1 AND outgoing = 1 AND sealed = 0 "
            "UNION SELECT message FROM outbox WHERE contact = ?1 AND accepted = 0 AND message IS NOT NULL",
            (contact,),
        ).fetchall()
        return sum(self.failed(row, why) for (row,) in rows)

    def expire(self, now_ms: int) -> int:
        """Give up on what a relay took and nobody receipted in time; a later receipt still counts."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            "UPDATE messages SET status = 'failed', failed = ? "
            "WHERE outgoing = 1 AND status IN ('requested', 'accepted') AND accepted_ms < ? RETURNING id",
            (NO_RECEIPT, now_ms - EXPIRY_MS),
        ).fetchall()
        for (row,) in rows:
            self._give_up(row)
        return self._touch(rows)

    def _give_up(self, row: int) -> None:
        """Nothing of a message is sent any more."""
        self._db.execute("DELETE FROM outbox WHERE message = ?", (row,))
        self._db.execute("UPDATE sent SET again = 0 WHERE message = ? AND again = 1", (row,))

    # --- again ----------------------------------------------------------------------------------------

    def lacks(self, device_key: bytes, below: int) -> int:
        """A device has not receipted what comes before sequence `below`, though it has what comes after.

        What a relay has accepted of it is to be encrypted again; returns how many messages that are.
        """
        self._db.execute(f"UPDATE sent SET again = 1 WHERE {_LACKS}", (device_key, below))  # noqa: S608 our own words
        return int(self._db.changes())

    def is_lacking(self, device_key: bytes, below: int) -> bool:
        """Whether there is anything for `lacks`."""
        query = f"SELECT 1 FROM sent WHERE {_LACKS} LIMIT 1"  # noqa: S608 our own words
        return self._db.execute(query, (device_key, below)).get is not None

    def lacks_one(self, device_key: bytes, row: int) -> None:
        """A message is to be encrypted again for a device."""
        self._db.execute("UPDATE sent SET again = 1 WHERE device_key = ? AND message = ?", (device_key, row))

    def lacks_all(self, device_key: bytes) -> int:
        """Everything that a device has not receipted is to be encrypted again; returns how many messages."""
        self._db.execute(
            "UPDATE sent SET again = 1 WHERE device_key = ? AND delivered = 0 "
            "AND (SELECT status FROM messages WHERE id = message) IN ('queued', 'requested', 'accepted')",
            (device_key,),
        )
        return int(self._db.changes())

    def asked_for(self, device_key: bytes, first: int, last: int) -> set[int]:
        """Encrypt the messages again that a device asks for by their sequences, receipted and read or not.

        Returns which of the sequences are messages' that were not given up.
        """
        rows: list[tuple[Any, ...]] = self._db.execute(
            "UPDATE sent SET again = 1 WHERE device_key = ? AND sequence BETWEEN ? AND ? "
            "AND (SELECT status FROM messages WHERE id = message) != 'failed' RETURNING sequence",
            (device_key, first, last),
        ).fetchall()
        return {int(sequence) for (sequence,) in rows}

    def awaited_again(self, device_key: bytes) -> int:
        """How many messages are to be encrypted again for a device, or wait in the outbox since."""
        again = "SELECT count(*) FROM sent INDEXED BY sent_again WHERE device_key = ?1 AND again = 1"
        contact = "SELECT contact FROM devices WHERE device_key = ?1"
        waiting = f"SELECT count(*) FROM outbox WHERE contact = ({contact}) AND accepted = 0"  # noqa: S608 our own words
        return int(self._db.execute(f"SELECT ({again}) + ({waiting})", (device_key,)).get)

    def to_write_again(self, contact: int, limit: int) -> list[tuple[bytes, int, Unsealed]]:
        """(device, sequence, message) of what is to be encrypted again for a contact, oldest first."""
        rows = self._db.execute(
            "SELECT s.device_key, s.sequence, m.id, m.kind, m.message_id, m.body, m.sent_ms, m.reply_to "
            "FROM sent s INDEXED BY sent_again CROSS JOIN devices d ON d.device_key = s.device_key "
            "JOIN messages m ON m.id = s.message "
            "WHERE s.again = 1 AND d.contact = ? AND m.status != 'failed' ORDER BY s.sequence LIMIT ?",
            (contact, limit),
        )
        return [(bytes(row[0]), int(row[1]), _unsealed(row[2:])) for row in rows]

    def written_again(self, device_key: bytes, sequence: int) -> None:
        """It is in the outbox once more."""
        self._db.execute(
            "UPDATE sent SET again = 0 WHERE device_key = ? AND sequence = ?", (device_key, sequence)
        )

    def begin_stream(self) -> int:
        """Everything that is not delivered is to be encrypted anew; returns how many messages that are."""
        self._db.execute("DELETE FROM outbox WHERE message IS NOT NULL")
        self._db.execute("DELETE FROM sent")  # its sequences are those of the stream before
        undelivered = "outgoing = 1 AND status IN ('queued', 'requested', 'accepted')"
        return self._move(f"status = 'queued', sealed = 0 WHERE {undelivered}")

    def repeat(self, now_ms: int, limit: int) -> list[tuple[int, int]]:
        """(contact, row) of what a relay took and no receipt came for, after 1 hour, 6 hours and a day."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            "UPDATE messages SET repeated = repeated + 1 WHERE id IN (SELECT m.id FROM messages m "
            "JOIN contacts c ON c.id = m.contact WHERE m.outgoing = 1 "
            "AND m.status IN ('requested', 'accepted') AND m.status = 'accepted' "
            "AND c.status = 'approved' AND m.repeated < 3 AND m.accepted_ms < ?1 - "
            "CASE m.repeated WHEN 0 THEN ?2 WHEN 1 THEN ?3 ELSE ?4 END LIMIT ?5) RETURNING contact, id",
            (now_ms, *REPEAT_MS, limit),
        ).fetchall()
        return [(int(contact), int(row)) for contact, row in rows]

    # --- what the other side says ---------------------------------------------------------------------

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
                self._db.execute("DELETE FROM outbox WHERE message = ? AND mailbox = ?", (row, device_key))
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
            "UPDATE sent INDEXED BY sent_not_read SET delivered = 2 WHERE device_key = ?1 AND delivered = 1 "
            "AND sequence <= (SELECT read_ours FROM devices WHERE device_key = ?1) RETURNING message",
            (device_key,),
        ).fetchall()
        to_read = "status = 'read' WHERE id = ? AND status = 'delivered'"
        return sum(self._move(to_read, row) for (row,) in rows)
