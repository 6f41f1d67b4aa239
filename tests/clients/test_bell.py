"""The bell: wakes whoever waits, carries nothing, and never waits longer than it was told."""

import asyncio

from clients.bell import Bell


async def test_what_is_there_already_needs_no_ring() -> None:
    assert await Bell().until(lambda: "there") == "there"


async def test_a_ring_wakes_everybody_who_waits() -> None:
    bell, state = Bell(), {"ready": False}
    waiting = [asyncio.create_task(bell.until(lambda: state["ready"] or None)) for _ in range(3)]
    await asyncio.sleep(0)
    state["ready"] = True
    bell.ring()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_a_ring_without_a_change_goes_on_waiting() -> None:
    bell, looks = Bell(), []

    def look() -> bool | None:
        looks.append(1)
        return True if len(looks) == 3 else None

    task = asyncio.create_task(bell.until(look))
    for _ in range(2):
        await asyncio.sleep(0)
        bell.ring()
    assert await task is True
    assert len(looks) == 3


async def test_a_ring_while_it_looks_is_not_missed() -> None:
    bell, looks = Bell(), []

    def look() -> bool | None:
        looks.append(1)
        if len(looks) == 1:
            asyncio.get_running_loop().call_soon(bell.ring)
            return None
        return True

    assert await bell.until(look, deadline=30) is True


async def test_the_deadline_ends_the_wait_with_a_last_look() -> None:
    looks: list[int] = []

    def look() -> bool | None:
        looks.append(1)
        return True if len(looks) > 2 else None

    assert await Bell().until(look, deadline=0.0) is None
    assert len(looks) == 2


async def test_rung_returns_at_the_ring_or_at_its_deadline() -> None:
    bell = Bell()
    task = asyncio.create_task(bell.rung(None))
    await asyncio.sleep(0)
    assert not task.done()
    bell.ring()
    await task
    await bell.rung(0.0)
    await bell.rung(-1.0)


async def test_a_wait_can_be_cancelled() -> None:
    task = asyncio.create_task(Bell().until(lambda: None))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
