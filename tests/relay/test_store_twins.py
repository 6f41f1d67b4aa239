"""Both engines, told the same things in the same order, answer the same."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.store.base import ANYBODY, NewFrame, Quota, Store, Terms, Token
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from tests.relay.devices import Account, Device
from wire.device_lists import DeviceList
from wire.errors import WireError
from wire.prekeys import Prekey, PrekeyKind

Step: TypeAlias = Callable[[Store], Awaitable[object]]

ACCOUNTS = (Account(devices=[Device(), Device()]), Account())
DEVICES = [device for account in ACCOUNTS for device in account.devices]
QUOTA = Quota(5, 7000, 3, 4000)
HASHES = (b"1" * 32, b"2" * 32)
REFUSED = Terms("not here", b"3" * 32, 5)


def _lists() -> list[DeviceList]:
    """Lists that follow each other, fork, drop a device, take one back and claim another's."""
    first, other = (account.list() for account in ACCOUNTS)
    both = ACCOUNTS[0].devices
    fewer = Account(ACCOUNTS[0].signing, both[:1]).successor(first)
    fork = Account(ACCOUNTS[0].signing, both[1:]).successor(first)
    back = Account(ACCOUNTS[0].signing, both).successor(fewer)
    thief = Account(ACCOUNTS[1].signing, [*ACCOUNTS[1].devices, both[1]]).successor(other)
    return [first, other, fewer, fork, back, thief]


LISTS = _lists()
PREKEYS: list[list[Prekey]] = [
    [device.prekey(kind, id) for kind in PrekeyKind for id in (1, 2, 3)] for device in DEVICES
]
FRAMES = [NewFrame(bytes([n]) * 16, b"\1" + bytes(1023 if n % 3 else 2047)) for n in range(8)]

devices = st.integers(0, len(DEVICES) - 1)


def _put(
    device: int, frames: list[NewFrame], now: int, token_hash: bytes | None, request_room: int | None
) -> Step:
    return lambda store: store.put(DEVICES[device].key, frames, now, token_hash, request_room)


def _allow(device: int, tokens: list[Token]) -> Step:
    return lambda store: store.allow(DEVICES[device].key, tokens)


def _prune(now: int) -> Step:
    return lambda store: store.prune(now)


def _clear(at_most: int) -> Step:
    async def clear(store: Store) -> None:
        await store.clear(at_most)  # how much it is differs

    return clear


def _forget() -> Step:
    return lambda store: store.forget(1 << 40, 99)


def _pull(device: int, after: int, count: int, size: int) -> Step:
    return lambda store: store.pull(DEVICES[device].key, after, count, size)


def _publish(device: int, chosen: list[int]) -> Step:
    return lambda store: store.publish(DEVICES[device].key, [PREKEYS[device][n] for n in chosen])


def _fetch(account: int, take: bool, since: int | None) -> Step:
    return lambda store: store.fetch(ACCOUNTS[account].key, take, since)


def _register(which: int, terms: Terms = ANYBODY) -> Step:
    return lambda store: store.register(LISTS[which], terms)


def _acknowledge(device: int, through: int) -> Step:
    return lambda store: store.acknowledge(DEVICES[device].key, through)


def _expire(before: int, at_most: int) -> Step:
    return lambda store: store.expire(before, at_most)


def _status(device: int) -> Step:
    return lambda store: store.status(DEVICES[device].key)


def _export(device: int) -> Step:
    async def export(store: Store) -> object:
        page = await store.export(DEVICES[device].key, None)
        found = [page.account_key, *page.device_keys, *page.records]
        while page.place is not None:
            page = await store.export(DEVICES[device].key, page.place)
            found += page.records
        # What only a file has, and a moment that may lie in the next second.
        only = {"checksum": None, "skipped": 0, "dropped_at": None}
        return [
            each
            if isinstance(each, bytes)
            else each.model_copy(update={k: only[k] for k in only if hasattr(each, k)})
            for each in found
        ]

    return export


def _delete(account: int) -> Step:
    async def delete(store: Store) -> object:
        deletion = await store.delete(ACCOUNTS[account].key)
        return deletion.device_keys, sorted(deletion.tokens), await store.wipe()

    return delete


allowed = st.lists(
    st.builds(Token, st.sampled_from(HASHES), st.none() | st.integers(0, 9)), unique_by=lambda item: item.hash
)
steps = st.one_of(
    st.builds(_register, st.integers(0, len(LISTS) - 1), st.sampled_from((ANYBODY, REFUSED))),
    st.builds(
        _put,
        devices,
        st.lists(st.sampled_from(FRAMES), min_size=1, max_size=4),
        st.sampled_from((*range(9), 4000)),
        st.sampled_from((None, *HASHES)),
        st.sampled_from((None, None, 0, 1, 2)),
    ),
    st.builds(_allow, devices, allowed),
    st.builds(_prune, st.integers(0, 9)),
    st.builds(_clear, st.integers(1, 4)),
    st.builds(_forget),
    st.builds(_pull, devices, st.integers(0, 9), st.integers(1, 6), st.sampled_from((1024, 4096, 99_999))),
    st.builds(_acknowledge, devices, st.integers(0, 12)),
    st.builds(_expire, st.integers(0, 10), st.integers(1, 5)),
    st.builds(_publish, devices, st.lists(st.integers(0, 14), min_size=1, max_size=6)),
    st.builds(_fetch, st.integers(0, 1), st.booleans(), st.none() | st.integers(0, 3)),
    st.builds(_status, devices),
    st.builds(_export, devices),
    st.builds(_delete, st.integers(0, 1)),
)


async def _answer(step: Step, store: Store) -> object:
    try:
        return await step(store)
    except WireError as refusal:
        return refusal.code, str(refusal)


async def _compare(sequence: list[Step], path: Path) -> None:
    memory, sqlite = MemoryStore(QUOTA), SqliteStore.open(path, QUOTA)
    try:
        for number, step in enumerate([_register(0), _register(1, REFUSED), *sequence]):
            assert await _answer(step, memory) == await _answer(step, sqlite), number
            if number % 10 == 9:
                await sqlite.close()
                sqlite = SqliteStore.open(path, QUOTA)
    finally:
        await sqlite.close()


@settings(max_examples=60)
@given(st.lists(steps, max_size=40))
def test_the_twins_never_differ(sequence: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_compare(sequence, Path(directory) / "relay.db"))
