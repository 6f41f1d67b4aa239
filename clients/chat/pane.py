"""The part of a conversation that is on the screen.

Owns scrolling: the pane sticks to the end, until somebody scrolls; then what is looked at stays where it is,
whatever comes in below, whatever older is loaded above, and however the terminal is resized. Pure.
"""

from bisect import bisect_right
from itertools import accumulate

from clients.chat.conversation import Conversation
from clients.chat.layout import Block, Layout, Row


class Pane:
    """A window of `height` rows on a conversation."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._blocks: list[Block] = []
        self._starts: list[int] = [0]  # the first row of each block, and the number of all rows
        self._height = 1
        self._anchor: tuple[str, int] | None = None  # block and row at the top; None: at the end
        self._last_seen = ""  # key of the last message when the end was left

    @property
    def at_end(self) -> bool:
        """Whether the end of the conversation is visible."""
        return self._anchor is None

    def show(self, talk: Conversation, width: int, height: int) -> list[Row]:
        """The rows that are visible: at most `height`, the last ones at the bottom."""
        self._height = max(0, height)
        self._blocks = self._layout.blocks(talk, width)
        self._starts = [0, *accumulate(len(block.rows) for block in self._blocks)]
        top = self._top()
        if top >= self._starts[-1] - self._height:
            self.end()
        return self._rows(top, top + self._height)

    def _rows(self, first: int, last: int) -> list[Row]:
        rows: list[Row] = []
        index = max(0, bisect_right(self._starts, first) - 1)
        while index < len(self._blocks) and self._starts[index] < last:
            start = self._starts[index]
            rows += self._blocks[index].rows[max(0, first - start) : last - start]
            index += 1
        return rows

    def _top(self) -> int:
        end = max(0, self._starts[-1] - self._height)
        if self._anchor is None:
            return end
        key, offset = self._anchor
        for index, block in enumerate(self._blocks):
            if block.key == key:
                return min(end, self._starts[index] + min(offset, max(0, len(block.rows) - 1)))
        return end

    def below(self, talk: Conversation) -> int:
        """How many messages of the other side have come in below what is visible since the end was left."""
        if self._anchor is None:
            return 0
        count = 0
        for entry in reversed(talk.entries):
            if entry.key == self._last_seen:
                break
            count += not entry.outgoing
        return count

    def scroll(self, rows: int, talk: Conversation) -> bool:
        """Move by `rows`, upwards if negative; False if it is at the beginning already."""
        before = self._top()
        top = max(0, min(before + rows, self._starts[-1] - self._height))
        if top >= self._starts[-1] - self._height:
            self.end()
            return True
        if self._anchor is None:
            self._last_seen = talk.entries[-1].key if len(talk) else ""
        index = min(len(self._blocks) - 1, bisect_right(self._starts, top) - 1)
        self._anchor = (self._blocks[index].key, top - self._starts[index])
        return top != before or rows >= 0

    def page(self, direction: int, talk: Conversation) -> bool:
        """Move by almost a page, so that a row or two stay for the eye."""
        return self.scroll(direction * max(1, self._height - 2), talk)

    def beginning(self, talk: Conversation) -> None:
        """Show the oldest row."""
        self.scroll(-self._starts[-1], talk)

    def end(self) -> None:
        """Stick to the end again."""
        self._anchor = None
