"""How rows come onto the terminal: colours, and a redraw that is right where terminals disagree.

Owns the styles, the control that makes rows when they are drawn, and drawing one frame at a time. Knows
nothing of what the rows say.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final

from prompt_toolkit.application import Application
from prompt_toolkit.layout import UIContent, UIControl
from prompt_toolkit.styles import Style

from clients.chat.layout import Row
from clients.chat.wrap import is_uncertain

PATCHES: Final = 61  # see `_marked`

STYLE: Final = Style.from_dict(
    {
        "time": "ansibrightblack",
        "own": "bold ansicyan",
        "other": "bold ansigreen",
        "quote": "ansibrightblack",
        "rule": "ansibrightblack",
        "day": "ansibrightblack",
        "new": "bold ansiyellow",
        "missing": "ansiyellow",
        "late": "ansiyellow",
        "note": "ansibrightblack",
        "trouble": "bold ansired",
        "failed": "bold ansired",
        "mark.queued": "ansiyellow",
        "mark.requested": "ansiyellow",
        "mark.accepted": "ansibrightblack",
        "mark.delivered": "ansibrightblack",
        "mark.read": "bold ansigreen",
        "mark.failed": "bold ansired",
        "title": "reverse",
        "title.name": "bold reverse",
        "title.good": "bold reverse",
        "title.bad": "bold reverse",
        "alarm": "bold reverse ansired",
        "problem": "reverse ansiyellow",
        "request": "bold reverse ansimagenta",
        "typing": "italic ansigreen",
        "notice": "bold",
        "below": "bold ansiyellow",
        "elsewhere": "bold ansiyellow",
        "prompt": "bold ansicyan",
    }
)


class Rows(UIControl):
    """Rows that are made when they are drawn, for the size that there is."""

    def __init__(self, make: Callable[[int, int], list[Row]]) -> None:
        self._make = make

    def create_content(self, width: int, height: int) -> UIContent:
        """The rows."""
        rows = [_marked(row) for row in self._make(width, height)]
        return UIContent(get_line=lambda number: list(rows[number]), line_count=len(rows), show_cursor=False)


def _marked(row: Row) -> Row:
    """A row that terminals draw in different widths is drawn whole or not at all.

    A redraw skips what has not changed, and would put the rest where *it* believes the columns to be. A style
    name that depends on the row's text makes every cell of a changed row a changed one.
    """
    text = "".join(part for _, part in row)
    if not is_uncertain(text):
        return row
    patch = f" class:patch{zlib.crc32(text.encode(errors='replace')) % PATCHES}"
    return [(style + patch, part) for style, part in row]


class Drawing(Application[None]):
    """Draws nothing while the terminal has not taken the drawing before; once it has, it is asked again."""

    def __init__(self, is_busy: Callable[[], bool], **options: Any) -> None:
        super().__init__(**options)
        self._is_busy = is_busy

    def _redraw(self, render_as_done: bool = False) -> None:
        if render_as_done or not self._is_busy():
            super()._redraw(render_as_done)
