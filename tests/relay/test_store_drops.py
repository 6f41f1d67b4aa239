"""Dropped devices: what they leave is out of reach at once, gone in slices, and forgotten one day."""

import asyncio
import time
from pathlib import Path

import apsw

from relay.mailboxes import CLEAR_BATCH
from relay.store import life
from relay.store.base import NewFrame, PutResult, Store
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, NOW, Account, Device, envelope
from tests.relay.engines import Engine, frames, pulled, registered
from tests.relay.peers import logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control
from wire.device_lists import DeviceList

LATER = int(time.time()) + 1000


async def two_devices(store: Store) -> tuple[Account, Device, Device, DeviceList]:
    account = Account(devices=[Device(), Device()])
    await registered(store, account)
    kept, dropped = account.devices
    return account, kept, dropped, account.list()


async def drop(store: Store, account: Account, first: DeviceList) -> DeviceList:
    account.devices = account.devices[:1]
    second = account.successor(first)
    assert len(await store.register(second)) == len(first.devices) - 1
    return second


async def clear(store: Store, at_most: int = CLEAR_BATCH) -> int:
    """How many slices it took."""
    slices = 0
    while count := await store.clear(at_most):
        assert count <= at_most
        slices += 1
    return slices


async def count(store: SqliteStore, table: str) -> int:
    return await store._writer.submit(lambda c: int(c.execute(f"SELECT count(*) FROM {table}").get))  # noqa: S608 a name of ours


async def changed_by_a_drop(path: Path, content: int, prekeys: int) -> int:
    """Rows that the transaction of a list changes, which drops a device with so much in its mailbox."""
    store = SqliteStore.open(path)
    account, _, dropped, first = await two_devices(store)
    for at in range(0, content, 100):
        await store.put(dropped.key, frames(min(100, content - at)), NOW, HELD)
    await store.publish(dropped.key, dropped.one_time(1, prekeys))
    before = await store._writer.submit(lambda connection: connection.total_changes())
    await drop(store, account, first)
    after = await store._writer.submit(lambda connection: connection.total_changes())
    await store.close()
    return after - before


async def test_a_drop_changes_as_many_rows_for_a_full_mailbox_as_for_an_empty_one(tmp_path: Path) -> None:
    few = await changed_by_a_drop(tmp_path / "few.db", 1, 1)
    assert await changed_by_a_drop(tmp_path / "many.db", 1000, 20) == few


async def test_what_is_left_behind_is_gone_in_slices_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    account, kept, dropped, first = await two_devices(store)
    await store.put(dropped.key, frames(100), NOW, HELD)
    await store.put(kept.key, frames(2), NOW, HELD)
    await store.publish(dropped.key, [*dropped.lasting(), *dropped.one_time(1, 17)])
    await drop(store, account, first)
    assert (await store.measure()).frames == 2
    assert await pulled(store, dropped) == []
    assert await store.put(dropped.key, frames(1), NOW, HELD) == [PutResult.UNKNOWN]
    assert await store.clear(30) == 30
    assert await count(store, "frames") == 72
    await store.close()
    store = SqliteStore.open(path)
    # 70 frames, 20 prekeys and the mailbox itself.
    assert await clear(store, 30) == 4
    assert [await count(store, table) for table in ("frames", "prekeys", "dropped", "mailboxes")] == [
        2,
        0,
        0,
        2,
    ]
    assert len(await pulled(store, kept)) == 2
    assert store.missing is None
    await store.close()


async def test_a_device_that_comes_back_before_that_finds_none_of_it(engine: Engine) -> None:
    store = engine.store
    account, kept, dropped, first = await two_devices(store)
    old = frames(3)
    await store.put(dropped.key, old, NOW, HELD)
    second = await drop(store, account, first)
    account.devices = [kept, dropped]
    await store.register(account.successor(second))
    await store.allow(dropped.key, ALLOWED)
    assert await pulled(store, dropped) == []
    # Also what had been there is new to it.
    new = [NewFrame(old[0].frame_id, envelope()), *frames(1)]
    assert await store.put(dropped.key, new, NOW, HELD) == [PutResult.STORED] * 2
    await clear(store)
    await engine.reopen()
    assert [sequence for sequence, _ in await pulled(engine.store, dropped)] == [4, 5]


async def test_what_was_left_behind_does_not_expire(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "relay.db")
    account, kept, dropped, first = await two_devices(store)
    await store.put(dropped.key, frames(5), NOW, HELD)
    await drop(store, account, first)
    assert await store.expire(NOW + 1, 2) == 0
    assert (await store.measure()).frames == 0
    await clear(store)
    assert (await store.measure()).frames == 0
    assert (await store.status(kept.key)).expired == 0
    await store.close()


async def test_a_device_is_forgotten_in_time_and_its_sequences_are_given_to_nobody(engine: Engine) -> None:
    store = engine.store
    account, kept, dropped, first = await two_devices(store)
    await store.put(dropped.key, frames(3), NOW, HELD)
    second = await drop(store, account, first)
    assert await store.forget(int(time.time()) - 1000, 10) == 0
    assert await store.forget(LATER, 10) == 1
    assert await store.forget(LATER, 10) == 0
    await clear(store)
    await engine.reopen()
    store = engine.store
    account.devices = [kept, dropped]
    await store.register(account.successor(second))
    stranger = await registered(store)
    await store.allow(dropped.key, ALLOWED)
    for device in (dropped, stranger.device):
        await store.put(device.key, frames(1), NOW, HELD)
        assert [sequence for sequence, _ in await pulled(store, device)] == [4]
    assert [sequence for sequence, _ in await pulled(store, kept)] == []


async def test_a_device_that_came_back_is_not_forgotten(engine: Engine) -> None:
    store = engine.store
    account, kept, dropped, first = await two_devices(store)
    second = await drop(store, account, first)
    account.devices = [kept, dropped]
    await store.register(account.successor(second))
    assert await store.forget(LATER, 10) == 0
    assert (await store.status(dropped.key)).registered


async def test_who_is_forgotten_is_still_counted_among_the_frames_that_ever_were(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    account, kept, dropped, first = await two_devices(store)
    await store.put(dropped.key, frames(3), NOW, HELD)
    await store.put(kept.key, frames(2), NOW, HELD)
    await drop(store, account, first)
    await clear(store)
    await store.forget(LATER, 10)
    assert (await store._writer.submit(life.look)).frames == 5
    await store.close()
    store = SqliteStore.open(path)
    assert store.missing is None
    await store.close()


async def test_device_lists_that_come_and_go_leave_nothing_for_ever(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "relay.db")
    account = Account()
    last = account.list()
    await store.register(last)
    for _ in range(20):
        account.devices = [account.device, *(Device() for _ in range(7))]
        last = account.successor(last)
        await store.register(last)
    await clear(store)
    assert await count(store, "mailboxes") == 8 + 19 * 7
    while await store.forget(LATER, 50):
        pass
    assert await count(store, "mailboxes") == 8
    await store.close()


async def until_empty(path: Path) -> None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", "ON")
    async with asyncio.timeout(10):
        while connection.execute("SELECT count(*) FROM frames").get:  # noqa: ASYNC110 another process
            await asyncio.sleep(0.02)
    connection.close()


async def test_a_relay_clears_by_itself_what_is_left_behind(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        account = Account(devices=[Device(), Device()])
        first, dropped = account.list(), account.devices[1]
        async with logged_in(relay.url, account, pull=False) as peer, submitting(relay.url) as sender:
            for _ in range(CLEAR_BATCH + 10):
                await sender.put(dropped.key, envelope(), as_stranger=True)
                await sender.next(control.QueuedAsRequest)
            account.devices = account.devices[:1]
            await peer.send(control.Register(ref=9, device_list=account.successor(first).encode()))
            await peer.next(control.Registered)
        await until_empty(relay.data_dir / "relay.db")


async def test_a_relay_clears_at_its_start_what_a_stop_left_behind(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path)
    relay.data_dir.mkdir()
    path = relay.data_dir / "relay.db"
    store = SqliteStore.open(path)
    account, _, dropped, first = await two_devices(store)
    await store.put(dropped.key, frames(CLEAR_BATCH + 10), NOW, HELD)
    await drop(store, account, first)
    await store.close()
    with relay:
        await until_empty(path)
