"""clients.due: which answer is late, and when."""

import asyncio

import pytest

from clients import due
from clients.due import Due

SHORT = 0.05


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "ANSWER_DEADLINE", SHORT)


async def is_late(answers: Due, within: float = 3 * SHORT) -> bool:
    try:
        async with asyncio.timeout(within):
            await answers.overdue()
    except TimeoutError:
        return False
    return True


async def test_what_nobody_asked_is_never_late() -> None:
    assert not await is_late(Due())


async def test_an_answer_that_does_not_come_is_late_whatever_else_is_answered() -> None:
    answers = Due()
    for ref in (1, 2):
        answers.asked(ref)
    answers.answered(2)
    assert await is_late(answers, 20.0)


async def test_one_that_has_come_is_not_and_neither_is_one_that_was_not_asked_for() -> None:
    answers = Due()
    answers.answered(3)
    answers.asked(1)
    answers.answered(1)
    assert not await is_late(answers)


async def test_what_is_asked_while_somebody_waits_counts_from_then() -> None:
    answers, loop = Due(), asyncio.get_running_loop()
    waiting = asyncio.create_task(is_late(answers, 20.0))
    await asyncio.sleep(0)
    began = loop.time()
    answers.asked(1)
    assert await waiting
    assert loop.time() - began >= SHORT
