"""Work that is done at once when it comes up seldom, and together when it comes up often.

Owns the time between two runs. Knows nothing of the work.
"""

import asyncio
from collections.abc import Callable


class Spaced:
    """Work that covers all that is due by then. One task awaits `run`."""

    def __init__(self, work: Callable[[], None], apart: float) -> None:
        """`apart` seconds lie between the end of one run and the next, at least."""
        self._work = work
        self._apart = apart
        self._due = asyncio.Event()

    def due(self) -> None:
        """There is something to do."""
        self._due.set()

    def now(self) -> None:
        """Do it, whenever that was last."""
        self._due.clear()
        self._work()

    async def run(self) -> None:
        """Do it whenever it is due. Ends with whatever the work raises."""
        while True:
            await self._due.wait()
            self.now()
            await asyncio.sleep(self._apart)
