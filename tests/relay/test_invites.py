"""Invites and the marker of a full mailbox in the store: the same from every engine."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.actions import Register
from relay.complaints import OperatorError
from relay.store import invites
from relay.store.base import ANYBODY, PutResult, Store, StoreUnusableError, Terms
from relay.store.beside import beside
from relay.store.invites import INVITES_MAX, Invite
from tests.relay.devices import HELD, NOW, Account, Device
from tests.relay.engines import Engine, Sqlite, frames, registered
from wire import control
from wire.errors import ErrorCode, WireError

HOUR = 3600


def invite(uses: int = 1, until: int = NOW + HOUR) -> Invite:
    return Invite(os.urandom(32), uses, until)


def terms(hash: bytes | None = None, now: int = NOW) -> Terms:
    return Terms("not without an invite that holds", hash, now)


async def enters(store: Store, account: Account, terms: Terms) -> bool:
    """Whether a new account got in."""
    try:
        assert await store.register(account.list(), terms) == ()
    except WireError as refusal:
        assert (refusal.code, str(refusal), refusal.field) == (
            ErrorCode.REGISTRATION_REFUSED, "not without an invite that holds", "invite",
        )  # fmt: skip
        assert not (await store.status(account.device.key)).registered
        return False
    assert (await store.status(account.device.key)).registered
    return True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[Sqlite]:
    """The engine that keeps invites; they are made and looked at beside it, as an operator does."""
    engine = Sqlite(path)
    yield engine
    await engine.store.close()


def add(path: Path, *made: Invite) -> None:
    with beside(path) as connection:
        invites.add(connection, made)


def stored(path: Path) -> list[Invite]:
    with beside(path) as connection:
        return invites.stored(connection)


def uses_left(path: Path) -> list[int]:
    return [invite.uses for invite in stored(path)]


async def test_an_invite_lets_as_many_in_as_it_says(sqlite: Sqlite, path: Path) -> None:
    made = invite(uses=2)
    add(path, made)
    for left in (1, 0):
        assert await enters(sqlite.store, Account(), terms(made.hash))
        await sqlite.reopen()
        assert uses_left(path) == [left]
    assert not await enters(sqlite.store, Account(), terms(made.hash))
    assert uses_left(path) == [0]


async def test_wrong_used_expired_revoked_and_no_invites_are_refused_alike(
    sqlite: Sqlite, path: Path
) -> None:
    used, expired, revoked = invite(), invite(until=NOW), invite()
    add(path, used, expired, revoked)
    assert await enters(sqlite.store, Account(), terms(used.hash))
    with beside(path) as connection:
        invites.revoke(connection, revoked.hash)
    for hash in (os.urandom(32), used.hash, expired.hash, revoked.hash, None):
        assert not await enters(sqlite.store, Account(), terms(hash))  # and compares the sentence
    assert await enters(sqlite.store, Account(), terms(expired.hash, now=NOW - 1))


async def test_an_account_that_is_known_asks_nobody(store: Store) -> None:
    account, stranger = Account(), Account()
    first = account.list()
    assert await enters(store, account, ANYBODY)
    assert not await enters(store, stranger, terms())
    assert await store.register(first, terms()) == ()
    gone = account.device
    account.devices = [Device()]
    assert await store.register(account.successor(first), terms()) == (gone.key,)


async def test_the_same_list_again_spends_once(sqlite: Sqlite, path: Path) -> None:
    """What a client says again that was not answered before its relay died."""
    made = invite(uses=3)
    add(path, made)
    account = Account()
    devices = account.list()
    assert await sqlite.store.register(devices, terms(made.hash)) == ()
    await sqlite.reopen()
    assert await sqlite.store.register(devices, terms(made.hash)) == ()
    account.devices.append(Device())
    assert await sqlite.store.register(account.successor(devices), terms(made.hash)) == ()
    assert uses_left(path) == [2]


async def test_a_list_that_is_refused_spends_nothing(sqlite: Sqlite, path: Path) -> None:
    made = invite()
    add(path, made)
    victim = await registered(sqlite.store)
    thief = Account(devices=[victim.device])
    with pytest.raises(WireError, match="belongs to another account"):
        await sqlite.store.register(thief.list(), terms(made.hash))
    assert uses_left(path) == [1]


async def test_concurrent_registrations_spend_exactly(sqlite: Sqlite, path: Path) -> None:
    made = invite(uses=7)
    add(path, made)
    got_in = await asyncio.gather(*(enters(sqlite.store, Account(), terms(made.hash)) for _ in range(40)))
    assert sum(got_in) == 7
    await sqlite.reopen()
    assert uses_left(path) == [0]


async def test_invites_are_listed_by_their_end_and_pruned_at_it(sqlite: Sqlite, path: Path) -> None:
    late, soon = invite(3, NOW + 9), invite(2, NOW + 5)
    add(path, late, soon)
    assert stored(path) == [soon, late]
    assert await sqlite.store.prune(NOW + 5) == 1
    assert stored(path) == [late]


async def test_invites_are_bounded(sqlite: Sqlite, path: Path) -> None:
    add(path, *(invite() for _ in range(INVITES_MAX)))
    with pytest.raises(OperatorError, match="first revoke some"):
        add(path, invite())
    assert len(stored(path)) == INVITES_MAX


async def test_a_second_process_adds_while_the_relay_writes(sqlite: Sqlite, path: Path) -> None:
    store, made = sqlite.store, [invite() for _ in range(20)]
    device = (await registered(store)).device

    async def put_frames() -> None:
        for frame in frames(20) * 2:
            await store.put(device.key, [frame], NOW, HELD)
            await store.acknowledge(device.key, 1 << 40)

    def add_each() -> None:
        for one in made:
            add(path, one)

    await asyncio.gather(put_frames(), asyncio.to_thread(add_each))
    assert all([await enters(store, Account(), terms(one.hash)) for one in made])
    assert uses_left(path) == [0] * 20


async def test_what_fails_beside_the_relay_changes_nothing(sqlite: Sqlite, path: Path) -> None:
    twice = invite()
    with pytest.raises(StoreUnusableError):
        add(path, invite(), twice, twice)
    assert stored(path) == []


def test_neither_values_nor_messages_show_an_invite() -> None:
    token, account = b"an invite's 16 B", Account()
    shown = (
        control.Register(ref=1, device_list=account.list().encode(), invite=token),
        Register(1, account.list(), token),
        Terms("no", token),
        Invite(token, 1, 2),
    )
    for value in shown:
        assert "invite's" not in f"{value} {value!r}"


# --- the marker of a full mailbox ----------------------------------------------------------------------


async def full_at(store: Store, device: Device) -> int | None:
    return (await store.status(device.key)).full_at


async def test_a_full_mailbox_remembers_when_it_refused(engine: Engine) -> None:
    device = (await registered(engine.store)).device
    put = engine.store.put
    assert await put(device.key, frames(4), NOW, HELD) == [PutResult.STORED] * 4
    assert await full_at(engine.store, device) is None
    assert await put(device.key, frames(1), NOW + 7, HELD) == [PutResult.QUOTA]
    await engine.reopen()
    assert await full_at(engine.store, device) == NOW + 7


async def test_it_is_noted_once_an_hour_and_after_the_clock_was_set_back(engine: Engine) -> None:
    device = (await registered(engine.store)).device
    await engine.store.put(device.key, frames(4), NOW, HELD)
    noted = []
    for now in (NOW, NOW + HOUR - 1, NOW + HOUR, NOW + HOUR + 1, NOW - HOUR):
        assert await engine.store.put(device.key, frames(1), now, HELD) == [PutResult.QUOTA]
        noted.append(await full_at(engine.store, device))
    assert noted == [NOW, NOW, NOW + HOUR, NOW + HOUR, NOW - HOUR]


async def test_strangers_who_find_no_room_leave_no_mark(store: Store) -> None:
    device = (await registered(store)).device
    assert (await store.put(device.key, frames(4), NOW, None))[-1] is PutResult.QUOTA
    assert await full_at(store, device) is None


async def test_the_mark_goes_with_the_device(store: Store) -> None:
    account = await registered(store)
    first, old = account.list(), account.device
    assert (await store.put(old.key, frames(5), NOW, HELD))[-1] is PutResult.QUOTA
    account.devices = [Device()]
    second = account.successor(first)
    await store.register(second)
    account.devices.append(old)
    await store.register(account.successor(second))
    assert await full_at(store, old) is None
