"""Spaced: at once when it comes up seldom, together when it comes up often, and never without an end."""

import asyncio
import contextlib

import pytest

from clients.spaced import Spaced


class Count:
    """Counts runs, and ends the wait for the next one."""

    def __init__(self) -> None:
        self.runs = 0
        self.ran = asyncio.Event()

    def __call__(self) -> None:
        self.runs += 1
        self.ran.set()

    async def once(self) -> None:
        async with asyncio.timeout(10):
            await self.ran.wait()
        self.ran.clear()


async def test_the_first_runs_at_once_and_those_soon_after_it_together_later() -> None:
    count, loop = Count(), asyncio.get_running_loop()
    spaced = Spaced(count, 1.0)
    task = asyncio.create_task(spaced.run())
    began = loop.time()
    spaced.due()
    await count.once()
    first = loop.time()
    assert first - began < 1.0
    for _ in range(50):
        spaced.due()
        await asyncio.sleep(0)
    assert count.runs == 1
    await count.once()
    assert loop.time() - first >= 1.0
    assert count.runs == 2
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_now_does_not_wait_and_leaves_nothing_due() -> None:
    count = Count()
    spaced = Spaced(count, 60)
    spaced.due()
    spaced.now()
    assert count.runs == 1
    task = asyncio.create_task(spaced.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert count.runs == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_what_the_work_raises_ends_the_run() -> None:
    def fail() -> None:
        raise ValueError("the disk")

    spaced = Spaced(fail, 0)
    spaced.due()
    async with asyncio.timeout(10):
        with pytest.raises(ValueError, match="the disk"):
            await spaced.run()
