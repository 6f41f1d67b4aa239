"""A terminal's screen as an SVG picture.

Owns cells, colours and the frame. Each run of text is stretched to its columns, and wide characters are
placed one by one, so that it looks right whatever monospaced font the reader has. Knows no chat.
"""

from html import escape
from itertools import groupby
from typing import Final

import pyte
from pyte.screens import Char
from wcwidth import wcwidth

CELL: Final = 8.4  # pixels
LINE: Final = 19
SIZE: Final = 14
MARGIN: Final = 16
BAR: Final = 34
FONT: Final = (
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
)
INK: Final = "#d6deeb"
PAPER: Final = "#0f1720"
EDGE: Final = "#33415a"
FAINT: Final = "#8291ab"
PALETTE: Final = {
    "black": "#1d2733", "red": "#ff7b72", "green": "#7ee787", "brown": "#f2cc60", "yellow": "#f2cc60",
    "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": INK, "brightblack": "#7d8ca6",
}  # fmt: skip
RULE: Final = "─"
QUOTE: Final = "┃"

Run = tuple[int, str, Char]  # column, text, style


def svg(screen: pyte.Screen, title: str) -> str:
    """The screen in a window with a title. Its text can be selected and searched."""
    width = round(screen.columns * CELL + 2 * MARGIN)
    height = BAR + screen.lines * LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="{FONT}" font-size="{SIZE}">',
        f"<title>{escape(title)}</title>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9" '
        f'fill="{PAPER}" stroke="{EDGE}"/>',
    ]
    for number, colour in enumerate(("#ff6259", "#ffbd2e", "#28c840")):
        parts.append(f'<circle cx="{20 + 19 * number}" cy="17" r="5.5" fill="{colour}"/>')
    parts.append(
        f'<text x="{width / 2:g}" y="21.5" fill="{FAINT}" font-size="12.5" text-anchor="middle">'
        f"{escape(title)}</text>"
    )
    for row in range(screen.lines):
        parts += _row(screen, row)
    if pyte.modes.DECTCEM in screen.mode:
        x, y = MARGIN + screen.cursor.x * CELL, BAR + screen.cursor.y * LINE + 2
        parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{CELL:g}" height="{LINE - 3}" fill="{INK}" opacity="0.75"/>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _colours(style: Char) -> tuple[str, str]:
    ink = INK if style.fg == "default" else PALETTE.get(style.fg, f"#{style.fg}")
    paper = PAPER if style.bg == "default" else PALETTE.get(style.bg, f"#{style.bg}")
    return (paper, ink) if style.reverse else (ink, paper)


def _row(screen: pyte.Screen, row: int) -> list[str]:
    parts: list[str] = []
    top = BAR + row * LINE
    for column, text, style in _runs(screen, row):
        ink, paper = _colours(style)
        x, wide = MARGIN + column * CELL, sum(max(0, wcwidth(c)) for c in text) * CELL
        if paper != PAPER:
            parts.append(
                f'<rect x="{x:g}" y="{top}" width="{wide + 0.4:g}" height="{LINE}" fill="{paper}" '
                'shape-rendering="crispEdges"/>'
            )
        if set(text) == {RULE}:
            parts.append(f'<path d="M{x:g} {top + 9.5}h{wide:g}" stroke="{ink}" stroke-opacity="0.55"/>')
        elif text == QUOTE:
            parts.append(f'<path d="M{x + 3:g} {top}v{LINE}" stroke="{ink}" stroke-width="2"/>')
        elif text.strip():
            looks = ' font-weight="bold"' * style.bold + ' font-style="italic"' * style.italics
            stretch = f' textLength="{wide:g}" lengthAdjust="spacingAndGlyphs"' if len(text) > 1 else ""
            parts.append(
                f'<text xml:space="preserve" x="{x:g}" y="{top + 14}" fill="{ink}"{looks}{stretch}>'
                f"{escape(text)}</text>"
            )
    return parts


def _runs(screen: pyte.Screen, row: int) -> list[Run]:
    """Stretches of one style; whatever is not one column wide, and each line drawn, stands alone."""
    cells = [(column, screen.buffer[row][column]) for column in range(screen.columns)]
    runs: list[Run] = []

    def kind(cell: tuple[int, Char]) -> tuple[object, ...]:
        column, char = cell
        is_plain = len(char.data) == 1 and wcwidth(char.data) == 1 and char.data != QUOTE
        return char._replace(data=""), -1 if is_plain else column, char.data == RULE

    for _, group in groupby(cells, kind):
        run = list(group)
        runs += [(run[0][0], "".join(char.data for _, char in run), run[0][1])]
    return [(column, text, style) for column, text, style in runs if text]
