"""From a conversation to rows of styled text.

Owns where things stand: the time, the mark, who wrote it, the text behind them, and what a narrow terminal
leaves out. All that others wrote stands to the right of what is ours, so that none of it can pass for another
message. Pure: a width in, rows out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from clients.chat.conversation import Conversation, Entry, Note
from clients.chat.marks import WIDTH as MARK
from clients.chat.marks import Signs
from clients.chat.wrap import columns, one_line, shown, wrap

Fragment = tuple[str, str]  # style, text
Row = list[Fragment]

WIDE: Final = 50  # columns from which on the text has a column of its own
NAME_MAX: Final = 14
TEXT_MAX: Final = 100  # columns; longer rows are hard to read
TIME: Final = 5
TOGETHER: Final = timedelta(minutes=5)  # messages that follow as closely do not repeat the name
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
YOU: Final = "you"


def day_name(day: datetime) -> str:
    """A day in words, the same in every locale."""
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


class Block:
    """Rows that belong together, and what they show: the key of a message, or words of ours."""

    def __init__(self, key: str, make: Callable[[], list[Row]]) -> None:
        self.key = key
        self._make = make
        self._rows: list[Row] | None = None

    @property
    def rows(self) -> list[Row]:
        """The rows, at least one; made when they are first asked for."""
        if self._rows is None:
            self._rows = self._make()
        return self._rows


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands around a text: all that its rows depend on besides the message."""

    width: int
    name: str
    is_continued: bool
    quote: tuple[str, str] | None


class Layout:
    """Lays a conversation out, remembering the rows of messages that have not changed."""

    def __init__(self, signs: Signs, zone: tzinfo | None = None) -> None:
        self._signs = signs
        self._zone = zone
        self._known: dict[str, tuple[Entry, _Frame, Block]] = {}

    def blocks(self, talk: Conversation, width: int) -> list[Block]:
        """The whole conversation at a width of at least 1 column."""
        width = max(1, width)
        found: list[Block] = []
        known: dict[str, tuple[Entry, _Frame, Block]] = {}
        self._add_notes(found, talk.notes_below(""), width)
        before: Entry | None = None
        day = ""
        for entry in talk.entries:
            today = day_name(self._local(entry))
            if today != day:
                day, before = today, None
                found.append(self._between("day " + entry.key, today, width, "class:day"))
            if talk.first_new == entry.key:
                before = None
                found.append(self._between("new " + entry.key, "new since last time", width, "class:new"))
            frame = _Frame(width, talk.name, self._continues(before, entry), self._quote(talk, entry))
            kept = self._known.get(entry.key)
            if kept is None or kept[0] != entry or kept[1] != frame:
                kept = (entry, frame, Block(entry.key, partial(self._message, entry, frame)))
            known[entry.key] = kept
            found.append(kept[2])
            notes = talk.notes_below(entry.key)
            self._add_notes(found, notes, width)
            before = None if notes else entry
        self._known = known
        if not found:
            words = "No messages yet. Write one, and press Enter. /help"
            found.append(self._between("empty", words, width, "class:note"))
        return found

    def _local(self, entry: Entry) -> datetime:
        try:
            return entry.sent.astimezone(self._zone)
        except (OverflowError, ValueError, OSError):  # years that this zone's clock cannot show
            return entry.sent

    @staticmethod
    def _continues(before: Entry | None, entry: Entry) -> bool:
        return (
            before is not None
            and before.outgoing == entry.outgoing
            and not entry.missing_before
            and timedelta(0) <= entry.sent - before.sent < TOGETHER
        )

    def _quote(self, talk: Conversation, entry: Entry) -> tuple[str, str] | None:
        if entry.reply_to is None:
            return None
        answered = talk.answered(entry)
        if answered is None:
            return "", "an earlier message"
        return YOU if answered.outgoing else talk.name, answered.text[:400]

    def _between(self, key: str, words: str, width: int, style: str) -> Block:
        return Block(key, lambda: [self._line(words, width, style)])

    def _line(self, words: str, width: int, style: str) -> Row:
        """Words in the middle of a line across the pane."""
        words = one_line(words, width)
        left = max(0, (width - len(words) - 2) // 2)
        right = max(0, width - len(words) - 2 - left)
        if left < 2:
            return [(style, words)]
        rule = self._signs.rule
        return [("class:rule", rule * left), (style, f" {words} "), ("class:rule", rule * right)]

    def _add_notes(self, found: list[Block], notes: list[Note], width: int) -> None:
        found += [Block(f"note {note.number}", partial(_note_rows, note, width)) for note in notes]

    # --- a message ------------------------------------------------------------------------------------

    def _message(self, entry: Entry, frame: _Frame) -> list[Row]:
        rows: list[Row] = []
        if entry.missing_before:
            count = entry.missing_before
            what = "1 message is missing here" if count == 1 else f"{count} messages are missing here"
            rows.append(self._line(what, frame.width, "class:missing"))
        who = YOU if entry.outgoing else one_line(frame.name, NAME_MAX)
        style = "class:own" if entry.outgoing else "class:other"
        time = self._local(entry).strftime("%H:%M")
        mark_style, mark = self._signs.mark(entry.status) if entry.outgoing else ("", " " * MARK)
        if frame.width >= WIDE:
            name_width = max(len(YOU), columns(one_line(frame.name, NAME_MAX)))
            name = " " * name_width if frame.is_continued else " " * (name_width - columns(who)) + who
            head: Row = [
                ("", " "),
                ("class:time", time),
                (mark_style, f" {mark} "),
                (style, name),
                ("", "  "),
            ]
            self._hang(rows, entry, frame, head, 1 + TIME + 1 + MARK + 1 + name_width + 2)
        else:
            head = [("class:time", time), ("", " "), (style, who)]
            used = TIME + 1 + columns(who)
            if entry.outgoing:
                head.append((mark_style, " " + mark.strip()))
                used += 1 + len(mark.strip())
            head.append(("", " "))
            self._run_in(rows, entry, frame, head, used + 1)
        return rows

    def _hang(self, rows: list[Row], entry: Entry, frame: _Frame, head: Row, indent: int) -> None:
        """The text in a column of its own, behind the head."""
        width = min(TEXT_MAX, frame.width - indent)
        body = self._body(entry, frame, width, width)
        for row in body:
            rows.append([*(head if row is body[0] else [("", " " * indent)]), *row])

    def _run_in(self, rows: list[Row], entry: Entry, frame: _Frame, head: Row, used: int) -> None:
        """The text on the row of the head, or below it where that leaves too little."""
        indent = 2 if frame.width >= 20 else 0
        room = frame.width - used
        if room < frame.width // 3 or room < 4:
            rows.append(_clip(head, frame.width))
            rows += [
                [("", " " * indent), *row] for row in self._body(entry, frame, *[frame.width - indent] * 2)
            ]
            return
        body = self._body(entry, frame, room, frame.width - indent)
        for row in body:
            rows.append([*(head if row is body[0] else [("", " " * indent)]), *row])

    def _body(self, entry: Entry, frame: _Frame, first: int, width: int) -> list[Row]:
        """Quote, text and remarks, without any indentation. Never empty."""
        rows: list[Row] = []
        room = first
        if frame.quote is not None:
            who, what = frame.quote
            who = one_line(who, min(NAME_MAX, max(1, first // 2))) + ": " if who else ""
            left = first - len(self._signs.quote) - columns(who)
            said = one_line(what, left) if left > 0 else ""
            rows.append(_clip([("class:quote", f"{self._signs.quote}{who}{said}")], first))
            room = width
        style = "class:text.own" if entry.outgoing else "class:text"
        rows += [[(style, piece.text)] for piece in wrap(shown(entry.text), width, room)]
        if entry.late:
            rows += [[("class:late", piece.text)] for piece in wrap("(came late)", width)]
        if entry.status == "failed":
            why = shown(f"not sent: {entry.failed or 'given up'}").replace("\n", " ")
            rows += [[("class:failed", piece.text)] for piece in wrap(why, width)]
        return rows


def _note_rows(note: Note, width: int) -> list[Row]:
    style = "class:trouble" if note.is_trouble else "class:note"
    rows: list[Row] = []
    indent = min(1, width - 1)
    for line in note.lines:
        text = shown(line)
        hang = _hang_of(text, width - indent)
        first = True
        for piece in wrap(text, max(1, width - indent - hang), width - indent):
            blank = indent if first else indent + hang
            rows.append([("", " " * blank), (style, piece.text)])
            first = False
    return rows


def _hang_of(line: str, width: int) -> int:
    """Where the further rows of a line of ours begin: below its last column, where it has columns."""
    found = re.match(r"(?:\s*\S.*?\s{2,})?\s*", line)
    hang = found.end() if found else 0
    return hang if hang <= width // 2 else 0


def _clip(row: Row, width: int) -> Row:
    """The beginning of a row; used where even our own words do not fit."""
    clipped: Row = []
    for style, text in row:
        left = width - sum(columns(part) for _, part in clipped)
        if left <= 0:
            break
        clipped.append((style, text if columns(text) <= left else wrap(text, left)[0].text))
    return clipped


def row_text(row: Row) -> str:
    """The text of a row without its styles."""
    return "".join(text for _, text in row)


def row_columns(row: Row) -> int:
    """How many columns a row may take at most."""
    return sum(columns(text) for _, text in row)
