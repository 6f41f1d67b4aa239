"""A connection that only reads, and its thread.

Owns the hand-over between event loop and thread. While the thread is busy questions gather, and go over
together: each hand-over costs more than a small question itself. Knows no table.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import apsw

Result = TypeVar("Result")
Question = tuple[Callable[[apsw.Connection], Any], asyncio.Future[Any]]

# Questions that go over together. Nobody has an answer before all have, and up to 1 MiB of frames is one.
TOGETHER: Final = 16


class Reader:
    """Make it inside a running event loop."""

    def __init__(self, connection: apsw.Connection, name: str) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: deque[Question] = deque()
        self._idle = asyncio.Event()
        self._idle.set()

    async def read(self, question: Callable[[apsw.Connection], Result]) -> Result:
        """What `question` returns; questions are answered in their order. Raises apsw.Error."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.append((question, future))
        if self._idle.is_set():
            self._hand_over()
        return await future

    def _hand_over(self) -> None:
        waiting = self._waiting
        if not waiting:
            self._idle.set()
            return
        self._idle.clear()
        together = [waiting.popleft() for _ in range(min(TOGETHER, len(waiting)))]
        self._thread.submit(self._answer, together)

    def _answer(self, questions: Sequence[Question]) -> None:
        """In the thread."""
        answers = list[Any]()
        for question, _ in questions:
            try:
                answers.append(question(self._connection))
            except Exception as error:
                answers.append(error)
        self._loop.call_soon_threadsafe(self._hand_back, questions, answers)

    def _hand_back(self, questions: Sequence[Question], answers: Sequence[Any]) -> None:
        self._hand_over()
        for (_, future), answer in zip(questions, answers, strict=True):
            if future.done():  # whoever asked went away
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def close(self) -> None:
        """Answer what was asked, then close the connection."""
        await self._idle.wait()
        self._thread.shutdown()
        self._connection.close()
