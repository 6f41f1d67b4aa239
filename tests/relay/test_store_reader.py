"""Questions to the reading thread: in their order, together while it is busy, each with an end of its own."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from functools import partial

import apsw
import pytest

from relay.store.reader import TOGETHER, Question, Reader


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader = Reader(apsw.Connection(":memory:"), "reader")
    yield reader
    await reader.close()


async def test_what_gathers_behind_a_busy_thread_goes_over_together_in_its_order(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, threads, order = threading.Event(), set[int](), list[int]()
    hand_overs: list[int] = []
    usual = reader._answer

    def count_and_answer(questions: Sequence[Question]) -> None:
        hand_overs.append(len(questions))
        usual(questions)

    monkeypatch.setattr(reader, "_answer", count_and_answer)

    def question(_: object, *, number: int) -> int:
        threads.add(threading.get_ident())
        order.append(number)
        return number

    first = asyncio.create_task(reader.read(lambda _: released.wait(10)))
    await asyncio.sleep(0)
    count = 2 * TOGETHER + 1
    others = [asyncio.create_task(reader.read(partial(question, number=n))) for n in range(count)]
    await asyncio.sleep(0)
    released.set()
    assert await first
    assert await asyncio.gather(*others) == order == list(range(count))
    assert hand_overs == [1, TOGETHER, TOGETHER, 1]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_one_that_fails_and_one_whose_asker_left_cost_the_others_nothing(reader: Reader) -> None:
    released = threading.Event()
    first = asyncio.create_task(reader.read(lambda _: released.wait(10)))
    await asyncio.sleep(0)
    failing = asyncio.create_task(reader.read(lambda connection: connection.execute("SELECT nothing")))
    leaving = asyncio.create_task(reader.read(lambda _: 1))
    good = asyncio.create_task(reader.read(lambda connection: connection.execute("SELECT 2").get))
    await asyncio.sleep(0)
    leaving.cancel()
    released.set()
    assert await first
    with pytest.raises(apsw.SQLError):
        await failing
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    assert await good == 2
    assert await reader.read(lambda _: 3) == 3


async def test_close_answers_what_was_asked() -> None:
    def question(connection: apsw.Connection) -> int:
        return int(connection.execute("SELECT 1").get)

    reader = Reader(apsw.Connection(":memory:"), "reader")
    asked = [asyncio.create_task(reader.read(question)) for _ in range(3 * TOGETHER)]
    await asyncio.sleep(0)
    await reader.close()
    assert await asyncio.gather(*asked) == [1] * 3 * TOGETHER
