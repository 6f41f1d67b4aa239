"""Text of others, made safe and cut into rows that fit.

Owns how wide a text may become on any terminal. Terminals disagree about joined emoji, flags and variation
selectors: some draw the family of three in two cells, some in six. A row is therefore measured by the wider
of the two readings, and never overflows. Knows no terminal.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from wcwidth import iter_graphemes, wcswidth, wcwidth

from clients.cli.output import safe

TAB: Final = 4  # columns
MARKS_MAX: Final = 8  # characters of no width on one base; no script needs as many
_JOINERS: Final = ("\u200c", "\u200d")  # Persian and Indic spelling, and emoji
_BLACK_FLAG: Final = "\U0001f3f4"  # the flags of England, Scotland and Wales are tags behind it
_TAGS: Final = range(0xE0020, 0xE0080)

Unit = tuple[str, int]  # what is never cut apart, and its columns


@dataclass(frozen=True, slots=True)
class Piece:
    """One row of a wrapped text, and what stood between it and the next: nothing, a space or a line feed."""

    text: str
    width: int
    end: str


def shown(text: str) -> str:
    """`text` as it may be shown: line feeds stay, tabs are blanks, what cannot be seen is escaped."""
    if text.isascii() and text.isprintable():
        return text
    text = safe(text.replace("\r\n", "\n")).replace("\t", " " * TAB)
    return text if text.isascii() else "".join(_visible(text))


def one_line(text: str, width: int, *, more: str = "...") -> str:
    """The beginning of `text` in at most `width` columns, on one row; `more` stands for the rest."""
    first, _, rest = shown(text).strip().partition("\n")
    pieces = wrap(first, width)
    if len(pieces) == 1 and not rest:
        return pieces[0].text
    if width <= len(more):
        return more[: max(0, width)]
    return wrap(first, width - len(more))[0].text.rstrip() + more


def columns(text: str) -> int:
    """How many columns a safe text may take at most."""
    return len(text) if text.isascii() else sum(width for _, width in _units(text))


def is_uncertain(text: str) -> bool:
    """Whether terminals may disagree about the columns of a safe text."""
    return not text.isascii() and any(
        wcswidth(unit) != sum(max(0, wcwidth(c)) for c in unit) for unit in iter_graphemes(text)
    )


def wrap(text: str, width: int, first: int | None = None) -> list[Piece]:
    """A `shown` text in rows of at most `width` columns, the first of at most `first`.

    Rows end at a blank or beside a wide character where there is one. The pieces with their ends are the
    text, except where a single character is wider than a row: then it is escaped.
    """
    width = max(1, width)
    room = width if first is None else max(1, first)
    pieces: list[Piece] = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        end = "\n" if number < len(lines) - 1 else ""
        _wrap_line(line, room if number == 0 else width, width, end, pieces)
    return pieces


def _wrap_line(line: str, room: int, width: int, end: str, pieces: list[Piece]) -> None:
    if line.isascii() and len(line) <= room:
        pieces.append(Piece(line, len(line), end))
        return
    units = list(_fitting(line, min(room, width)))
    start = used = 0
    break_at = -1  # before which unit the row may end
    position = 0
    while position < len(units):
        unit, wide = units[position]
        if used + wide <= room:
            used += wide
            position += 1
            if unit == " " or (wide >= 2 and not unit.isascii()):
                break_at = position
            continue
        if unit == " ":
            stop, following, between = position, position + 1, " "
        elif wide >= 2 and not unit.isascii():
            stop, following, between = position, position, ""
        elif break_at > start:
            is_blank = units[break_at - 1][0] == " " and break_at - 1 > start
            stop, following, between = break_at - is_blank, break_at, " " if is_blank else ""
        else:
            stop, following, between = position, position, ""
        pieces.append(_piece(units[start:stop], between))
        start = position = following
        used, break_at, room = 0, -1, width
    pieces.append(_piece(units[start:], end))


def _piece(units: list[Unit], end: str) -> Piece:
    return Piece("".join(unit for unit, _ in units), sum(width for _, width in units), end)


def _fitting(line: str, room: int) -> Iterator[Unit]:
    for unit, width in _units(line):
        if width <= room:
            yield unit, width
        else:
            for part, part_width in _parts(unit):
                if part_width <= room:
                    yield part, part_width
                else:
                    yield from ((c, 1) for c in _escape(part))


def _units(text: str) -> Iterator[Unit]:
    if text.isascii():
        yield from ((c, 1) for c in text)
        return
    for unit in iter_graphemes(text):
        yield unit, _width(unit)


@lru_cache(maxsize=4096)
def _width(unit: str) -> int:
    return max(wcswidth(unit), sum(max(0, wcwidth(c)) for c in unit))


def _parts(unit: str) -> Iterator[Unit]:
    """The characters of a cluster that is too wide, each with its marks."""
    part = ""
    for c in unit:
        if part and wcwidth(c) > 0:
            yield part, _width(part)
            part = ""
        part += c
    yield part, _width(part)


def _visible(text: str) -> Iterator[str]:
    """Escapes what has no width where it has no business: fillers, floods of marks, marks on nothing."""
    for unit in iter_graphemes(text):
        marks = 0
        has_base = False
        for c in unit:
            if wcwidth(c) > 0 or c == "\n":
                has_base = has_base or c != "\n"
                marks = 0
                yield _escape(c) if c == "\u00ad" else c
                continue
            marks += 1
            is_tag = ord(c) in _TAGS and unit[0] == _BLACK_FLAG
            is_plain = unicodedata.category(c) != "Cf" or c in _JOINERS or is_tag
            yield c if is_plain and has_base and marks <= MARKS_MAX else _escape(c)


def _escape(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if ord(c) <= 0xFFFF else f"\\U{ord(c):08x}" for c in text)
