"""The one writer of a file: a full disk is said, a defect costs nobody else anything, batches are bounded."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import apsw
import pytest

from relay.store.base import Condition, NewFrame, PutResult
from relay.store.room import CHANGE
from relay.store.sqlite import SqliteStore
from relay.store.writer import BATCH_BYTES, WAITING_BYTES
from tests.relay.devices import ALLOWED, HELD, NOW, Account, Device, envelope
from tests.relay.engines import new_frame
from wire.errors import ErrorCode, WireError


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "relay.db")
    yield store
    await store.close()


async def test_a_full_disk_is_said_and_recovered_from(store: SqliteStore) -> None:
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    limit = await store._writer.submit(
        lambda connection: connection.pragma("max_page_count", int(connection.pragma("page_count")) + 40)
    )
    stored: list[bytes] = []

    async def fill() -> None:
        while True:
            frame = new_frame(4096)
            await store.put(account.device.key, [frame], NOW, HELD)
            stored.append(frame.frame_id)

    with pytest.raises(WireError) as raised:
        await fill()
    assert raised.value.code is ErrorCode.STORAGE_FULL
    assert stored
    held = [frame.frame_id for frame in await store.pull(account.device.key, 0, 1000, 1 << 30)]
    assert held == stored
    # A mixed batch: whoever needs no new page is served.
    results = await asyncio.gather(
        store.put(account.device.key, [new_frame(65_536)], NOW, HELD),
        store.put(account.device.key, [NewFrame(stored[0], envelope())], NOW, HELD),
        return_exceptions=True,
    )
    assert isinstance(results[0], WireError)
    assert results[1] == [PutResult.DUPLICATE]
    assert isinstance(limit, int)
    await store._writer.submit(lambda connection: connection.pragma("max_page_count", limit + 10_000))
    assert await store.put(account.device.key, [new_frame(65_536)], NOW, HELD) == [PutResult.STORED]


async def test_a_disk_with_no_room_for_an_envelope_is_not_ready(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await store.condition() is Condition.READY
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert await store.condition() is Condition.FULL


LEFT = 1024 * 1024  # bytes: much less than is kept for deletions, and not nothing


async def test_what_is_kept_for_deletions_is_kept_from_all_that_adds(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(devices=[Device(), Device()])
    first, (kept, dropped) = account.list(), account.devices
    await store.register(first)
    await store.publish(kept.key, [*kept.lasting(), *kept.one_time(1, 2)])
    for device in (kept, dropped):
        await store.allow(device.key, ALLOWED)
        await store.put(device.key, [new_frame() for _ in range(4)], NOW, HELD)
    account.devices = [kept]
    await store.register(account.successor(first))
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=LEFT))
    adding = (
        lambda: store.put(kept.key, [new_frame()], NOW, HELD),
        lambda: store.register(Account().list()),
        lambda: store.publish(kept.key, kept.one_time(3, 20)),
        lambda: store.allow(kept.key, ALLOWED),
        lambda: store.keep_checkpoint(kept.key, b"checkpoint"),
    )
    for add in adding:
        with pytest.raises(WireError) as raised:
            await add()
        assert raised.value.code is ErrorCode.STORAGE_FULL
    # And what makes room goes on.
    assert await store.acknowledge(kept.key, 2) == 2
    assert await store.expire(NOW + 1, 1) == 1
    assert await store.clear(100)
    assert await store.forget(2**40, 10) == 1
    offer = await store.fetch(account.key, take=True)
    assert offer is not None
    assert offer.devices[0].one_time is not None
    assert await store.prune(NOW) == 0


async def test_one_broken_operation_does_not_spoil_the_batch(store: SqliteStore) -> None:
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)

    def broken(connection: apsw.Connection) -> None:
        connection.execute("UPDATE mailboxes SET next_sequence = 99")
        raise KeyError("a defect of ours")

    results = await asyncio.gather(
        store.put(account.device.key, [new_frame()], NOW, HELD),
        store._writer.submit(broken),
        store.put(account.device.key, [new_frame()], NOW, HELD),
        return_exceptions=True,
    )
    assert results[0] == results[2] == [PutResult.STORED]
    assert isinstance(results[1], WireError)
    assert results[1].code is ErrorCode.INTERNAL
    assert "defect" not in str(results[1])
    assert [f.sequence for f in await store.pull(account.device.key, 0, 10, 1 << 20)] == [1, 2]


async def together(store: SqliteStore, *operations: Coroutine[object, object, object]) -> list[object]:
    """Results of operations that wait for the writer at the same time."""
    taken, released = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        taken.set()
        released.wait(10)

    first = asyncio.create_task(store._writer.submit(hold))
    assert await asyncio.to_thread(taken.wait, 10)  # else some of the others would share its commit
    waiting = [asyncio.create_task(operation) for operation in operations]
    async with asyncio.timeout(10):
        while store._writer.waiting < len(operations):  # noqa: ASYNC110 each takes its turn of the loop
            await asyncio.sleep(0)
    released.set()
    await first
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_defect_in_one_operation_costs_the_others_no_commit_of_their_own(store: SqliteStore) -> None:
    logged: list[tuple[str, str]] = []
    store._writer._log = lambda *line: logged.append(line)
    before = store._writer.commits
    operations: list[Coroutine[object, object, object]] = [
        store.register(Account().list()) for _ in range(20)
    ]
    # What does not fit a column stands for any defect: no decoder lets it in.
    operations.insert(10, store._writer.submit(lambda c: c.execute("SELECT ?", (2**63,)).get))
    results = await together(store, *operations)
    refused = results.pop(10)
    assert results == [()] * 20
    assert isinstance(refused, WireError)
    assert refused.code is ErrorCode.INTERNAL
    assert store._writer.commits - before == 1
    assert logged == [("write failed", "OverflowError")]


async def test_a_batch_is_bounded_by_the_pages_that_its_changes_touch(store: SqliteStore) -> None:
    before = store._writer.commits
    await together(store, *(store.register(Account().list()) for _ in range(300)))
    assert store._writer.commits - before >= 300 * CHANGE // (BATCH_BYTES // 2)


async def test_more_than_memory_is_given_to_is_refused_at_once(store: SqliteStore) -> None:
    with pytest.raises(WireError) as raised:
        await store._writer.submit(lambda connection: None, WAITING_BYTES + 1)
    assert raised.value.code is ErrorCode.RATE_LIMITED
