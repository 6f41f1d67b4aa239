"""Tasks: whatever ends the group, none of it is left running and nothing it raised is lost."""

import asyncio

import pytest

from clients.tasks import end, until_one_ends


class Worker:
    """Waits until told, and notes how it ended."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.go = asyncio.Event()
        self.ended: str | None = None
        self._stubborn = stubborn

    async def run(self) -> None:
        try:
            await self.go.wait()
            self.ended = "done"
        except asyncio.CancelledError:
            if self._stubborn:
                await asyncio.sleep(0)  # as a socket that says goodbye
            self.ended = "cancelled"
            raise


async def fail() -> None:
    raise ValueError("mine")


async def test_the_first_to_end_ends_the_others() -> None:
    first, second = Worker(), Worker(stubborn=True)
    first.go.set()
    await until_one_ends(first.run(), second.run())
    assert (first.ended, second.ended) == ("done", "cancelled")


async def test_what_one_raises_is_raised_after_the_others_have_ended() -> None:
    worker = Worker(stubborn=True)
    with pytest.raises(ValueError, match="mine"):
        await until_one_ends(worker.run(), fail())
    assert worker.ended == "cancelled"


async def test_two_that_fail_at_once_raise_one_and_leave_no_other_unseen() -> None:
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    with pytest.raises(ValueError, match="mine"):
        await until_one_ends(fail(), fail())
    await asyncio.sleep(0)
    assert seen == []


async def test_cancelling_the_whole_cancels_and_awaits_every_part() -> None:
    workers = [Worker(stubborn=True), Worker()]
    whole = asyncio.create_task(until_one_ends(*(worker.run() for worker in workers)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert [worker.ended for worker in workers] == ["cancelled", "cancelled"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_end_waits_until_all_have_ended_and_raises_nothing() -> None:
    worker = Worker(stubborn=True)
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(fail())]
    await asyncio.sleep(0)
    await end(*tasks)
    assert worker.ended == "cancelled"
    assert all(task.done() for task in tasks)
