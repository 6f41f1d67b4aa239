"""The line being written, shown safely.

Owns how pasted control and bidi characters, and emoji joined from several, look while they are edited: as in
the conversation, except that joined emoji are shown apart, because terminals disagree about where the cursor
is behind them. The text itself stays as it was typed.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import Final

from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

from clients.chat.wrap import shown

JOINERS: Final = ("\u200d", "\ufe0f")


@lru_cache(maxsize=4096)
def _display(c: str) -> str:
    """One character as it is shown behind another."""
    return "" if c in JOINERS else shown(f"x{c}")[1:] or " "


class SafeDisplay(Processor):
    """Shows each unsafe character as its escape, and keeps the cursor where it belongs."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """One line of the input."""
        text = fragment_list_to_text(transformation_input.fragments)
        if text.isascii() and text.isprintable():
            return Transformation(transformation_input.fragments)
        parts = [_display(c) for c in text]
        starts = [0]
        for part in parts:
            starts.append(starts[-1] + len(part))
        return Transformation(
            [("", "".join(parts))],
            source_to_display=lambda position: starts[min(position, len(parts))],
            display_to_source=lambda position: min(len(parts), max(0, bisect_right(starts, position) - 1)),
        )
