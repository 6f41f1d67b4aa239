"""Bars as SVG, by hand: one chart is a title, names, values and one colour for ours.

Owns the drawing; knows nothing of what the values mean.
"""

from collections.abc import Mapping
from html import escape
from typing import Final

WIDTH: Final = 760
NAMES: Final = 230  # pixels for the names
LINE: Final = 24
TOP: Final = 40
OURS, OTHERS, TEXT, BACK = "#2f6fde", "#9aa5b1", "#1f2933", "#ffffff"


def bars(title: str, values: Mapping[str, float], ours: str, shape: str = ",.0f") -> str:
    """The largest value fills the width; `shape` is how the number beside a bar is written."""
    height = TOP + LINE * len(values) + 12
    most = max(values.values(), default=0) or 1
    room = WIDTH - NAMES - 110
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{BACK}"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold" fill="{TEXT}">{escape(title)}</text>',
    ]
    for place, (name, value) in enumerate(values.items()):
        y = TOP + LINE * place
        long = max(1.0, room * value / most)
        weight = "bold" if name == ours else "normal"
        drawn += [
            f'<text x="{NAMES - 8}" y="{y + 15}" text-anchor="end" font-weight="{weight}" fill="{TEXT}">'
            f"{escape(name)}</text>",
            f'<rect x="{NAMES}" y="{y + 3}" width="{long:.1f}" height="{LINE - 8}" rx="2"'
            f' fill="{OURS if name == ours else OTHERS}"/>',
            f'<text x="{NAMES + long + 6:.1f}" y="{y + 15}" fill="{TEXT}">{value:{shape}}</text>',
        ]
    return "\n".join([*drawn, "</svg>", ""])
