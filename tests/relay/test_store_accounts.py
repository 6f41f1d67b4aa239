"""A whole account: what a store shows of it, page by page, and how it is deleted, in both engines."""

import hashlib
import os

import pytest

from relay.store import holdings
from relay.store.base import Deletion, PutResult, Store
from relay.store.memory import MemoryStore
from tests.relay.devices import HELD, NOW, Account, Device, envelope
from tests.relay.engines import Engine, frames, pulled, registered
from tests.relay.furnished import clear, everything, furnished, known
from wire.account_messages import HeldAccount, HeldFormerList, HeldFrame, HeldMailbox, HeldPrekey, HeldToken
from wire.errors import ErrorCode, WireError


async def refused(store: Store, device: Device, place: bytes | None = None) -> ErrorCode:
    with pytest.raises(WireError) as caught:
        await store.export(device.key, place)
    return caught.value.code


async def test_each_thing_that_is_held_is_shown_as_it_was_put(engine: Engine) -> None:
    store = engine.store
    account = await furnished(store)
    kept, other, dropped = account.devices
    records = await everything(store, kept)
    (itself,) = (record for record in records if isinstance(record, HeldAccount))
    assert itself.account_key == account.key
    assert [record.version for record in records if isinstance(record, HeldFormerList)] == [1, 2]
    boxes = {record.device_key: record for record in records if isinstance(record, HeldMailbox)}
    assert boxes.keys() == {kept.key, other.key, dropped.key}
    mine = boxes[kept.key]
    assert (mine.frames, mine.request_frames, mine.one_time_highest, mine.one_time_kem_highest) == (
        4,
        1,
        9,
        3,
    )
    assert (mine.checkpoint, mine.full_at, mine.dropped_at) == (b"checkpoint of " + kept.key, NOW, None)
    assert boxes[dropped.key].dropped_at
    assert (boxes[dropped.key].next_sequence, boxes[dropped.key].frames) == (3, 0)
    prekeys = [(record.kind, record.id) for record in records if isinstance(record, HeldPrekey)]
    assert prekeys == [
        (1, 1),
        (2, 1),
        *((3, id) for id in range(1, 10)),
        (4, 1),
        *((5, id) for id in (1, 2, 3)),
    ]
    tokens = {record.hash: record.until for record in records if isinstance(record, HeldToken)}
    assert tokens[HELD] is None
    assert len(tokens) == 2
    waiting = [record for record in records if isinstance(record, HeldFrame)]
    delivered = await store.pull(kept.key, 0, 256, 1 << 20)
    assert [(each.sequence, each.frame_id, each.request, each.size, each.sha256) for each in waiting] == [
        (
            each.sequence,
            each.frame_id,
            each.is_request,
            len(each.envelope),
            hashlib.sha256(each.envelope).digest(),
        )
        for each in delivered
    ]
    assert {each.stored_at for each in waiting} == {NOW}


async def test_pages_are_bounded_and_make_up_the_whole(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await furnished(engine.store)
    whole = await everything(engine.store, account.device)
    for text in (1, 700, 5000):
        monkeypatch.setattr(holdings, "PAGE_TEXT", text)
        pages: list[holdings.Page] = []
        place: bytes | None = None
        while not pages or place is not None:
            page = await engine.store.export(account.device.key, place)
            size = sum(len(record.encode()) for record in page.records)
            assert size <= text or len(page.records) == 1
            place = page.place
            pages.append(page)
        assert [record for page in pages for record in page.records] == whole
        assert len(pages) > 2
        assert await engine.store.wipe()  # a page that is done holds nothing of the log


async def test_a_place_that_no_page_ended_at_is_harmless(engine: Engine) -> None:
    account = await furnished(engine.store)
    stranger = await registered(engine.store)
    for place in (
        b"\xff" * 65,
        b"\0",
        b"\6" + stranger.device.key + b"\0" * 8,
        os.urandom(40),
        b"\2" + b"\xff" * 9,
    ):
        page = await engine.store.export(account.device.key, place)
        assert page.account_key == account.key
        assert not known(stranger, [], []) & known(account, list(page.records), [])
    assert await refused(engine.store, Device()) is ErrorCode.NOT_REGISTERED
    dropped = account.devices[-1]
    assert await refused(engine.store, dropped) is ErrorCode.NOT_REGISTERED


async def test_a_deleted_account_is_as_if_it_had_never_been(engine: Engine) -> None:
    store = engine.store
    account, stranger = await furnished(store), await registered(store)
    await store.put(stranger.device.key, frames(2), NOW, HELD)
    before = await everything(store, stranger.device)
    deletion = await store.delete(account.key)
    assert set(deletion.device_keys) == {device.key for device in account.devices}
    assert HELD in deletion.tokens
    await clear(store)
    assert await store.wipe()
    await engine.reopen()
    store = engine.store
    assert await store.fetch(account.key, take=True) is None
    for device in account.devices:
        assert await store.put(device.key, frames(1), NOW, HELD) == [PutResult.UNKNOWN]
        assert await pulled(store, device) == []
        assert not (await store.status(device.key)).registered
        assert await refused(store, device) is ErrorCode.NOT_REGISTERED
    assert await everything(store, stranger.device) == before
    assert await store.delete(account.key) == Deletion()


async def test_devices_of_it_that_come_back_begin_anew_above_their_sequences(engine: Engine) -> None:
    store = engine.store
    account = await furnished(store)
    before = {record.device_key: record.next_sequence for record in await everything(store, account.device)
              if isinstance(record, HeldMailbox)}  # fmt: skip
    await store.delete(account.key)
    again = Account(account.signing, account.devices)
    await registered(store, again)
    for device in again.devices:
        status = await store.status(device.key)
        assert (status.expired, status.checkpoint, status.full_at) == (0, None, None)
        await store.put(device.key, frames(1), NOW, HELD)
        ((sequence, _),) = await pulled(store, device)
        assert sequence >= before[device.key]
    await clear(store)
    assert [len(await pulled(store, device)) for device in again.devices] == [1, 1, 1]


async def test_a_device_that_has_another_account_by_now_stays(engine: Engine) -> None:
    """One that was dropped by the first is listed by the second."""
    account = await furnished(engine.store)
    dropped = account.devices[-1]
    second = await registered(engine.store, Account(devices=[dropped]))
    await engine.store.put(dropped.key, frames(1), NOW, HELD)
    assert dropped.key not in (await engine.store.delete(account.key)).device_keys
    await clear(engine.store)
    assert len(await pulled(engine.store, dropped)) == 1
    assert await engine.store.fetch(second.key, take=False) is not None


async def test_a_memory_store_forgets_all_of_it() -> None:
    store = MemoryStore()
    account = await furnished(store)
    await store.delete(account.key)
    assert (store._lists, store._former, store._mailboxes) == ({}, {}, {})
    assert envelope()  # as random as ever
