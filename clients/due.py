"""Answers that a connection waits for, each until its deadline.

Owns when each is due. Knows no socket, and nothing of what was asked.
"""

import asyncio
from typing import Final

ANSWER_DEADLINE: Final = 30.0  # seconds


class Due:
    """What was asked on one connection and not answered yet, by ref."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._changed = asyncio.Event()

    def asked(self, ref: int) -> None:
        """An answer is due from now on."""
        self._until[ref] = asyncio.get_running_loop().time() + ANSWER_DEADLINE
        self._changed.set()

    def answered(self, ref: int) -> None:
        """It has come."""
        self._until.pop(ref, None)
        self._changed.set()

    async def overdue(self) -> None:
        """Return as soon as an answer is late."""
        while True:
            self._changed.clear()
            first = min(self._until.values(), default=None)
            try:
                async with asyncio.timeout_at(first):
                    await self._changed.wait()
            except TimeoutError:
                return
