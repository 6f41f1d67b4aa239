"""History: every message of every conversation, in its sender's order.

Owns incoming messages: they are kept exactly once by message id, shown in the order of their stream, held
for up to 30 seconds behind a gap and then shown with a mark, handed to the application until it has taken
them, and seen by a person or not. Every writing call runs inside a transaction that its caller opened.
"""

from typing import Any, Final

from clients.store.conversation import SHOWN_KINDS
from clients.store.outgoing import Outgoing
from clients.store.ranges import Ranges
from keys.content import MESSAGE_ID, Content, Extension

HOLD_MS: Final = 30_000
_END: Final = (2**63 - 1,) * 3  # a place behind every message

# A stream's messages that are shown (`SHOWN_KINDS`): row, sequence.
_IN_STREAM: Final = (
    "SELECT id, sequence FROM messages WHERE device = ? AND stream = ? AND outgoing = 0 AND kind IN (1, 7)"
)


class History(Outgoing):
    """The messages of a profile. See `Outgoing` for the hook `touched`."""

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

    def _comes_after_later_ones(self, device: bytes, stream_id: bytes, sent_ms: int) -> bool:
        """Whether the application has seen what was written later in a former stream of this device.

        Sequences of two streams have no order; there the sender's own clock decides.
        """
        latest = self._db.execute(
            "SELECT max((SELECT max(sent_ms) FROM messages m WHERE m.device = r.device_key "
            "AND m.stream = r.stream AND m.sequence = r.shown AND m.outgoing = 0 AND m.kind IN (1, 7))) "
            "FROM received r WHERE r.device_key = ? AND r.stream != ?",
            (device, stream_id),
        ).get
        return latest is not None and int(latest) > sent_ms

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
        is_late = content.sequence < shown or self._comes_after_later_ones(*stream, content.sent_ms)
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
        reply_to = content.extension(Extension.REPLY_TO)
        row = self._db.execute(
            "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, device, "
            "stream, sequence, status, late, missing, hold_until_ms, handed, extensions, reply_to) "
            "VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, 'received', ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING "
            "RETURNING id",
            (
                content.message_id, contact, content.kind, content.body, content.sent_ms, sort_ms, *stream,
                content.sequence, is_late, self._missing_before(*stream, content.sequence, arrived), hold,
                (3 if is_request else 0) if is_shown else 2, content.encode_extensions(),
                reply_to if reply_to is not None and len(reply_to) == MESSAGE_ID else None,
            ),
        ).get  # fmt: skip
        if row is not None and is_shown:
            self.touched(row)
        return row is not None

    def filled(self, device: bytes, stream_id: bytes, sequence: int, arrived: Ranges) -> None:
        """`sequence` arrived: release what was waiting for it, and correct the mark behind it."""
        held = "SELECT 1 FROM messages WHERE device = ? AND stream = ? AND hold_until_ms > 0 LIMIT 1"
        if self._db.execute(held, (device, stream_id)).get is not None:
            self._move(
                "hold_until_ms = 0 WHERE device = ? AND stream = ? AND hold_until_ms > 0 AND sequence <= ?",
                device,
                stream_id,
                arrived.covered_from(self._shown(device, stream_id)),
            )
        after = self._db.execute(
            f"{_IN_STREAM} AND sequence > ? ORDER BY sequence LIMIT 1", (device, stream_id, sequence)
        ).fetchone()
        if after is not None:
            missing = self._missing_before(device, stream_id, after[1], arrived)
            self._move("missing = ?1 WHERE id = ?2 AND missing != ?1", missing, after[0])

    # --- the application's stream ---------------------------------------------------------------------

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
        places: list[tuple[Any, ...]] = self._db.execute(
            "UPDATE messages SET handed = 1, hold_until_ms = 0 WHERE id = ? "
            "RETURNING device, stream, sequence",
            (row,),
        ).fetchall()
        for place in places:
            self._show(*place)

    def _show(self, device: bytes, stream: bytes, sequence: int) -> None:
        """A stream has been shown up to here: what comes before it now is late."""
        self._db.execute(
            "UPDATE received SET shown = max(shown, ?) WHERE device_key = ? AND stream = ?",
            (sequence, device, stream),
        )

    def taken(self, row: int) -> None:
        """The application has asked for the one after it."""
        self._move("handed = 2, seen = 1 WHERE id = ? AND (handed < 2 OR seen = 0)", row)

    def mark_seen(
        self, contact: int, through: bytes | None = None, *, take: bool, owe: bool
    ) -> list[tuple[bytes, bytes, int]]:
        """A person has seen a conversation, up to the message with the id `through` or to its end.

        With `take`, the application does not get these messages any more. With `owe`, their senders are to be
        told. Returns (device, stream, highest sequence) of what was news. Raises NotFoundError.
        """
        until = _END if through is None else self._place_of(contact, through)
        rows: list[tuple[Any, ...]] = self._db.execute(
            "UPDATE messages SET seen = 1, handed = iif(?1 AND handed < 2, 2, handed), "
            "hold_until_ms = iif(?1, 0, hold_until_ms) "
            "WHERE contact = ?2 AND outgoing = 0 AND seen = 0 AND kind IN (1, 7) "
            "AND (sort_ms, sequence, id) <= (?3, ?4, ?5) RETURNING id, device, stream, sequence",
            (take, contact, *until),
        ).fetchall()
        self._touch(rows)
        highest: dict[tuple[bytes, bytes], int] = {}
        for _, device, stream, sequence in rows:
            if device is None:
                continue  # from a backup: its sender has counted it for a device that is gone
            place = bytes(device), bytes(stream)
            highest[place] = max(highest.get(place, 0), sequence)
        for (device, stream), sequence in highest.items():
            if take:
                self._show(device, stream, sequence)
            self._db.execute(
                "UPDATE received SET read_through = ?1, read_owed = max(read_owed, ?2) "
                "WHERE device_key = ?3 AND stream = ?4 AND read_through < ?1",
                (sequence, owe, device, stream),
            )
        return [(device, stream, sequence) for (device, stream), sequence in highest.items()]
