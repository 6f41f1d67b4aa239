"""The part of a conversation that is on the screen.

Owns scrolling: the pane sticks to the end, until somebody scrolls; then what is looked at stays where it is,
whatever comes in below, whatever older is loaded above, and however the terminal is resized. Pure.

Rows are made for what is visible only: one message may have 65,000 of them.
"""

from clients.chat.conversation import Conversation
from clients.chat.layout import Block, Layout, Row

Place = tuple[int, int]  # number of a block, and of a row in it


class Pane:
    """A window of `height` rows on a conversation."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._blocks: list[Block] = []
        self._height = 1
        self._anchor: tuple[str, int] | None = None  # block and row at the top; None: at the end
        self._last_seen = ""  # key of the last message when the end was left

    @property
    def at_end(self) -> bool:
        """Whether the end of the conversation is visible."""
        return self._anchor is None

    @property
    def is_visible(self) -> bool:
        """Whether there is any row for it."""
        return self._height > 0

    def hide(self) -> None:
        """It gets no row, unless it is shown again."""
        self._height = 0

    def show(self, talk: Conversation, width: int, height: int) -> list[Row]:
        """The rows that are visible: at most `height`, the last ones at the bottom."""
        self._height = max(0, height)
        before, self._blocks = self._blocks, self._layout.blocks(talk, width)
        self._keep_anchor(before)
        top = self._top()
        if self._anchor is not None and top >= self._last_top():
            self.end()
        rows: list[Row] = []
        number, row = top
        while number < len(self._blocks) and len(rows) < self._height:
            rows += self._blocks[number].rows[row:][: self._height - len(rows)]
            number, row = number + 1, 0
        return rows

    def _keep_anchor(self, before: list[Block]) -> None:
        """Where what stood at the top is gone, what stood below it is at the top."""
        if self._anchor is None:
            return
        there = {block.key for block in self._blocks}
        if self._anchor[0] in there:
            return
        keys = [block.key for block in before]
        first = keys.index(self._anchor[0]) if self._anchor[0] in keys else len(keys)
        key = next((key for key in keys[first:] if key in there), self._blocks[0].key)
        self._anchor = key, 0

    def _last_top(self) -> Place:
        """What stands at the top when the end is visible."""
        return self._moved((len(self._blocks), 0), -self._height)

    def _moved(self, place: Place, rows: int) -> Place:
        """So many rows from a place; never before the first one, nor behind the last."""
        number, row = place[0], place[1] + rows
        while row < 0 and number > 0:
            number -= 1
            row += len(self._blocks[number].rows)
        while number < len(self._blocks) and row >= len(self._blocks[number].rows):
            row -= len(self._blocks[number].rows)
            number += 1
        return (number, max(0, row)) if number < len(self._blocks) else (number, 0)

    def _top(self) -> Place:
        if self._anchor is None:
            return self._last_top()
        key, row = self._anchor
        number = next(number for number, block in enumerate(self._blocks) if block.key == key)
        return min(self._last_top(), (number, min(row, max(0, len(self._blocks[number].rows) - 1))))

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
        if not self._blocks:
            return False
        before = self._top()
        self._stay(self._moved(before, rows), talk)
        return self._top() != before or rows >= 0

    def _stay(self, top: Place, talk: Conversation) -> None:
        if top >= self._last_top():
            self.end()
            return
        if self._anchor is None:
            self._last_seen = talk.entries[-1].key if len(talk) else ""
        self._anchor = self._blocks[top[0]].key, top[1]

    def page(self, direction: int, talk: Conversation) -> bool:
        """Move by almost a page, so that a row or two stay for the eye."""
        return self.scroll(direction * max(1, self._height - 2), talk)

    def beginning(self, talk: Conversation) -> None:
        """Show the oldest row."""
        if self._blocks:
            self._stay((0, 0), talk)

    def end(self) -> None:
        """Stick to the end again."""
        self._anchor = None
