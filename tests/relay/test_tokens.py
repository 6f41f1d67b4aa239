"""Delivery tokens and requests, as every engine keeps them."""

import os

import pytest

from relay.store.base import NewFrame, PutResult, Store, Token
from tests.relay.devices import HELD, NOW, Account, Device
from tests.relay.engines import QUOTA, Engine, frames, pulled, registered
from wire.errors import ErrorCode, WireError
from wire.limits import TOKENS_MAX

STORED, DUPLICATE, FULL = PutResult.STORED, PutResult.DUPLICATE, PutResult.QUOTA
REQUESTED, BEFORE = PutResult.REQUESTED, PutResult.REQUESTED_BEFORE


async def put(store: Store, device: Device, sent: list[NewFrame], token: bytes | None) -> list[PutResult]:
    return await store.put(device.key, sent, NOW, token)


async def sorts(store: Store, device: Device) -> list[bool]:
    return [frame.is_request for frame in await store.pull(device.key, 0, 256, 1 << 20)]


async def free(store: Store, device: Device) -> tuple[int, int]:
    """How many more ordinary frames and requests of 1 KiB fit; fills the mailbox."""
    room = []
    for token in (HELD, None):
        results = await put(store, device, frames(9), token)
        room.append(results.index(FULL))
    return room[0], room[1]


# --- which token holds ---------------------------------------------------------------------------------


async def test_only_a_token_of_the_mailbox_makes_an_ordinary_frame(store: Store) -> None:
    device, other = (await registered(store)).device, (await registered(store)).device
    own = os.urandom(32)
    await store.allow(other.key, [Token(own)])
    for token in (None, os.urandom(32), own):
        (frame,) = frames(1)
        assert await put(store, device, [frame], token) == [REQUESTED]
    assert await put(store, device, frames(1), HELD) == [STORED]
    assert await sorts(store, device) == [True, True, True, False]
    assert [sequence for sequence, _ in await pulled(store, device)] == [1, 2, 3, 4]


async def test_a_token_is_dead_from_its_second_on(store: Store) -> None:
    device = (await registered(store)).device
    await store.allow(device.key, [Token(HELD, NOW)])
    (early, late) = frames(2)
    assert await store.put(device.key, [early], NOW - 1, HELD) == [STORED]
    assert await store.put(device.key, [late], NOW, HELD) == [REQUESTED]


async def test_a_new_set_replaces_the_former_at_once(engine: Engine) -> None:
    device = (await registered(engine.store)).device
    many = [Token(os.urandom(32), NOW + n) for n in range(1, TOKENS_MAX + 1)]
    await engine.store.allow(device.key, many)
    assert await put(engine.store, device, frames(1), HELD) == [REQUESTED]
    await engine.reopen()
    for token in (many[0], many[-1]):
        assert await put(engine.store, device, frames(1), token.hash) == [STORED]
    await engine.store.allow(device.key, [Token(many[0].hash)])
    assert await put(engine.store, device, frames(1), many[1].hash) == [REQUESTED]
    assert await put(engine.store, device, frames(1), many[0].hash) == [STORED]
    await engine.store.allow(device.key, [])
    assert await put(engine.store, device, frames(1), many[0].hash) == [REQUESTED]


async def test_dead_tokens_are_pruned_and_the_others_stay(store: Store) -> None:
    device, other = (await registered(store)).device, (await registered(store)).device
    hashes = [os.urandom(32) for _ in range(3)]
    await store.allow(device.key, [Token(hashes[0], NOW - 1), Token(hashes[1], NOW), Token(hashes[2])])
    await store.allow(other.key, [Token(hashes[0], NOW + 1)])
    assert await store.prune(NOW) == 2
    assert await store.prune(NOW) == 0
    # With the clock put back they would hold again, were they still there.
    assert await store.put(device.key, frames(1), NOW - 9, hashes[1]) == [REQUESTED]
    assert await store.put(device.key, frames(1), NOW, hashes[2]) == [STORED]
    assert await store.put(other.key, frames(1), NOW, hashes[0]) == [STORED]


async def test_a_device_without_a_mailbox_allows_nothing(store: Store) -> None:
    with pytest.raises(WireError) as raised:
        await store.allow(Device().key, [Token(HELD)])
    assert raised.value.code is ErrorCode.NOT_REGISTERED


async def test_a_dropped_device_loses_its_tokens_and_requests(engine: Engine) -> None:
    account = Account(devices=[Device(), Device()])
    first = account.list()
    await registered(engine.store, account)
    kept, dropped = account.devices
    await put(engine.store, dropped, frames(2), None)
    account.devices = [kept]
    second = account.successor(first)
    await engine.store.register(second)
    assert await put(engine.store, dropped, frames(1), HELD) == [PutResult.UNKNOWN]
    account.devices = [kept, dropped]
    await engine.store.register(account.successor(second))
    await engine.reopen()
    assert await put(engine.store, dropped, frames(1), HELD) == [REQUESTED]
    await engine.store.allow(dropped.key, [Token(HELD)])
    assert await free(engine.store, dropped) == (QUOTA.frames, QUOTA.request_frames - 1)
    assert await put(engine.store, kept, frames(1), HELD) == [STORED]


# --- two quotas ----------------------------------------------------------------------------------------


async def test_requests_take_no_room_of_ordinary_frames_nor_the_other_way_round(store: Store) -> None:
    device = (await registered(store)).device
    sent = frames(5)
    assert await put(store, device, sent, None) == [REQUESTED] * 3 + [FULL, PutResult.UNTRIED]
    assert await put(store, device, frames(5), HELD) == [STORED] * 4 + [FULL]
    assert await put(store, device, sent[3:], None) == [FULL, PutResult.UNTRIED]
    other = (await registered(store)).device
    assert await put(store, other, frames(5), HELD) == [STORED] * 4 + [FULL]
    assert await put(store, other, sent, None) == [REQUESTED] * 3 + [FULL, PutResult.UNTRIED]


async def test_the_request_quota_in_bytes(store: Store) -> None:
    device = (await registered(store)).device
    assert await put(store, device, frames(1, 4096), None) == [REQUESTED]
    assert await put(store, device, frames(2), None) == [REQUESTED, FULL]
    assert await put(store, device, frames(1, 4096), HELD) == [STORED]


async def test_an_acknowledgement_frees_the_room_of_each_sort(engine: Engine) -> None:
    device = (await registered(engine.store)).device
    for token in (HELD, None, None, HELD, None):
        await put(engine.store, device, frames(1), token)
    assert await engine.store.acknowledge(device.key, 3) == 3
    await engine.reopen()
    assert await free(engine.store, device) == (4 - 1, 3 - 1)


async def test_an_expiry_frees_the_room_of_each_sort(engine: Engine) -> None:
    device = (await registered(engine.store)).device
    for age, token in enumerate((HELD, None, None, HELD, None)):
        await engine.store.put(device.key, frames(1), NOW + age, token)
    assert await engine.store.expire(NOW + 3, at_most=2) == 2
    assert await engine.store.expire(NOW + 3, at_most=2) == 1
    assert (await engine.store.status(device.key)).expired == 3
    await engine.reopen()
    assert await free(engine.store, device) == (4 - 1, 3 - 1)


# --- the same frame again ------------------------------------------------------------------------------


async def test_a_repetition_is_answered_as_what_is_stored(store: Store) -> None:
    device = (await registered(store)).device
    request, ordinary = frames(2)
    assert await put(store, device, [request, request], None) == [REQUESTED, BEFORE]
    assert await put(store, device, [ordinary], HELD) == [STORED]
    # The sender has lost its token since: what was accepted stays accepted.
    assert await put(store, device, [ordinary, request], None) == [DUPLICATE, BEFORE]
    await put(store, device, frames(9), None)
    assert await put(store, device, [ordinary, request], None) == [DUPLICATE, BEFORE]
    assert await sorts(store, device) == [True, False, True, True]


async def test_a_request_that_comes_with_a_token_becomes_an_ordinary_frame_in_its_place(
    engine: Engine,
) -> None:
    device = (await registered(engine.store)).device
    sent = frames(3)
    await put(engine.store, device, sent, None)
    assert await put(engine.store, device, [sent[1]], os.urandom(32)) == [BEFORE]
    # Another envelope under the same id is not looked at: neither stored nor counted.
    again = NewFrame(sent[1].frame_id, frames(1, 4096)[0].envelope)
    assert await put(engine.store, device, [again, again], HELD) == [DUPLICATE] * 2
    await engine.reopen()
    assert await sorts(engine.store, device) == [True, False, True]
    assert await pulled(engine.store, device) == [(n, frame.envelope) for n, frame in enumerate(sent, 1)]
    assert await free(engine.store, device) == (4 - 1, 3 - 2)
    assert await engine.store.acknowledge(device.key, 99) == 3 + 3 + 1
    assert await free(engine.store, device) == (4, 3)


async def test_a_request_stays_one_while_the_mailbox_has_no_room(store: Store) -> None:
    device = (await registered(store)).device
    (request,) = frames(1)
    await put(store, device, [request], None)
    await put(store, device, frames(4), HELD)
    # It is durable, so nothing is refused, and what comes behind it is tried.
    assert await put(store, device, [request, *frames(1)], HELD) == [BEFORE, FULL]
    await store.acknowledge(device.key, 0)
    assert (await sorts(store, device))[0]


async def test_one_call_may_hold_both_and_keeps_its_order(store: Store) -> None:
    device = (await registered(store)).device
    one, two, three = frames(3)
    await put(store, device, [two], None)
    await put(store, device, frames(3), HELD)
    assert await put(store, device, [one, two, three], HELD) == [STORED, BEFORE, FULL]
    assert await put(store, device, [one, two, three], None) == [DUPLICATE, BEFORE, REQUESTED]
