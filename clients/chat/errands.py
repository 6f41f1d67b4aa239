"""What was asked of the profile and is not done yet: one thing after the other, on whatever line there is.

Owns the bounded queue. An errand that a lost line interrupts is done again on the next one, so each of them
may be carried out twice; texts have a key for that. Knows nothing of conversations.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from clients.bell import Bell
from clients.chat.profile_line import Line
from clients.errors import ClientError
from clients.local.failures import LineLost

ERRANDS_MAX: Final = 100  # a profile that stands still takes no more

Errand = Callable[[Line], Awaitable[None]]


class Reopen(Exception):
    """This line is used up: another one can go on. The errand that says so is done."""


class Busy(ClientError):
    """Too much waits to be done."""

    def __init__(self) -> None:
        super().__init__("The profile does not keep up. Wait a moment, then press Enter again.")


class Errands:
    """`refused` gets the sentence where one fails, `done` is called after each."""

    def __init__(self, refused: Callable[[str], None], done: Callable[[], None]) -> None:
        self._refused = refused
        self._done = done
        self._waiting: deque[Errand] = deque()
        self._bell = Bell()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether no more is taken."""
        return len(self._waiting) >= ERRANDS_MAX

    def add(self, errand: Errand) -> None:
        """Have something done. Raises Busy."""
        if self.is_full:
            raise Busy
        self._waiting.append(errand)
        self._bell.ring()

    def add_always(self, errand: Errand) -> None:
        """Have something done that the program itself sees to be asked for once."""
        self._waiting.append(errand)
        self._bell.ring()

    async def answer(self, call: str, arguments: dict[str, Any]) -> Any:
        """The result of a call, made in its turn. Raises ClientError."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def errand(line: Line) -> None:
            try:
                result = await line.call(call, **arguments)
            except LineLost:
                raise
            except ClientError as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.add(errand)
        return await future

    async def run(self, line: Line) -> None:
        """Carry them out on this line. Raises LineLost or Reopen: the rest waits for the next one."""
        while True:
            while self._waiting:
                try:
                    await self._waiting[0](line)
                except LineLost:
                    raise
                except ClientError as error:
                    self._refused(str(error))
                except Reopen:
                    self._waiting.popleft()
                    raise
                self._waiting.popleft()
                self._done()
            await self._bell.rung(None)
