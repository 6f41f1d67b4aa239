"""How far a message of ours is, in two columns; told apart without colour.

Owns the signs and their legend. Each has one width on every terminal, East Asian ones included.
"""

from dataclasses import dataclass
from typing import Final

WIDTH: Final = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """A sign for terminals with UTF-8, one for the others, its style, and what it says."""

    sign: str
    plain: str
    style: str
    meaning: str


MARKS: Final = {
    "queued": Mark("⋯", "..", "class:mark.queued", "queued here, for the relay"),
    "requested": Mark("?", "?", "class:mark.requested", "a request until accepted"),
    "accepted": Mark("✓", "+", "class:mark.accepted", "safe at the relay"),
    "delivered": Mark("✓✓", "++", "class:mark.delivered", "delivered"),
    "read": Mark("◉", "@", "class:mark.read", "read"),
    "failed": Mark("✗", "!", "class:mark.failed", "not sent"),
}
_UNKNOWN: Final = Mark(" ", " ", "", "")


@dataclass(frozen=True, slots=True)
class Signs:
    """The drawn signs that a terminal can show."""

    is_unicode: bool = True

    def mark(self, status: str) -> tuple[str, str]:
        """Style and two columns for a status."""
        mark = MARKS.get(status, _UNKNOWN)
        return mark.style, f"{mark.sign if self.is_unicode else mark.plain:>{WIDTH}}"

    @property
    def rule(self) -> str:
        """One column of a horizontal line."""
        return "─" if self.is_unicode else "-"

    @property
    def quote(self) -> str:
        """What stands before a quoted line, in two columns."""
        return "┃ " if self.is_unicode else "> "

    @property
    def more(self) -> str:
        """What stands for the rest of a cut line."""
        return "..."

    def legend(self) -> list[str]:
        """What the marks mean, two on a line."""
        told = [f"{self.mark(status)[1]} {mark.meaning}" for status, mark in MARKS.items()]
        wide = max(map(len, told[::2]))
        return [f"{first:{wide}}   {second}" for first, second in zip(told[::2], told[1::2], strict=True)]
