"""Conversations: the history as it is read, searched and walked through.

Owns every query that turns rows of the messages table into messages. Changes nothing.
"""

from collections.abc import Iterator
from typing import Any, Final

from clients.errors import NotFoundError, UsageError
from clients.model import Message, MessageStatus
from clients.store.names import is_half
from clients.store.store import Store
from keys.content import Kind

SHOWN_KINDS: Final = (Kind.TEXT, Kind.DATA)
SEARCH_MAX: Final = 500  # characters; SQLite takes no more than 256 words at once
WORD_MIN: Final = 3  # characters of a word that the index finds; shorter ones are looked for in the texts
PAGE: Final = 500

_COLUMNS: Final = (
    "m.id, m.sort_ms, m.message_id, c.name, m.outgoing, m.kind, m.body, m.sent_ms, m.sequence, m.status, "
    "m.late, m.handed, m.missing, m.reply_to, m.failed, m.seen "
    "FROM messages m JOIN contacts c ON c.id = m.contact "
)
_PLACE: Final = "(m.sort_ms, m.sequence, m.id)"
Place = tuple[int, int, int]  # in the order of a conversation


def _message(values: tuple[Any, ...], *, offered: bool = False) -> Message:
    """`offered`: it goes to the application now, and says so if it has gone there before."""
    _, _, id, name, outgoing, kind, body, sent, sequence, status, late, handed, missing = values[:13]
    reply_to, failed, seen = values[13:]
    return Message(
        bytes(id), name, bool(outgoing), kind, bytes(body), sent, sequence, MessageStatus(status), bool(late),
        offered and handed == 1, missing, None if reply_to is None else bytes(reply_to), failed,
        bool(outgoing or seen),
    )  # fmt: skip


def _place(values: tuple[Any, ...]) -> Place:
    return values[1], values[8], values[0]


def _words(search: str) -> list[str]:
    """What must occur. Raises UsageError for more than anybody types."""
    if len(search) > SEARCH_MAX:
        raise UsageError(f"A search has at most {SEARCH_MAX} characters.")
    return search.replace("\0", " ").split()


class Conversations:
    """The messages of a profile, to read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.db

    def message(self, row: int) -> Message | None:
        """The message in this row, or None if it is gone or none that is shown."""
        values = self._db.execute(f"SELECT {_COLUMNS} WHERE m.id = ? AND m.kind IN (1, 7)", (row,)).fetchone()
        return None if values is None else _message(values)

    def next_message(self, now_ms: int) -> tuple[int, Message] | None:
        """The next message of an approved contact that the application has not finished with."""
        return next(iter(self.next_messages(now_ms, 1)), None)

    def next_messages(self, now_ms: int, limit: int) -> list[tuple[int, Message]]:
        """The next of these, in order, each with its row."""
        rows: list[tuple[Any, ...]] = self._db.execute(
            f"SELECT {_COLUMNS} WHERE m.outgoing = 0 AND m.handed < 2 AND m.hold_until_ms <= ? "
            "ORDER BY m.sort_ms, m.sequence, m.id LIMIT ?",
            (now_ms, limit),
        ).fetchall()
        return [(values[0], _message(values, offered=True)) for values in rows]

    def status(self, message_id: bytes) -> MessageStatus | None:
        """Where an outgoing message is."""
        value = self._db.execute(
            "SELECT status FROM messages WHERE message_id = ? AND outgoing = 1", (message_id,)
        ).get
        return None if value is None else MessageStatus(value)

    def sent(self, message_id: bytes) -> Message | None:
        """The outgoing message with this id."""
        values = self._db.execute(
            f"SELECT {_COLUMNS} WHERE m.message_id = ? AND m.outgoing = 1", (message_id,)
        ).fetchone()
        return None if values is None else _message(values)

    def by_key(self, contact: int, key: str) -> Message | None:
        """The outgoing message to a contact that its sender named `key`."""
        values = self._db.execute(f"SELECT {_COLUMNS} WHERE m.contact = ? AND m.key = ?", (contact, key))
        found = values.fetchone()
        return None if found is None else _message(found)

    def find(self, contact: int, message_id: bytes) -> Message | None:
        """The message with this id in a conversation: ours, if a contact has used our id for its own."""
        values = self._db.execute(
            f"SELECT {_COLUMNS} WHERE m.message_id = ? AND m.contact = ? AND m.kind IN (1, 7) "
            "ORDER BY m.outgoing DESC LIMIT 1",
            (message_id, contact),
        ).fetchone()
        return None if values is None else _message(values)

    def _place_of(self, contact: int, message_id: bytes) -> Place:
        """Where in a conversation a message is. Raises NotFoundError."""
        found = self._db.execute(
            "SELECT sort_ms, sequence, id FROM messages WHERE message_id = ? AND contact = ? "
            "ORDER BY outgoing LIMIT 1",
            (message_id, contact),
        ).fetchone()
        if found is None:
            raise NotFoundError("There is no such message in this conversation.")
        return int(found[0]), int(found[1]), int(found[2])

    def conversation(
        self,
        contact: int,
        limit: int,
        since_ms: int | None = None,
        search: str | None = None,
        before: bytes | None = None,
    ) -> list[Message]:
        """The last `limit` messages with a contact, oldest first.

        Of those that came or were written at `since_ms` (Unix milliseconds) or later; that hold every word of
        `search`, in any case and script; that stand before the message with the id `before`. Raises
        UsageError for a search that is too long, NotFoundError for a `before` that is not there.
        """
        words = [] if search is None else _words(search)
        if any(map(is_half, words)):
            return []
        where, values = "m.contact = ? AND m.kind IN (1, 7)", [contact]
        if since_ms is not None:
            where += " AND m.sort_ms >= ?"
            values.append(since_ms)
        if before is not None:
            where += f" AND {_PLACE} < (?, ?, ?)"
            values += self._place_of(contact, before)
        found = list(self._newest_first(where, values, limit, words))
        return [_message(row) for row in reversed(found)]

    def _newest_first(
        self, where: str, values: list[Any], limit: int, words: list[str]
    ) -> Iterator[tuple[Any, ...]]:
        """The last rows that hold every word. Words of three characters and more are found by the index."""
        quoted = ['"' + word.replace('"', '""') + '"' for word in words if len(word) >= WORD_MIN]
        short = [word.casefold() for word in words if len(word) < WORD_MIN]
        if words:
            where += " AND m.kind = 1"
        if quoted:
            where += " AND m.id IN (SELECT rowid FROM words WHERE words MATCH ?)"
            values = [*values, " ".join(quoted)]
        rows = self._db.execute(
            f"SELECT {_COLUMNS} WHERE {where} ORDER BY m.sort_ms DESC, m.sequence DESC, m.id DESC LIMIT ?",
            (*values, -1 if short else limit),
        )
        if not short:
            yield from rows.fetchall()
            return
        for row in rows:
            if limit <= 0:
                break
            text = bytes(row[6]).decode("utf-8", "replace").casefold()
            if all(word in text for word in short):
                limit -= 1
                yield row

    def everything(self, contact: int, since_ms: int = 0) -> Iterator[Message]:
        """Every message with a contact, oldest first, read in pages."""
        last: Place = (since_ms, -1, -1)
        while True:
            rows = self._db.execute(
                f"SELECT {_COLUMNS} WHERE m.contact = ? AND m.kind IN (1, 7) AND {_PLACE} > (?, ?, ?) "
                "ORDER BY m.sort_ms, m.sequence, m.id LIMIT ?",
                (contact, *last, PAGE),
            ).fetchall()
            if not rows:
                return
            yield from map(_message, rows)
            last = _place(rows[-1])
