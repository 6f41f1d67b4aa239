"""How long things are kept, with the clock moved: there before their time is over, and gone after it.

Every retention of the ledger that has a figure names one of these tests. Which columns must be empty at which
moment is read from the ledger itself, so that a column that is added to it is looked at here as well.
"""

import asyncio
import gc
import pickle
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from relay import app
from relay.app import EXPIRE_EVERY, FORGET_EVERY, Relay, sweep
from relay.buckets import SECOND
from relay.config import SLOWEST_RATE, Config
from relay.mailboxes import FORGET_AFTER
from relay.rates import Limit, Rates
from relay.store import invites
from relay.store.base import ANYBODY, NewFrame, PutResult, Token
from relay.store.beside import beside
from relay.store.invites import Invite
from tests.relay.devices import HELD, TOKEN, Account, Device, envelope
from tests.relay.engines import frames, registered
from tests.relay.paces import Clock
from tests.relay.shells import ORIGIN, Bench
from tests.relay.whole import composed
from wire import control
from wire.ledger import Place, read
from wire.limits import FORMER_LISTS, IDLE_SUBMIT, LOGIN_DEADLINE, MAILBOX_TTL, UNACKNOWLEDGED_FRAMES
from wire.login import Mode
from wire.prekeys import PrekeyKind

LEDGER = read()
ENDS_AFTER: Final = 10_000  # seconds: tokens and invites of these tests
HOUR: Final = int(EXPIRE_EVERY)
CANARY: Final = b"CANARY IN AN ENVELOPE"

# --- the store -------------------------------------------------------------------------------------------

# Of each retention: the last moment at which what has it is still there, and the first at which it is not.
MOMENTS: Final = {
    "until-its-end": ("at their end", "after their end"),
    "until-acknowledged": ("at the TTL", "after the TTL"),
    "while-listed": ("listed", "dropped"),
    "until-taken": ("listed", "cleared"),
    "until-cleared": ("dropped", "cleared"),
    "until-forgotten": ("at 37 days", "after 37 days"),
    "while-registered": ("after 37 days", "deleted"),
    "last-64": ("after 37 days", "deleted"),  # and see below
}
WITHOUT_A_MOMENT: Final = {"forever"}

Counts = dict[str, int]


async def used(relay: Relay, device: Device, now: int) -> None:
    """Everything that makes a relay keep something of a device that is listed."""
    store, key = relay.store, device.key
    await store.allow(key, [Token(HELD, now + ENDS_AFTER)])
    await store.keep_checkpoint(key, CANARY)
    content = [NewFrame(each.frame_id, envelope(1024, CANARY)) for each in frames(UNACKNOWLEDGED_FRAMES + 1)]
    assert (await store.put(key, content, now, HELD))[-2:] == [PutResult.STORED, PutResult.QUOTA]
    assert await store.put(key, frames(1), now, None) == [PutResult.REQUESTED]


async def lived(relay: Relay, leaves: Device, look: Callable[[], Counts]) -> dict[str, Counts]:
    """What is there at each moment of the life of a device and its account, of which another device stays."""
    now, stays = int(time.time()), Device()
    account, seen = Account(devices=[stays]), {"nobody": look()}
    first = account.list()
    await relay.mailboxes.register(first, ANYBODY)
    seen["without it"] = look()
    account.devices = [stays, leaves]
    both = account.successor(first)
    await relay.mailboxes.register(both, ANYBODY)
    await relay.store.publish(leaves.key, [*leaves.lasting(), *leaves.one_time(1, 3)])
    await relay.store.publish(leaves.key, leaves.one_time(1, 3, PrekeyKind.ONE_TIME_KEM))
    assert await relay.store.lease(leaves.key) is not None
    await used(relay, leaves, now)
    if relay.config.store == "sqlite":
        with beside(relay.config.data_directory / "relay.db") as connection:
            invites.add(connection, [Invite(b"i" * 32, 3, now + ENDS_AFTER)])
    await sweep(relay, now + ENDS_AFTER - 1)
    seen["at their end"] = look()
    await sweep(relay, now + ENDS_AFTER + HOUR)
    seen["after their end"] = look()
    await sweep(relay, now + MAILBOX_TTL)
    seen["at the TTL"] = look()
    await sweep(relay, now + MAILBOX_TTL + HOUR)
    seen["after the TTL"] = look()
    await used(relay, leaves, now)
    seen["listed"] = look()
    account.devices = [stays]
    await relay.mailboxes.register(account.successor(both), ANYBODY)
    seen["dropped"] = look()
    await relay.mailboxes.clear()
    seen["cleared"] = look()
    await sweep(relay, now + MAILBOX_TTL + FORGET_AFTER)
    seen["at 37 days"] = look()
    await sweep(relay, now + MAILBOX_TTL + FORGET_AFTER + HOUR)
    seen["after 37 days"] = look()
    await relay.store.delete(account.key)
    await relay.mailboxes.clear()
    seen["deleted"] = look()
    return seen


def filled(path: Path) -> Counts:
    """In how many rows each declared column says anything."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    counts = Counts()
    for name in LEDGER.of(Place.STORE):
        table, _, column = name.partition(".")
        rows = connection.execute(f"SELECT count(*) FROM {table} WHERE {column} NOT IN (0)")  # noqa: S608 - names of ours
        counts[name] = rows.get
    connection.close()
    return counts


async def test_columns_are_empty_when_their_time_is_over(tmp_path: Path) -> None:
    async with composed(tmp_path, mailbox_frames=UNACKNOWLEDGED_FRAMES) as relay:
        seen = await lived(relay, Device(), lambda: filled(tmp_path / "relay.db"))
    used_retentions = set()
    for name, entry in LEDGER.of(Place.STORE).items():
        used_retentions.add(entry.kept)
        if entry.kept in WITHOUT_A_MOMENT:
            continue
        before, after = MOMENTS[entry.kept]
        others = seen["nobody" if after == "deleted" else "without it"][name]
        assert seen[before][name] > others, f"{name}: not there {before}, so this shows nothing"
        assert seen[after][name] == others, f"{name}: still there {after}"
    assert used_retentions >= set(MOMENTS)


async def test_what_was_deleted_is_in_no_file_after_the_sweep(tmp_path: Path) -> None:
    def found() -> set[str]:
        return {path.name for path in tmp_path.iterdir() if CANARY in path.read_bytes()}

    async with composed(tmp_path, mailbox_frames=UNACKNOWLEDGED_FRAMES) as relay:
        now, device = int(time.time()), Device()
        await relay.mailboxes.register(Account(devices=[device]).list(), ANYBODY)
        await used(relay, device, now)
        await relay.store.keep_checkpoint(device.key, b"another")
        assert found() >= {"relay.db-wal"}
        await relay.store.acknowledge(device.key, UNACKNOWLEDGED_FRAMES // 2)
        await sweep(relay, now + MAILBOX_TTL)
        assert found() == {"relay.db"}, "half of it waits still"
        await relay.store.acknowledge(device.key, 1 << 40)
        assert found(), "gone from the tables, and not from the log"
        await sweep(relay, now)
        assert found() == set()
        await used(relay, device, now)
        await relay.store.keep_checkpoint(device.key, b"another")
        await sweep(relay, now + MAILBOX_TTL + HOUR)
        assert found() == set(), "nor is what has expired"


async def test_the_store_in_memory_forgets_at_the_same_moments(tmp_path: Path) -> None:
    leaves = Device()
    async with composed(tmp_path, store="memory", mailbox_frames=UNACKNOWLEDGED_FRAMES) as relay:

        def look() -> Counts:
            store = vars(relay.store)
            held = pickle.dumps(store["_mailboxes"])
            counts = {"until-its-end": held.count(HELD), "until-acknowledged": held.count(b"\x01" + CANARY)}
            counts |= {"until-forgotten": held.count(leaves.key), "while-listed": held.count(CANARY)}
            everything = [store[name] for name in ("_mailboxes", "_lists", "_former")]
            return counts | {"while-registered": len(pickle.dumps(everything))}

        seen = await lived(relay, leaves, look)
    for kept in ("until-its-end", "until-acknowledged", "until-forgotten", "while-listed"):
        before, after = MOMENTS[kept]
        assert seen[before][kept] > 0, f"{kept}: not there {before}, so this shows nothing"
        assert seen[after][kept] == 0, f"{kept}: still there {after}"
    assert seen["deleted"]["while-registered"] == seen["nobody"]["while-registered"]


async def test_of_former_lists_the_newest_stay(tmp_path: Path) -> None:
    account = Account()
    async with composed(tmp_path) as relay:
        newest = account.list()
        for version in range(1, FORMER_LISTS + 4):
            await relay.store.register(newest)
            assert filled(tmp_path / "relay.db")["former_lists.version"] == min(version - 1, FORMER_LISTS)
            newest = account.successor(newest)


# --- connections -----------------------------------------------------------------------------------------

PassSeconds = Callable[[float], Awaitable[None]]


@pytest.fixture
async def pass_seconds(monkeypatch: pytest.MonkeyPatch) -> PassSeconds:
    """Moves the event loop's clock, and lets what is due then happen."""
    loop = asyncio.get_running_loop()
    clock, ahead = loop.time, 0.0

    async def pass_on(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)

    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    return pass_on


@pytest.fixture
async def owner(bench: Bench) -> Account:
    return await registered(bench.store)


async def test_what_is_kept_until_a_login_is_gone_after_it(
    bench: Bench, owner: Account, pass_seconds: PassSeconds
) -> None:
    _, connection, _ = await bench.device(owner)
    session = connection._session
    assert (session._greeting, session._nonce, session._login_signature) == (None, b"", b"")
    # And of whoever never logs in nothing is left when its time is over.
    socket, other, left = bench.connect()
    socket.hear(control.Hello(mode=Mode.DEVICE, version=1, origin=ORIGIN, nonce=b"n" * 32))
    await socket.next()
    await pass_seconds(LOGIN_DEADLINE - 1)
    assert other._session._greeting is not None
    assert other._session._nonce
    held = weakref.ref(other._session)
    del other
    await pass_seconds(1)
    assert left.done()
    await gone(bench, held)


async def gone(bench: Bench, held: "weakref.ref[Any]") -> None:
    """Nothing holds it any more."""
    bench.sockets.clear()
    bench.left.clear()
    await asyncio.sleep(0)
    gc.collect()
    assert held() is None, gc.get_referrers(held())


async def test_what_a_submit_connection_showed_ends_with_its_idleness(
    bench: Bench, owner: Account, pass_seconds: PassSeconds
) -> None:
    socket, connection, left = await bench.submit()
    socket.hear(control.Attach(mailbox=owner.device.key, token=TOKEN))
    socket.hear(control.Watch(ref=1, capability=b"c" * 32))
    assert isinstance(await socket.next(), control.Presence)
    await pass_seconds(IDLE_SUBMIT - 1)
    assert HELD in connection._session._attachments._tokens.values()
    assert b"c" * 32 in bench.presence._watchers
    held = weakref.ref(connection._session._attachments)
    del connection
    await pass_seconds(1)
    assert left.done()
    assert not any(vars(bench.presence).values())
    del socket
    await gone(bench, held)


async def test_what_a_former_connection_showed_is_forgotten(
    bench: Bench, owner: Account, pass_seconds: PassSeconds
) -> None:
    former, _, _ = await bench.device(owner)
    former.hear(control.Appear(secrets=[b"s" * 16]))
    await asyncio.sleep(0)
    await bench.device(owner)
    await pass_seconds(LOGIN_DEADLINE - 1)
    assert bench.presence.appears(owner.device.key)
    await pass_seconds(1)
    assert not any(vars(bench.presence).values())


# --- rates -----------------------------------------------------------------------------------------------


def test_no_rate_remembers_anybody_for_longer(tmp_path: Path) -> None:
    clock, given = Clock(), Config(data_directory=tmp_path).rates
    slowest = max(-(-rate.burst * rate.interval // SECOND) for rate in given.values())
    assert slowest == SLOWEST_RATE
    rates = Rates(given, lambda limit: None, clock)
    keys = {limit: f"192.0.2.7/32 {limit}" for limit in Limit}
    for limit, key in keys.items():
        assert rates.of(limit).take(key, given[limit].burst + 1).count == given[limit].burst
    for passed in (*range(0, SLOWEST_RATE, HOUR // 2), SLOWEST_RATE - 1):
        clock.now = passed * SECOND
        for limit, rate in given.items():
            rates.forget(limit)
            is_over = rate.burst * rate.interval <= clock.now
            assert (keys[limit] in rates.of(limit)._full_at) is not is_over, (limit, passed)
    clock.pass_seconds(1)
    for limit in Limit:
        rates.forget(limit)
    assert [limit for limit in Limit if len(rates.of(limit))] == []


async def test_the_sweep_comes_by_every_hour(
    tmp_path: Path, pass_seconds: PassSeconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[int] = []

    async def note(relay: Relay, now: int) -> None:
        swept.append(now)

    monkeypatch.setattr(app, "sweep", note)
    async with composed(tmp_path) as relay:
        sweeping = asyncio.create_task(app._expire(relay))
        for rounds in range(1, 4):
            await pass_seconds(EXPIRE_EVERY if rounds > 1 else 0)
            assert len(swept) == rounds
        sweeping.cancel()
        await asyncio.wait((sweeping,))


async def test_what_rates_remember_is_looked_through_every_two_seconds(
    tmp_path: Path, pass_seconds: PassSeconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with composed(tmp_path) as relay:
        looked: list[Limit] = []
        monkeypatch.setattr(relay.rates, "forget", looked.append)
        looking = asyncio.create_task(app._forget(relay))
        await pass_seconds(0)
        for rounds in range(1, 4):
            await pass_seconds(FORGET_EVERY)
            assert looked == [*Limit] * (rounds + 1)
        looking.cancel()
        await asyncio.wait((looking,))
