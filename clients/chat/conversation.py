"""One conversation as it stands: its messages in order, what is new, and what the program itself has said.

Owns what an event changes. Pure: messages come in as the JSON of clients/model.py, and nothing is drawn,
awaited or measured here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto
from typing import Final

KEPT_MAX: Final = 2_000  # messages in memory; older ones fall out at the far end
NOTES_MAX: Final = 30
NUMBERED: Final = 9  # incoming messages that /reply can name

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """A message, with all that is shown of it."""

    id: str  # hex
    outgoing: bool
    text: str = field(repr=False)
    sent: datetime
    status: str
    late: bool = False
    missing_before: int = 0
    reply_to: str | None = None
    failed: str | None = None
    seen: bool = True

    @property
    def key(self) -> str:
        """Ids are chosen by whoever wrote the message: ours and theirs are kept apart."""
        return ("out " if self.outgoing else "in ") + self.id

    @classmethod
    def parse(cls, message: Json) -> "Entry":
        """From a message's JSON."""
        text = message.get("text")
        if not isinstance(text, str):
            data = str(message.get("data", ""))
            text = f"<{len(data.rstrip('=')) * 3 // 4} bytes>"
        reply_to, failed = message.get("reply_to"), message.get("failed")
        missing = message.get("missing_before")
        return cls(
            str(message["id"]),
            message.get("direction") == "out",
            text,
            datetime.fromisoformat(str(message["sent"])),
            str(message.get("status", "")),
            bool(message.get("late")),
            missing if isinstance(missing, int) else 0,
            str(reply_to) if reply_to else None,
            str(failed) if failed else None,
            message.get("seen") is not False,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """What the program itself says in the pane: an answer to a command. Not part of any history."""

    number: int
    lines: tuple[str, ...]
    is_trouble: bool = False


class Change(Enum):
    """What a message event did."""

    NEW = auto()  # it stands at the end
    SAME = auto()  # one that is shown has changed: a mark, most often
    ORDER = auto()  # it may belong further up: the history says where
    NONE = auto()  # it is older than all that is shown


class Conversation:
    """The messages with one contact, oldest first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first_new: str | None = None  # key of the message with the line "new since last time" above it
        self.has_all = False  # nothing older is in the history
        self._entries: dict[str, Entry] = {}
        self._notes: dict[str, list[Note]] = {}  # by the key of the message above them, if any
        self._note_count = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether no older message fits in."""
        return len(self._entries) >= KEPT_MAX

    @property
    def oldest(self) -> str | None:
        """The id of the first message."""
        return next((entry.id for entry in self._entries.values()), None)

    @property
    def entries(self) -> list[Entry]:
        """The messages in their order."""
        return list(self._entries.values())

    def notes_below(self, key: str) -> list[Note]:
        """What was said by the program below a message; below none, where there was none."""
        return self._notes.get(key, [])

    def load(self, messages: Iterable[Json], *, is_looked_at: bool = False) -> None:
        """Take over the history as the store has it now. Notes and the line above the new ones stay."""
        had = set(self._entries)
        parsed = [Entry.parse(message) for message in messages][-KEPT_MAX:]
        self._entries = {entry.key: entry for entry in parsed}
        strays = [note for key, notes in self._notes.items() if key not in self._entries for note in notes]
        self._notes = {key: notes for key, notes in self._notes.items() if key in self._entries}
        if strays:
            self._notes.setdefault(self._last, [])[:0] = strays
        if had and any(entry.outgoing and entry.key not in had for entry in parsed):
            self.first_new = None
        elif self.first_new not in self._entries:
            new = (entry.key for entry in parsed if not entry.outgoing and not entry.seen)
            self.first_new = None if had and is_looked_at else next(new, None)

    def load_older(self, messages: Iterable[Json]) -> int:
        """Put messages from before the first one above it; returns how many there was room for."""
        room = KEPT_MAX - len(self._entries)
        parsed = [Entry.parse(message) for message in messages]
        fresh = [entry for entry in parsed if entry.key not in self._entries][-room:] if room > 0 else []
        self._entries = {entry.key: entry for entry in fresh} | self._entries
        return len(fresh)

    def apply(self, message: Json, *, is_looked_at: bool) -> Change:
        """A message that is new or has changed. `is_looked_at`: a person sees the end of the pane now."""
        entry = Entry.parse(message)
        known = self._entries.get(entry.key)
        if known is not None:
            self._entries[entry.key] = replace(entry, seen=entry.seen or known.seen)
            return Change.SAME
        if entry.late or (self._entries and entry.sent < self._entries[self._last].sent):
            is_old = entry.outgoing or entry.seen
            first = next(iter(self._entries.values()), entry)
            return Change.NONE if is_old and not self.has_all and entry.sent < first.sent else Change.ORDER
        if entry.outgoing:
            self.first_new = None  # an answer: what came before it is no news
        elif not entry.seen and not is_looked_at and not self.has_unseen:
            self.first_new = entry.key
        self._entries[entry.key] = entry
        while len(self._entries) > KEPT_MAX:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
            self._notes.pop(oldest, None)
            self.has_all = False
        return Change.NEW

    @property
    def has_unseen(self) -> bool:
        """Whether a message of the other side has not been before a person yet."""
        return any(not entry.seen and not entry.outgoing for entry in reversed(self._entries.values()))

    @property
    def unseen(self) -> int:
        """How many messages of the other side have not been before a person yet."""
        return sum(not entry.seen and not entry.outgoing for entry in self._entries.values())

    def divide(self) -> None:
        """Nobody looks: what has not been seen is what will be new to whoever comes back."""
        first = self._entries.get(self.first_new or "")
        if self.has_unseen and (first is None or first.seen):
            unseen = (entry.key for entry in self._entries.values() if not entry.seen and not entry.outgoing)
            self.first_new = next(unseen)

    def mark_seen(self, through: str | None = None) -> None:
        """A person has seen what is here, up to the message with the key `through` or to the end."""
        for key, entry in self._entries.items():
            if not entry.seen:
                self._entries[key] = replace(entry, seen=True)
            if key == through:
                break

    # --- answering ------------------------------------------------------------------------------------

    def numbered(self) -> list[Entry]:
        """The latest messages of the other side; the first is number 1."""
        incoming = (entry for entry in reversed(self._entries.values()) if not entry.outgoing)
        return [entry for entry, _ in zip(incoming, range(NUMBERED), strict=False)]

    def answered(self, entry: Entry) -> Entry | None:
        """The message that `entry` answers, if it is here: the other side's first, since ids are theirs."""
        if entry.reply_to is None:
            return None
        sides = ("in ", "out ") if entry.outgoing else ("out ", "in ")
        return next((found for side in sides if (found := self._entries.get(side + entry.reply_to))), None)

    def by_id(self, message_id: str) -> Entry | None:
        """The message with this id."""
        return self._entries.get("in " + message_id) or self._entries.get("out " + message_id)

    # --- the program's own words ----------------------------------------------------------------------

    @property
    def _last(self) -> str:
        """The key of the last message; empty if there is none."""
        return next(reversed(self._entries), "")

    def note(self, *lines: str, is_trouble: bool = False) -> None:
        """Say something below the last message."""
        self._note_count += 1
        note = Note(self._note_count, lines, is_trouble)
        self._notes.setdefault(self._last, []).append(note)
        every = [(key, item) for key, notes in self._notes.items() for item in notes]
        for key, item in sorted(every, key=lambda pair: pair[1].number)[:-NOTES_MAX]:
            self._notes[key].remove(item)

    def clear_notes(self) -> bool:
        """Take the program's words away; False if there were none."""
        had = any(self._notes.values())
        self._notes = {}
        return had
