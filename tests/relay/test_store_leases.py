"""Leases of every store: sequences that are given out in memory and never twice."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.store.base import LEASED, Lease, LeasedFrame, NewFrame, Quota, Returned, Store
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, NOW, Account, envelope
from tests.relay.engines import frames, pulled, registered


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "relay.db")
    yield store
    await store.close()


async def leased(store: Store, key: bytes) -> Lease:
    lease = await store.lease(key)
    assert lease is not None
    return lease


def leased_frame(key: bytes, sequence: int) -> LeasedFrame:
    return LeasedFrame(key, sequence, os.urandom(16), envelope())


async def test_a_lease_takes_its_sequences_from_everybody_else(store: Store) -> None:
    account = await registered(store)
    (frame,) = frames(1)
    await store.put(account.device.key, [frame], NOW, HELD)
    lease = await leased(store, account.device.key)
    assert (lease.first, lease.last, lease.tokens) == (2, 1 + LEASED, tuple(ALLOWED))
    assert lease.held == ((1, frame.frame_id),)
    await store.put(account.device.key, frames(1), NOW, HELD)
    assert [sequence for sequence, _ in await pulled(store, account.device)] == [1, lease.last + 1]


async def test_what_is_kept_is_as_what_was_put(store: Store) -> None:
    account, other = await registered(store), await registered(store)
    key = account.device.key
    lease = await leased(store, key)
    places = ((key, lease.first), (other.device.key, 7), (key, lease.first + 4))
    kept = [leased_frame(*place) for place in places]
    assert await store.keep(kept, [], NOW) == [True, True, True]
    assert await pulled(store, account.device) == [
        (frame.sequence, frame.envelope) for frame in kept if frame.mailbox == key
    ]
    assert (await store.measure()).frames == 3
    # It comes again by the ordinary way, and is known.
    again = NewFrame(kept[0].frame_id, kept[0].envelope)
    assert [result.value for result in await store.put(key, [again], NOW, HELD)] == ["duplicate"]
    assert await store.acknowledge(key, lease.last) == 2
    assert (await store.measure()).frames == 1


async def test_a_frame_that_comes_again_before_its_deletion_takes_the_place_of_the_former(
    store: Store,
) -> None:
    account = await registered(store)
    key = account.device.key
    (frame,) = frames(1)
    await store.put(key, [frame], NOW, HELD)
    lease = await leased(store, key)
    again = LeasedFrame(key, lease.first, frame.frame_id, frame.envelope)
    others = leased_frame(key, lease.first + 1)
    assert await store.keep([again, others], [], NOW) == [True, True]
    assert [sequence for sequence, _ in await pulled(store, account.device)] == [lease.first, lease.first + 1]
    assert await store.acknowledge(key, lease.last) == 2
    assert (await store.measure()).frames == 0


async def test_what_was_never_given_goes_back(store: Store) -> None:
    account = await registered(store)
    key = account.device.key
    lease = await leased(store, key)
    frame = leased_frame(key, lease.first)
    await store.keep([frame], [Returned(key, lease.first + 3, lease.last)], NOW)
    assert (await leased(store, key)).first == lease.first + 3


async def test_a_lease_is_given_back_once(store: Store) -> None:
    key = (await registered(store)).device.key
    older = await leased(store, key)
    newer = await leased(store, key)
    await store.keep([], [Returned(key, older.first, older.last)], NOW)
    assert (await leased(store, key)).first == newer.last + 1


async def test_nothing_is_kept_for_a_device_that_was_dropped(store: Store) -> None:
    account = Account()
    first = account.list()
    await store.register(first)
    dropped = account.device.key
    lease = await leased(store, dropped)
    account.devices = [Account().device]
    await store.register(account.successor(first))
    assert await store.lease(dropped) is None
    frame = leased_frame(dropped, lease.first)
    assert await store.keep([frame], [Returned(dropped, lease.first + 1, lease.last)], NOW) == [False]
    assert (await store.measure()).frames == 0


async def test_a_mailbox_that_the_window_could_fill_is_not_leased(tmp_path: Path) -> None:
    small = Quota(frames=255)
    for store in (MemoryStore(small), SqliteStore.open(tmp_path / "small.db", small)):
        assert await store.lease((await registered(store)).device.key) is None
        await store.close()


async def test_a_crash_gives_no_sequence_twice(tmp_path: Path) -> None:
    """What a lease gave out in memory is gone with the process, and its sequences with it."""
    store = SqliteStore.open(tmp_path / "relay.db")
    account = await registered(store)
    lease = await leased(store, account.device.key)
    await store.close()  # as far as the lease is concerned, a crash: it was not given back
    store = SqliteStore.open(tmp_path / "relay.db")
    assert store.missing is None  # no frame was lost that was ever accepted
    await store.put(account.device.key, frames(1), NOW, HELD)
    assert [sequence for sequence, _ in await pulled(store, account.device)] == [lease.last + 1]
    await store.close()
