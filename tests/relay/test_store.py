"""One list of promises, kept by every engine."""

import asyncio
import os

import pytest

from relay.store.base import Condition, PutResult, StockCount, Store
from tests.relay.devices import HELD, NOW, Account, Device
from tests.relay.engines import Engine, frames, pulled, registered
from wire.device_lists import DeviceList
from wire.errors import ErrorCode, WireError
from wire.limits import FORMER_LISTS, FORMER_PER_BUNDLE, ONE_TIME_MAX
from wire.prekeys import PrekeyKind

# --- frames --------------------------------------------------------------------------------------------


async def test_frames_come_out_in_the_order_of_their_puts(store: Store) -> None:
    device = (await registered(store)).device
    sent = frames(4)
    assert await store.put(device.key, sent[:3], NOW, HELD) == [PutResult.STORED] * 3
    assert await store.put(device.key, sent[3:], NOW, HELD) == [PutResult.STORED]
    assert await pulled(store, device) == [(n, frame.envelope) for n, frame in enumerate(sent, 1)]
    assert await pulled(store, device, after=2) == [(3, sent[2].envelope), (4, sent[3].envelope)]


async def test_concurrent_puts_to_one_mailbox_get_distinct_sequences(store: Store) -> None:
    device = (await registered(store)).device
    await asyncio.gather(*(store.put(device.key, [frame], NOW, HELD) for frame in frames(4)))
    assert [sequence for sequence, _ in await pulled(store, device)] == [1, 2, 3, 4]


async def test_an_unknown_mailbox_takes_nothing(store: Store) -> None:
    assert await store.put(Device().key, frames(2), NOW, HELD) == [PutResult.UNKNOWN] * 2
    assert await pulled(store, Device()) == []


async def test_a_frame_id_is_stored_once(store: Store) -> None:
    device = (await registered(store)).device
    (frame,) = frames(1)
    assert await store.put(device.key, [frame], NOW, HELD) == [PutResult.STORED]
    assert await store.put(device.key, [frame, frame], NOW, HELD) == [PutResult.DUPLICATE] * 2
    assert len(await pulled(store, device)) == 1


async def test_the_same_frame_id_is_another_frame_in_another_mailbox(store: Store) -> None:
    one, two = (await registered(store)).device, (await registered(store)).device
    (frame,) = frames(1)
    for device in (one, two):
        assert await store.put(device.key, [frame], NOW, HELD) == [PutResult.STORED]


async def test_the_quota_in_frames_stops_at_the_first_that_does_not_fit(store: Store) -> None:
    device = (await registered(store)).device
    sent = frames(6)
    expected = [PutResult.STORED] * 4 + [PutResult.QUOTA, PutResult.UNTRIED]
    assert await store.put(device.key, sent, NOW, HELD) == expected
    # A repetition costs nothing, so a full mailbox takes it.
    assert await store.put(device.key, sent[:1], NOW, HELD) == [PutResult.DUPLICATE]
    assert await store.acknowledge(device.key, 1) == 1
    assert await store.put(device.key, sent[4:], NOW, HELD) == [PutResult.STORED, PutResult.QUOTA]


async def test_the_quota_in_bytes(store: Store) -> None:
    device = (await registered(store)).device
    big, small = frames(1, 4096), frames(3)
    assert await store.put(device.key, big, NOW, HELD) == [PutResult.STORED]
    assert await store.put(device.key, small, NOW, HELD) == [PutResult.STORED] * 2 + [PutResult.QUOTA]
    await store.acknowledge(device.key, 1)
    assert await store.put(device.key, small[2:], NOW, HELD) == [PutResult.STORED]


async def test_pull_keeps_both_bounds(store: Store) -> None:
    device = (await registered(store)).device
    await store.put(device.key, frames(3), NOW, HELD)
    assert len(await store.pull(device.key, 0, 2, 1 << 20)) == 2
    assert len(await store.pull(device.key, 0, 256, 2 * 1024)) == 2
    assert await store.pull(device.key, 0, 256, 1023) == []


async def test_acknowledged_frames_are_gone_and_their_space_is_free(store: Store) -> None:
    device = (await registered(store)).device
    await store.put(device.key, frames(3), NOW, HELD)
    assert await store.acknowledge(device.key, 2) == 2
    assert await store.acknowledge(device.key, 2) == 0
    assert [sequence for sequence, _ in await pulled(store, device)] == [3]
    assert await store.acknowledge(Device().key, 9) == 0


async def test_sequences_are_never_used_again(engine: Engine) -> None:
    device = (await registered(engine.store)).device
    for expected in range(1, 5):
        await engine.store.put(device.key, frames(1), NOW, HELD)
        assert [sequence for sequence, _ in await pulled(engine.store, device)] == [expected]
        await engine.store.acknowledge(device.key, expected)
        await engine.reopen()


async def test_everything_is_there_after_reopening(engine: Engine) -> None:
    account = await registered(engine.store)
    sent = frames(2)
    await engine.store.put(account.device.key, sent, NOW, HELD)
    await engine.store.publish(
        account.device.key, [*account.device.lasting(), *account.device.one_time(1, 3)]
    )
    await engine.reopen()
    assert [content for _, content in await pulled(engine.store, account.device)] == [
        frame.envelope for frame in sent
    ]
    offer = await engine.store.fetch(account.key, take=False)
    assert offer is not None
    assert offer.device_list == account.list()
    status = await engine.store.status(account.device.key)
    assert (status.registered, status.stock) == (True, StockCount(3, 0))


async def test_former_lists_are_there_for_who_missed_them(engine: Engine) -> None:
    account = await registered(engine.store)
    lists = [account.list()]
    for _ in range(FORMER_LISTS + 5):
        lists.append(account.successor(lists[-1]))
        await engine.store.register(lists[-1])
    await engine.reopen()

    async def shown(since: int | None) -> list[DeviceList] | None:
        offer = await engine.store.fetch(account.key, take=False, since=since)
        assert offer is not None
        assert offer.device_list == lists[-1]
        return None if offer.former is None else list(offer.former)

    assert await shown(None) is None
    newest = lists[-1].version
    assert await shown(newest - 1) == await shown(newest) == await shown(2**63 - 1) == []
    assert await shown(newest - 4) == lists[-4:-1]
    assert await shown(newest - 40) == lists[-40:][:FORMER_PER_BUNDLE]
    kept = lists[-1 - FORMER_LISTS : -1]
    assert await shown(0) == kept[:FORMER_PER_BUNDLE]
    # Repeating the newest, or a list that is refused, keeps nothing.
    await engine.store.register(lists[-1])
    with pytest.raises(WireError):
        await engine.store.register(lists[-2])
    assert await shown(newest - 4) == lists[-4:-1]


async def test_expiry_takes_the_oldest_counts_them_and_frees_space(store: Store) -> None:
    device = (await registered(store)).device
    for age in (3, 2, 1, 0):
        await store.put(device.key, frames(1), NOW - age, HELD)
    assert await store.expire(NOW - 1, at_most=1) == 1
    assert [sequence for sequence, _ in await pulled(store, device)] == [2, 3, 4]
    assert await store.expire(NOW - 1, at_most=100) == 1
    assert await store.expire(NOW - 1, at_most=100) == 0
    assert (await store.status(device.key)).expired == 2
    assert await store.put(device.key, frames(3), NOW, HELD) == [PutResult.STORED] * 2 + [PutResult.QUOTA]


# --- device lists --------------------------------------------------------------------------------------


def refused(code: ErrorCode) -> "pytest.RaisesExc[WireError]":
    return pytest.RaisesExc(WireError, check=lambda error: error.code is code)


async def test_registering_the_same_list_again_changes_nothing(store: Store) -> None:
    account = await registered(store)
    await store.put(account.device.key, frames(1), NOW, HELD)
    assert await store.register(account.list()) == ()
    assert len(await pulled(store, account.device)) == 1


async def test_only_the_direct_successor_replaces_a_list(store: Store) -> None:
    account = await registered(store)
    first = account.list()
    account.devices.append(Device())
    for wrong in (
        account.list(),  # the same version with other devices
        account.list(3, first.hash()),
        account.list(2, os.urandom(32)),
    ):
        with refused(ErrorCode.REGISTRATION_REFUSED):
            await store.register(wrong)
    assert not (await store.status(account.devices[1].key)).registered
    assert await store.register(account.successor(first)) == ()
    assert (await store.status(account.devices[1].key)).registered
    with refused(ErrorCode.REGISTRATION_REFUSED):
        await store.register(first)


async def test_a_dropped_device_loses_mailbox_and_prekeys(engine: Engine) -> None:
    account = Account(devices=[Device(), Device()])
    store = engine.store
    first = account.list()
    await registered(store, account)
    kept, dropped = account.devices
    await store.put(dropped.key, frames(2), NOW, HELD)
    await store.publish(dropped.key, [*dropped.lasting(), *dropped.one_time(1, 2)])
    account.devices = [kept]
    second = account.successor(first)
    assert await store.register(second) == (dropped.key,)
    assert not (await store.status(dropped.key)).registered
    assert await store.put(dropped.key, frames(1), NOW, HELD) == [PutResult.UNKNOWN]
    assert await pulled(store, dropped) == []
    with refused(ErrorCode.NOT_REGISTERED):
        await store.publish(dropped.key, dropped.lasting())
    # Should it come back, neither sequences nor one-time ids start again.
    account.devices = [kept, dropped]
    await store.register(account.successor(second))
    await engine.reopen()
    store = engine.store
    await store.put(dropped.key, frames(1), NOW, HELD)
    assert [sequence for sequence, _ in await pulled(store, dropped)] == [3]
    stock = await store.publish(dropped.key, [*dropped.lasting(), *dropped.one_time(1, 3)])
    assert stock == StockCount(1, 0)


async def test_a_device_of_another_account_is_refused(store: Store) -> None:
    victim = await registered(store)
    with refused(ErrorCode.REGISTRATION_REFUSED):
        await store.register(Account(devices=[Device(), victim.device]).list())
    assert (await store.status(victim.device.key)).registered
    assert await store.fetch(victim.key, take=False) is not None


# --- prekeys -------------------------------------------------------------------------------------------


async def test_a_device_without_a_mailbox_publishes_nothing(store: Store) -> None:
    device = Device()
    with refused(ErrorCode.NOT_REGISTERED):
        await store.publish(device.key, device.lasting())


async def test_a_device_that_has_not_published_is_missing_from_the_offer(store: Store) -> None:
    account = Account(devices=[Device(), Device()])
    await registered(store, account)
    await store.publish(account.device.key, account.device.lasting())
    await store.publish(account.devices[1].key, account.devices[1].lasting()[:2])
    offer = await store.fetch(account.key, take=True)
    assert offer is not None
    assert [bundle.device_key for bundle in offer.devices] == [account.device.key]
    assert await store.fetch(Account().key, take=True) is None


async def test_a_fetch_without_take_takes_nothing(store: Store) -> None:
    account = await registered(store)
    device = account.device
    kems = device.one_time(1, 1, PrekeyKind.ONE_TIME_KEM)
    await store.publish(device.key, [*device.lasting(), *device.one_time(1, 1), *kems])
    offer = await store.fetch(account.key, take=False)
    assert offer is not None
    (bundle,) = offer.devices
    assert (bundle.one_time, bundle.kem.kind) == (None, PrekeyKind.LAST_RESORT_KEM)
    assert (await store.status(device.key)).stock == StockCount(1, 1)


async def test_a_take_falls_back_to_the_last_resort(store: Store) -> None:
    account = await registered(store)
    device = account.device
    kems = device.one_time(1, 1, PrekeyKind.ONE_TIME_KEM)
    await store.publish(device.key, [*device.lasting(), *kems])
    seen = []
    for _ in range(3):
        offer = await store.fetch(account.key, take=True)
        assert offer is not None
        seen.append(offer.devices[0].kem.kind)
        assert offer.stocks == ((device.key, StockCount(0, 0)),)
    assert seen == [PrekeyKind.ONE_TIME_KEM] + [PrekeyKind.LAST_RESORT_KEM] * 2


async def test_each_one_time_prekey_goes_to_exactly_one_of_64_takers(store: Store) -> None:
    account = await registered(store)
    device = account.device
    kems = device.one_time(1, 20, PrekeyKind.ONE_TIME_KEM)
    await store.publish(device.key, [*device.lasting(), *device.one_time(1, 40), *kems])
    offers = await asyncio.gather(*(store.fetch(account.key, take=True) for _ in range(64)))
    bundles = [offer.devices[0] for offer in offers if offer is not None]
    one_time = [bundle.one_time.id for bundle in bundles if bundle.one_time is not None]
    kem = [bundle.kem.id for bundle in bundles if bundle.kem.kind is PrekeyKind.ONE_TIME_KEM]
    assert len(bundles) == 64
    assert sorted(one_time) == list(range(1, 41))
    assert sorted(kem) == list(range(1, 21))


async def test_a_taken_prekey_is_never_stocked_again(engine: Engine) -> None:
    account = await registered(engine.store)
    device = account.device
    page = [*device.lasting(), *device.one_time(1, 2)]
    await engine.store.publish(device.key, page)
    await engine.store.fetch(account.key, take=True)
    await engine.reopen()
    # The device retries a page whose answer it never saw.
    assert await engine.store.publish(device.key, page) == StockCount(1, 0)


async def test_lasting_prekeys_only_move_up(store: Store) -> None:
    account = await registered(store)
    device = account.device
    first, second = device.lasting(1), device.lasting(2)
    await store.publish(device.key, second)
    await store.publish(device.key, second)
    for wrong in (first, device.lasting(2)):
        with refused(ErrorCode.BAD_PREKEY):
            await store.publish(device.key, wrong)
    await store.publish(device.key, device.lasting(7))
    offer = await store.fetch(account.key, take=False)
    assert offer is not None
    assert offer.devices[0].signed.id == 7


async def test_published_anew_the_one_time_keys_before_are_gone_and_no_id_comes_back(engine: Engine) -> None:
    account = await registered(engine.store)
    device = account.device
    kems = device.one_time(1, 2, PrekeyKind.ONE_TIME_KEM)
    await engine.store.publish(device.key, [*device.lasting(), *device.one_time(1, 3), *kems])
    stock = await engine.store.publish(device.key, [*device.lasting(2), *device.one_time(3, 2)], anew=True)
    assert stock == StockCount(1, 0)
    await engine.reopen()
    offer = await engine.store.fetch(account.key, take=True)
    assert offer is not None
    (bundle,) = offer.devices
    assert bundle.one_time is not None
    assert (bundle.one_time.id, bundle.kem.kind) == (4, PrekeyKind.LAST_RESORT_KEM)
    # A page that is refused takes nothing away either.
    with refused(ErrorCode.BAD_PREKEY):
        await engine.store.publish(device.key, [*device.one_time(5, 1), *device.lasting(1)], anew=True)
    assert await engine.store.publish(device.key, device.one_time(6, 1)) == StockCount(1, 0)


async def test_a_checkpoint_is_shown_until_the_next_and_dies_with_the_device(engine: Engine) -> None:
    old, new = Device(), Device()
    account = Account(devices=[old, new])
    with refused(ErrorCode.NOT_REGISTERED):
        await engine.store.keep_checkpoint(old.key, b"sealed")
    both = account.list()
    await engine.store.register(both)
    assert (await engine.store.status(old.key)).checkpoint is None
    for checkpoint in (b"sealed", bytes(256)):
        await engine.store.keep_checkpoint(old.key, checkpoint)
        await engine.reopen()
        assert (await engine.store.status(old.key)).checkpoint == checkpoint
    assert (await engine.store.status(new.key)).checkpoint is None
    account.devices = [new]
    without = account.successor(both)
    await engine.store.register(without)
    account.devices = [old, new]
    await engine.store.register(account.successor(without))
    assert (await engine.store.status(old.key)).checkpoint is None


async def test_a_one_time_id_stands_for_one_key(store: Store) -> None:
    device = (await registered(store)).device
    await store.publish(device.key, device.one_time(1, 2))
    with refused(ErrorCode.BAD_PREKEY):
        await store.publish(device.key, [*device.one_time(3, 1), *device.one_time(2, 1)])
    assert (await store.status(device.key)).stock == StockCount(2, 0)


@pytest.mark.parametrize("kind", [PrekeyKind.ONE_TIME, PrekeyKind.ONE_TIME_KEM])
async def test_at_most_200_one_time_prekeys_and_a_page_is_all_or_nothing(
    store: Store, kind: PrekeyKind
) -> None:
    device = (await registered(store)).device
    for first in range(1, ONE_TIME_MAX, 20):
        await store.publish(device.key, device.one_time(first, 20, kind))
    with refused(ErrorCode.TOO_LARGE):
        await store.publish(device.key, [*device.lasting(), *device.one_time(ONE_TIME_MAX + 1, 1, kind)])
    stock = (await store.status(device.key)).stock
    assert max(stock.one_time, stock.one_time_kem) == ONE_TIME_MAX
    offer = await store.fetch((await registered(store)).key, take=False)
    assert offer is not None
    assert offer.devices == ()
    # The refused page left no trace: its id and its lasting keys are still free.
    await store.publish(device.key, device.lasting())


async def test_a_store_that_works_says_so(store: Store) -> None:
    assert await store.condition() is Condition.READY
