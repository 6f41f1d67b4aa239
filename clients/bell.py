"""A bell that wakes whoever waits for something to have changed.

Owns one asyncio event. It carries no message: who wakes looks again.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Bell:
    """Ring it after a change; wait for a change that makes a condition true."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake everybody who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def rung(self, deadline: float | None) -> None:
        """Wait for the next ring, or `deadline` seconds."""
        event = self._event
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                await event.wait()

    async def until(self, look: Callable[[], _T | None], deadline: float | None = None) -> _T | None:
        """What `look` returns as soon as it is not None, or None after `deadline` seconds."""
        loop = asyncio.get_running_loop()
        end = None if deadline is None else loop.time() + deadline
        while (found := look()) is None:
            event = self._event
            try:
                async with asyncio.timeout_at(end):
                    await event.wait()
            except TimeoutError:
                return look()
        return found
