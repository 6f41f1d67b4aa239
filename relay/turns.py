"""What waits for the end of a turn of the event loop.

Owns the list of it: whatever many read events cause for one socket, it is written once, after all of them.
"""

import asyncio
import logging
from collections.abc import Callable

from relay.logs import LOGGER

log = logging.getLogger(LOGGER)


class Turns:
    """Calls, each of which is made once after the callbacks that are due now."""

    __slots__ = ("_due", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: list[Callable[[], None]] = []

    def at_end(self, call: Callable[[], None]) -> None:
        """Call this at the end; whoever asks sees to it that it asks once."""
        if not self._due:
            self._loop.call_soon(self._end)
        self._due.append(call)

    def _end(self) -> None:
        due, self._due = self._due, []
        for call in due:
            try:
                call()
            except Exception as error:  # not to reach whoever is next
                log.error("a socket could not be written to", exc_info=error)
