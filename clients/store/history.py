"""History: every message of every conversation, in its sender's order.

Owns the messages table: incoming ones are kept exactly once by message id, shown in the order of their
stream, held for up to 30 seconds behind a gap and then shown with a mark. Every writing call runs inside
a transaction that its caller opened.
"""

from dataclasses import dataclass, field
from typing import Final

from clients.model import Message, MessageStatus
from clients.store.ranges import Ranges
from clients.store.store import Store
from keys.content import Content, Kind

HOLD_MS: Final = 30_000
SHOWN_KINDS: Final = (Kind.TEXT, Kind.DATA)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """An outgoing message that has not been encrypted yet."""

    row: int
    kind: Kind
    message_id: bytes
    body: bytes = field(repr=False)
    sent_ms: int


_COLUMNS: Final = (
    "m.id, m.message_id, c.name, m.outgoing, m.kind, m.body, m.sent_ms, m.sequence, m.status, m.late, "
    "m.handed, m.missing FROM messages m JOIN contacts c ON c.id = m.contact "
)
# A stream's messages that are shown (`SHOWN_KINDS`): row, sequence.
_IN_STREAM: Final = (
    "SELECT id, sequence FROM messages WHERE device = ? AND stream = ? AND outgoing = 0 AND kind IN (1, 7)"
)


def _message(values: tuple[int, bytes, str, int, int, bytes, int, int, str, int, int, int]) -> Message:
    _, message_id, name, outgoing, kind, body, sent, sequence, status, late, handed, missing = values
    return Message(
        bytes(message_id), name, bool(outgoing), kind, bytes(body), sent, sequence, MessageStatus(status),
        bool(late), handed == 1, missing,
    )  # fmt: skip


class History:
    """The messages of a profile."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db

    def _next_sort(self, contact: int, now_ms: int) -> int:
        last = self._db.execute("SELECT max(sort_ms) FROM messages WHERE contact = ?", (contact,)).get
        return max(now_ms, last or 0)

    # --- outgoing -------------------------------------------------------------------------------------

    def add_outgoing(self, contact: int, kind: Kind, message_id: bytes, body: bytes, now_ms: int) -> None:
        """Queue a message; it is encrypted in this transaction or later."""
        self._db.execute(
            "INSERT INTO messages "
            "(message_id, contact, outgoing, kind, body, sent_ms, sort_ms, status, handed) "
            "VALUES (?, ?, 1, ?, ?, ?, ?, 'queued', 2)",
            (message_id, contact, kind, body, now_ms, self._next_sort(contact, now_ms)),
        )

    def unsealed(self, contact: int, limit: int) -> list[Unsealed]:
        """The oldest messages to a contact that are not encrypted yet."""
        rows = self._db.execute(
            "SELECT id, kind, message_id, body, sent_ms FROM messages "
            "WHERE contact = ? AND outgoing = 1 AND sealed = 0 ORDER BY id LIMIT ?",
            (contact, limit),
        )
        return [Unsealed(row[0], Kind(row[1]), bytes(row[2]), bytes(row[3]), row[4]) for row in rows]

    def sealed(self, row: int, sequences: dict[bytes, int]) -> None:
        """The message is encrypted: remember its sequence to each device, for the receipts."""
        first = next(iter(sequences.values()))
        self._db.execute("UPDATE messages SET sealed = 1, sequence = ? WHERE id = ?", (first, row))
        for device_key, sequence in sequences.items():
            self._db.execute("INSERT INTO sent VALUES (?, ?, ?)", (device_key, sequence, row))

    def accepted(self, row: int) -> None:
        """The relay holds every frame of this message."""
        self._db.execute("UPDATE messages SET status = 'accepted' WHERE id = ? AND status = 'queued'", (row,))

    def delivered(self, device_key: bytes, ranges: tuple[tuple[int, int], ...]) -> int:
        """The device's own receipt names these sequences of our stream. Returns how many were news."""
        count = 0
        for first, last in ranges:
            rows = self._db.execute(
                "DELETE FROM sent WHERE device_key = ? AND sequence BETWEEN ? AND ? RETURNING message",
                (device_key, first, last),
            ).fetchall()
            for (row,) in rows:
                self._db.execute("UPDATE messages SET status = 'delivered' WHERE id = ?", (row,))
            count += len(rows)
        return count

    # --- incoming -------------------------------------------------------------------------------------

    def _shown(self, device: bytes, stream_id: bytes) -> int:
        """The highest sequence of a stream that the application has seen, 0 for none."""
        value = self._db.execute(
            "SELECT shown FROM received WHERE device_key = ? AND stream = ?", (device, stream_id)
        ).get
        return int(value or 0)

    def _missing_before(self, device: bytes, stream_id: bytes, sequence: int, arrived: Ranges) -> int:
        """How many contents between a message and the one shown before it have not arrived."""
        before = self._db.execute(
            f"{_IN_STREAM} AND sequence < ? ORDER BY sequence DESC LIMIT 1",
            (device, stream_id, sequence),
        ).fetchone()
        return arrived.missing_between(before[1] if before else 0, sequence)

    def add_incoming(
        self,
        contact: int,
        device: bytes,
        content: Content,
        arrived: Ranges,
        now_ms: int,
        *,
        is_request: bool = False,
    ) -> bool:
        """Keep a message once. `arrived` is saved, with its sequence. False for a duplicate id.

        A request's messages are withheld (handed = 3) until `Contacts.add` accepts it.
        """
        stream = (device, content.stream_id)
        shown = self._shown(device, content.stream_id)
        is_shown = content.kind in SHOWN_KINDS
        is_late = content.sequence < shown
        hold = 0
        if is_shown and content.sequence > arrived.covered_from(shown):
            held = self._db.execute(
                "SELECT hold_until_ms FROM messages "
                "WHERE device = ? AND stream = ? AND hold_until_ms > 0 ORDER BY sequence LIMIT 1",
                stream,
            ).get
            hold = held or now_ms + HOLD_MS
        after = self._db.execute(
            "SELECT sort_ms FROM messages WHERE device = ? AND stream = ? AND outgoing = 0 "
            "AND kind IN (1, 7) AND sequence > ? ORDER BY sequence LIMIT 1",
            (*stream, content.sequence),
        ).get
        sort_ms = self._next_sort(contact, now_ms) if after is None else after
        self._db.execute(
            "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, device, "
            "stream, sequence, status, late, missing, hold_until_ms, handed, extensions) "
            "VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, 'received', ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                content.message_id, contact, content.kind, content.body, content.sent_ms, sort_ms, *stream,
                content.sequence, is_late, self._missing_before(*stream, content.sequence, arrived), hold,
                (3 if is_request else 0) if is_shown else 2, content.encode_extensions(),
            ),
        )  # fmt: skip
        return self._db.changes() == 1

    def filled(self, device: bytes, stream_id: bytes, sequence: int, arrived: Ranges) -> None:
        """`sequence` arrived: release what was waiting for it, and correct the mark behind it."""
        self._db.execute(
            "UPDATE messages SET hold_until_ms = 0 "
            "WHERE device = ? AND stream = ? AND hold_until_ms > 0 AND sequence <= ?",
            (device, stream_id, arrived.covered_from(self._shown(device, stream_id))),
        )
        after = self._db.execute(
            f"{_IN_STREAM} AND sequence > ? ORDER BY sequence LIMIT 1", (device, stream_id, sequence)
        ).fetchone()
        if after is not None:
            missing = self._missing_before(device, stream_id, after[1], arrived)
            self._db.execute("UPDATE messages SET missing = ? WHERE id = ?", (missing, after[0]))

    # --- the application's stream ---------------------------------------------------------------------

    def next_message(self, now_ms: int) -> tuple[int, Message] | None:
        """The next message of an approved contact that the application has not finished with."""
        values = self._db.execute(
            f"SELECT {_COLUMNS} WHERE m.outgoing = 0 AND m.handed < 2 AND m.hold_until_ms <= ? "
            "ORDER BY m.sort_ms, m.sequence, m.id LIMIT 1",
            (now_ms,),
        ).fetchone()
        return None if values is None else (int(values[0]), _message(values))

    def held_until(self, now_ms: int) -> int | None:
        """When the next message behind a gap will be shown anyway, in Unix milliseconds."""
        value = self._db.execute(
            "SELECT min(hold_until_ms) FROM messages "
            "WHERE hold_until_ms > 0 AND hold_until_ms > ? AND handed = 0",
            (now_ms,),
        ).get
        return None if value is None else int(value)

    def held(self, now_ms: int) -> int:
        """How many messages are held behind a gap now."""
        query = "SELECT count(*) FROM messages WHERE hold_until_ms > ? AND handed = 0"
        return int(self._db.execute(query, (now_ms,)).get)

    def offered(self, row: int) -> None:
        """The application is about to get it; if it crashes now, it gets it again, marked."""
        self._db.execute("UPDATE messages SET handed = 1, hold_until_ms = 0 WHERE id = ?", (row,))
        self._db.execute(
            "UPDATE received SET shown = max(shown, m.sequence) FROM messages m "
            "WHERE m.id = ? AND device_key = m.device AND received.stream = m.stream",
            (row,),
        )

    def taken(self, row: int) -> None:
        """The application has asked for the one after it."""
        self._db.execute("UPDATE messages SET handed = 2 WHERE id = ?", (row,))

    # --- reading --------------------------------------------------------------------------------------

    def conversation(self, contact: int, limit: int) -> list[Message]:
        """The last `limit` messages with a contact, oldest first."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} WHERE m.contact = ? AND m.kind IN (1, 7) "
            "ORDER BY m.sort_ms DESC, m.sequence DESC, m.id DESC LIMIT ?",
            (contact, limit),
        ).fetchall()
        return [_message(values) for values in reversed(rows)]

    def status(self, message_id: bytes) -> MessageStatus | None:
        """Where an outgoing message is."""
        value = self._db.execute(
            "SELECT status FROM messages WHERE message_id = ? AND outgoing = 1", (message_id,)
        ).get
        return None if value is None else MessageStatus(value)
