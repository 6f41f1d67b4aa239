"""A flush, look by look: what counts as gone. That it ends on a real relay is tested in test_messenger.py."""

import asyncio
from collections.abc import Callable
from typing import cast

from clients.flushing import NOTE_KINDS, flushed
from clients.mailroom import Mailroom


class Waiting:
    """What waits, for which contacts, at each look; the last look is repeated."""

    def __init__(self, *looks: set[int]) -> None:
        self._looks = list(looks)
        self.writes: list[int] = []  # looks that were left when what is owed was written

    def contacts_waiting(self) -> list[int]:
        return sorted(self._looks.pop(0) if len(self._looks) > 1 else self._looks[0])

    def write_owed(self) -> None:
        self.writes.append(len(self._looks))

    async def until(self, look: Callable[[], bool]) -> bool:
        while not look():  # noqa: ASYNC110  # a turn of the loop for each look, so that a deadline can end it
            await asyncio.sleep(0)
        return True

    async def flushed(self, deadline: float) -> bool:
        return await flushed(cast(Mailroom, self), self.write_owed, self.until, deadline)


async def test_it_ends_though_something_waits_for_somebody_at_every_look() -> None:
    waiting = Waiting(*([{1, 2}, {1}, {2}] * 3), {1, 2})
    assert await waiting.flushed(5)
    assert len(waiting.writes) == len(NOTE_KINDS)


async def test_who_has_something_waiting_from_beginning_to_end_is_waited_for() -> None:
    assert not await Waiting({1, 2}, {1, 2}, {2}).flushed(0.05)


async def test_what_is_owed_is_written_again_once_what_was_on_its_way_is_gone() -> None:
    waiting = Waiting({1}, {1}, set(), {1}, set(), set())
    assert await waiting.flushed(5)
    assert waiting.writes == [6, 3, 1]


async def test_nothing_waits() -> None:
    assert await Waiting(set()).flushed(0)
