"""Telling whoever we talk to that we type, and that we have stopped.

Owns the task that says so, at the pace of `pace`. Knows no terminal, and not who may know: that is asked.
"""

import asyncio
import contextlib
from collections.abc import Callable

from clients.bell import Bell
from clients.chat.pace import TypingPace
from clients.chat.profile_line import Caller
from clients.errors import ClientError, NotFoundError
from clients.local.failures import LineLost


class Typist:
    """Says that somebody types. `to_whom` is the name of who may know now, None for nobody."""

    def __init__(self, to_whom: Callable[[], str | None]) -> None:
        self._to_whom = to_whom
        self._pace = TypingPace()
        self._bell = Bell()
        self._now: bool | None = None  # to be said next

    def typed(self, *, has_text: bool) -> None:
        """The line being written has changed."""
        has_text = has_text and self._to_whom() is not None
        said = self._pace.pressed(asyncio.get_running_loop().time(), has_text=has_text)
        if said is not None:
            self._now = said
        self._bell.ring()

    async def run(self, line: Caller) -> None:
        """Say it, until cancelled. Raises LineLost."""
        clock = asyncio.get_running_loop().time
        while True:
            said = self._pace.look(clock())
            said, self._now = self._now if said is None else said, None
            name = self._to_whom()
            if said is None or name is None:
                await self._bell.rung(self._pace.wait(clock()))
                continue
            try:
                await line.call("typing", name=name, on=said)
            except LineLost:
                raise
            except ClientError:  # nobody is told that somebody types: no reason to say more
                continue

    def stopped(self) -> bool:
        """Nothing is written any more; whether somebody is still to be told so."""
        self._now = None
        return self._pace.stopped() is not None

    async def stop(self, line: Caller, name: str) -> None:
        """Whoever is left is not to see for seconds that we type."""
        if self.stopped():
            with contextlib.suppress(NotFoundError):
                await line.call("typing", name=name, on=False)
