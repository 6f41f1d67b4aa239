"""The durable outbox: envelopes on their way to a relay, byte for byte until they are accepted.

Owns the outbox, received and consumed tables: what still has to go out, which receipts are owed, and what
has been taken in. Writing calls run inside a transaction that their caller opened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from clients.store.ranges import Ranges
from clients.store.store import Store
from keys.content import ReadMark, Receipt
from wire.frames import Put

MESSAGES_MAX: Final = 10_000
BYTES_MAX: Final = 256 * 1024 * 1024
RANGES_SENT: Final = 32  # in a receipt that we write, so that it has room in the smallest envelope
STREAMS_MAX: Final = 8  # remembered per device
DEFERRED_MAX: Final = 64  # openings of one contact that wait for its device lists


@dataclass(frozen=True, slots=True)
class OutboxFrame:
    """A frame with its place in the queue."""

    id: int
    frame: Put


class Outbox:
    """The outbox of a profile."""

    def __init__(self, store: Store) -> None:
        self._db = store.db

    def add(self, contact: int, frame: Put, message: int | None) -> None:
        """Queue a frame. `message` is its row in the history, None for receipts and openings."""
        self.add_all(contact, [(frame, message)])

    def add_all(self, contact: int, frames: Sequence[tuple[Put, int | None]]) -> None:
        """Queue frames in this order, each with its message's row."""
        self._db.executemany(
            "INSERT INTO outbox (frame_id, contact, mailbox, envelope, message) VALUES (?, ?, ?, ?, ?)",
            [(frame.frame_id, contact, frame.mailbox, frame.envelope, row) for frame, row in frames],
        )

    def frames(self, contact: int, after: int, limit: int) -> list[OutboxFrame]:
        """The oldest frames to a contact behind queue place `after`."""
        rows = self._db.execute(
            "SELECT id, frame_id, mailbox, envelope FROM outbox "
            "WHERE contact = ? AND id > ? AND accepted = 0 ORDER BY id LIMIT ?",
            (contact, after, limit),
        )
        return [OutboxFrame(row[0], Put(bytes(row[1]), bytes(row[2]), bytes(row[3]))) for row in rows]

    def accepted(self, frame_id: bytes, *, keep: bool) -> int | None:
        """The relay has a frame; with `keep`, that of a message stays until its receipt.

        Returns the history row that is accepted with it as a whole, if any.
        """
        change = "UPDATE outbox SET accepted = 1" if keep else "DELETE FROM outbox"
        receipted = (
            "SELECT s.delivered FROM sent s WHERE s.message = outbox.message AND s.device_key = mailbox"
        )
        rows: list[tuple[Any, ...]] = self._db.execute(
            f"{change} WHERE frame_id = ? AND message IS NOT NULL RETURNING message, ({receipted})",
            (frame_id,),
        ).fetchall()
        if not rows:
            self._db.execute("DELETE FROM outbox WHERE frame_id = ? AND message IS NULL", (frame_id,))
            return None
        row = int(rows[0][0])
        if keep and rows[0][1]:  # receipted before, and asked for again
            self._db.execute("DELETE FROM outbox WHERE frame_id = ?", (frame_id,))
        waits = "SELECT 1 FROM outbox WHERE message = ? AND accepted = 0"
        return row if self._db.execute(waits, (row,)).get is None else None

    def take_back(self, frame_id: bytes) -> tuple[bytes, int | None] | None:
        """Forget a frame that no relay has accepted: its mailbox and its message's row, None without one."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            "DELETE FROM outbox WHERE frame_id = ? AND accepted = 0 RETURNING mailbox, message", (frame_id,)
        ).fetchall()
        return None if not rows else (bytes(rows[0][0]), rows[0][1])

    def has_frames(self, contact: int) -> bool:
        """Whether there is a frame to a contact that no relay has accepted."""
        query = "SELECT 1 FROM outbox WHERE contact = ? AND accepted = 0 LIMIT 1"
        return self._db.execute(query, (contact,)).get is not None

    def is_unwritten(self, contact: int) -> bool:
        """Whether anything may have to be encrypted for a contact before its frames are all there."""
        query = (
            "SELECT (SELECT due FROM contacts WHERE id = ?1) OR EXISTS "
            "(SELECT 1 FROM messages WHERE contact = ?1 AND outgoing = 1 AND sealed = 0) OR EXISTS "
            "(SELECT 1 FROM sent s INDEXED BY sent_again JOIN devices d ON d.device_key = s.device_key "
            "WHERE s.again = 1 AND d.contact = ?1)"
        )
        return bool(self._db.execute(query, (contact,)).get)

    def contacts_waiting(self, now: int) -> list[int]:
        """Contacts with something to send: frames, messages to encrypt (again), or a session to begin."""
        rows = self._db.execute(
            "SELECT id FROM contacts c WHERE c.status = 'approved' AND c.alarm IS NULL AND (EXISTS "
            "(SELECT 1 FROM outbox WHERE contact = c.id AND accepted = 0) OR EXISTS "
            "(SELECT 1 FROM messages WHERE contact = c.id AND outgoing = 1 AND sealed = 0) OR c.due = 1 OR "
            "id IN (SELECT d.contact FROM sent s JOIN devices d ON d.device_key = s.device_key "
            "WHERE s.again = 1) OR "
            "id IN (SELECT d.contact FROM repairs r JOIN devices d ON d.device_key = r.device_key "
            "WHERE r.due = 1 AND r.what = 'session' AND (r.not_before <= ?1 OR r.not_before > ?1 + 86400)))",
            (now,),
        )
        return [int(row[0]) for row in rows]

    def put_again(self, message: int) -> None:
        """Put the very same frames of a message once more."""
        self._db.execute("UPDATE outbox SET accepted = 0 WHERE message = ?", (message,))

    def drop(self, mailbox: bytes, message: int) -> None:
        """Forget the frames of a message to a device."""
        self._db.execute("DELETE FROM outbox WHERE message = ? AND mailbox = ?", (message, mailbox))

    def drop_notes(self, mailbox: bytes) -> None:
        """Forget the frames to a device that belong to no message."""
        self._db.execute("DELETE FROM outbox WHERE mailbox = ? AND message IS NULL", (mailbox,))

    def drop_all(self) -> None:
        """Forget every frame: nobody can read them."""
        self._db.execute("DELETE FROM outbox")

    def is_full(self) -> bool:
        """Whether 10,000 messages or 256 MiB wait."""
        return bool(
            self._db.execute("SELECT count >= ? OR bytes >= ? FROM waiting", (MESSAGES_MAX, BYTES_MAX)).get
        )

    def drop_gone(self, contact: int, mailboxes: list[bytes]) -> bool:
        """Forget frames to devices that are no longer in the contact's list.

        A message that none of those that are has got or will get is encrypted again, for them; whether there
        are any.
        """
        waits = False
        keep, unsent = ", ".join("?" * len(mailboxes)), "contact = ? AND accepted = 0"
        gone = self._db.execute(
            f"DELETE FROM outbox WHERE {unsent} AND mailbox NOT IN ({keep}) RETURNING message",  # noqa: S608 marks
            (contact, *mailboxes),
        ).fetchall()
        devices = f"SELECT device_key FROM devices WHERE contact = ? AND device_key NOT IN ({keep})"  # noqa: S608 marks
        its = f"device_key IN ({devices})"
        unsaid: list[tuple[Any, ...]] = self._db.execute(
            f"DELETE FROM sent WHERE delivered = 0 AND {its} RETURNING device_key, message",  # noqa: S608 marks
            (contact, *mailboxes),
        ).fetchall()
        for mailbox, row in unsaid:  # what a relay has accepted, too
            self.drop(bytes(mailbox), row)
        self._db.execute(
            f"UPDATE sent INDEXED BY sent_again SET again = 0 WHERE again = 1 AND {its}",  # noqa: S608 marks
            (contact, *mailboxes),
        )
        for row in {row for *_, row in (*gone, *unsaid) if row is not None}:
            self._db.execute(
                "UPDATE messages SET sealed = 0, "
                "status = iif(status = 'accepted', 'queued', status) "
                "WHERE id = ?1 AND status IN ('queued', 'accepted') "
                "AND NOT EXISTS (SELECT 1 FROM sent WHERE message = ?1)",
                (row,),
            )
            waits = waits or self._db.changes() > 0
        return waits

    # --- receipts -------------------------------------------------------------------------------------

    def arrived(self, device_key: bytes, stream: bytes) -> Ranges:
        """Which sequences of a stream have arrived."""
        record = self._db.execute(
            "SELECT ranges FROM received WHERE device_key = ? AND stream = ?", (device_key, stream)
        ).get
        return Ranges() if record is None else Ranges.decode(bytes(record))

    def save_arrived(self, device_key: bytes, stream: bytes, ranges: Ranges, now: int, *, owes: bool) -> None:
        """Keep them; `owes` asks for a receipt."""
        self._db.execute(
            "INSERT INTO received (device_key, stream, ranges, owed, at) VALUES (?1, ?2, ?3, ?4, ?5) "
            "ON CONFLICT (device_key, stream) DO UPDATE SET ranges = ?3, owed = max(owed, ?4), at = ?5",
            (device_key, stream, ranges.encode(), owes, now),
        )
        # A device has one stream in the life of its store; one that makes up more only forgets its own.
        count = self._db.execute("SELECT count(*) FROM received WHERE device_key = ?", (device_key,)).get
        if count <= STREAMS_MAX:
            return
        self._db.execute(
            "DELETE FROM received WHERE device_key = ?1 AND stream NOT IN "
            "(SELECT stream FROM received WHERE device_key = ?1 ORDER BY at DESC, stream = ?2 DESC LIMIT ?3)",
            (device_key, stream, STREAMS_MAX),
        )

    def notes_owed(self) -> list[int]:
        """Contacts that are owed a receipt or a read mark, also where one is on its way already."""
        rows = self._db.execute(
            "SELECT DISTINCT d.contact FROM devices d JOIN contacts c ON c.id = d.contact "
            "WHERE c.status = 'approved' AND c.alarm IS NULL AND d.device_key IN "
            "(SELECT device_key FROM received WHERE owed = 1 "
            "UNION ALL SELECT device_key FROM received WHERE read_owed = 1)"
        )
        return [int(row[0]) for row in rows]

    def receipts_owed(self) -> list[tuple[int, bytes, Receipt]]:
        """(contact, device, receipt) to send now: only to approved contacts, one outstanding at a time."""
        rows = self._db.execute(
            "SELECT d.contact, r.device_key, r.stream, r.ranges FROM received r "
            "JOIN devices d ON d.device_key = r.device_key JOIN contacts c ON c.id = d.contact "
            "WHERE r.owed = 1 AND c.status = 'approved' AND c.alarm IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.mailbox = r.device_key AND o.message IS NULL) "
            "GROUP BY r.device_key"
        )
        return [
            (row[0], bytes(row[1]), Receipt(bytes(row[2]), Ranges.decode(bytes(row[3])).pairs[-RANGES_SENT:]))
            for row in rows
        ]

    def receipt_written(self, device_key: bytes, stream: bytes) -> None:
        """The receipt is in the outbox."""
        self._db.execute(
            "UPDATE received SET owed = 0 WHERE device_key = ? AND stream = ?", (device_key, stream)
        )

    def arrived_last(self, device_key: bytes) -> Receipt | None:
        """What has arrived of the stream that a device uses now, if anything has."""
        row = self._db.execute(
            "SELECT stream, ranges FROM received WHERE device_key = ? ORDER BY at DESC LIMIT 1", (device_key,)
        ).fetchone()
        if row is None:
            return None
        return Receipt(bytes(row[0]), Ranges.decode(bytes(row[1])).pairs[-RANGES_SENT:])

    def owe_receipt(self, device_key: bytes) -> None:
        """Tell a device once more what has arrived of the stream that it uses now."""
        self._db.execute(
            "UPDATE received SET owed = 1 WHERE device_key = ?1 AND stream = "
            "(SELECT stream FROM received WHERE device_key = ?1 ORDER BY at DESC LIMIT 1)",
            (device_key,),
        )

    def has_note(self, mailbox: bytes) -> bool:
        """Whether a frame that belongs to no message is on its way to this device."""
        query = "SELECT 1 FROM outbox WHERE mailbox = ? AND message IS NULL LIMIT 1"
        return self._db.execute(query, (mailbox,)).get is not None

    def is_newest_card(self, device_key: bytes, stream: bytes, sequence: int) -> bool:
        """Whether a card is newer than the last one of this stream; it is the last one from now on."""
        self._db.execute(
            "UPDATE received SET card = ?3 WHERE device_key = ?1 AND stream = ?2 AND card < ?3",
            (device_key, stream, sequence),
        )
        return self._db.changes() == 1

    def reads_owed(self) -> list[tuple[int, bytes, ReadMark]]:
        """(contact, device, mark) of what a person has seen and its sender is to be told, likewise."""
        rows = self._db.execute(
            "SELECT d.contact, r.device_key, r.stream, r.read_through FROM received r "
            "JOIN devices d ON d.device_key = r.device_key JOIN contacts c ON c.id = d.contact "
            "WHERE r.read_owed = 1 AND c.status = 'approved' AND c.alarm IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.mailbox = r.device_key AND o.message IS NULL) "
            "GROUP BY r.device_key"
        )
        return [(row[0], bytes(row[1]), ReadMark(bytes(row[2]), int(row[3]))) for row in rows]

    def read_written(self, device_key: bytes, stream: bytes) -> None:
        """The read mark is in the outbox, or its sender is not to be told after all."""
        self._db.execute(
            "UPDATE received SET read_owed = 0 WHERE device_key = ? AND stream = ?", (device_key, stream)
        )

    def defer(self, contact: int, envelope: bytes, is_request: bool) -> bool:
        """Keep an opening for later; False if too many of this contact wait already."""
        count = self._db.execute("SELECT count(*) FROM deferred WHERE contact = ?", (contact,)).get
        if count >= DEFERRED_MAX:
            return False
        self._db.execute(
            "INSERT INTO deferred (contact, envelope, is_request) VALUES (?, ?, ?)",
            (contact, envelope, is_request),
        )
        return True

    def take_deferred(self, contact: int) -> list[tuple[bytes, bool]]:
        """(envelope, whether it came as a request) of what was kept for later, in order; kept no longer."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            "SELECT envelope, is_request FROM deferred WHERE contact = ? ORDER BY id", (contact,)
        ).fetchall()
        self._db.execute("DELETE FROM deferred WHERE contact = ?", (contact,))
        return [(bytes(row[0]), bool(row[1])) for row in rows]

    # --- what has been taken in -----------------------------------------------------------------------

    def consume(self, envelope_hash: bytes, now: int) -> bool:
        """Remember an envelope; False if it was here before (a replay)."""
        self._db.execute("INSERT INTO consumed VALUES (?, ?) ON CONFLICT DO NOTHING", (envelope_hash, now))
        return self._db.changes() == 1

    def unconsume(self, envelope_hash: bytes) -> None:
        """Remember this envelope no longer: it changed nothing, and may come again."""
        self._db.execute("DELETE FROM consumed WHERE hash = ?", (envelope_hash,))

    def forget_consumed(self, before: int) -> None:
        """Drop what was consumed before that time: every sealing key that could open it is gone."""
        self._db.execute("DELETE FROM consumed WHERE at < ?", (before,))
