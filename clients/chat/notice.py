"""A sentence that is shown for some seconds.

Owns its timer.
"""

import asyncio
from collections.abc import Callable
from typing import Final

LASTS: Final = 5.0  # seconds


class Notice:
    """`words` are what is to be shown now; `changed` is called when they come and go."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._timer: asyncio.TimerHandle | None = None
        self.words = ""

    def say(self, words: str) -> None:
        """Show these, in place of others."""
        self.end()
        self.words = words
        self._timer = asyncio.get_running_loop().call_later(LASTS, self._over)
        self._changed()

    def _over(self) -> None:
        self.words = ""
        self._changed()

    def end(self) -> None:
        """No timer outlives the chat."""
        if self._timer is not None:
            self._timer.cancel()
