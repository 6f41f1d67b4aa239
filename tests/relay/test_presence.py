"""Presence: who is told what, when, and what is left afterwards."""

import asyncio
from collections.abc import AsyncIterator

from relay import endings
from relay.connection import Connection
from relay.outbound import Outbound
from relay.presence import TOLD_AT_ONCE, Presence
from tests.relay.devices import Account
from tests.relay.shells import Bench, FakeSocket
from wire import control
from wire.capabilities import presence_capability
from wire.limits import WATCHES_MAX

ALICE, PHONE, HASH, OTHER = b"a" * 32, b"p" * 32, b"1" * 32, b"2" * 32


class Ear:
    def __init__(self) -> None:
        self.heard: list[tuple[int, bool]] = []

    def tell(self, ref: int, online: bool) -> None:
        self.heard.append((ref, online))


def test_a_watcher_is_told_at_once_and_at_each_change() -> None:
    presence, ear = Presence(), Ear()
    presence.watch(ear, 7, HASH)
    presence.appear(ALICE, [HASH])
    presence.appear(ALICE, [HASH, OTHER])
    presence.disappear(ALICE)
    presence.disappear(ALICE)
    presence.appear(ALICE, [HASH])
    assert ear.heard == [(7, False), (7, True), (7, False), (7, True)]
    presence.watch(late := Ear(), 1, HASH)
    assert late.heard == [(1, True)]


def test_an_unknown_capability_and_an_invisible_device_are_one_answer() -> None:
    presence, ear = Presence(), Ear()
    presence.appear(ALICE, [HASH])
    presence.appear(ALICE, [])
    presence.watch(ear, 1, HASH)
    presence.watch(ear, 2, OTHER)
    assert ear.heard == [(1, False), (2, False)]
    assert not presence.appears(ALICE)


def test_another_capability_ends_the_former() -> None:
    presence, ear = Presence(), Ear()
    presence.appear(ALICE, [HASH])
    presence.watch(ear, 1, HASH)
    presence.appear(ALICE, [OTHER])
    assert ear.heard == [(1, True), (1, False)]


def test_two_devices_of_one_capability_are_online_while_one_is() -> None:
    presence, ear = Presence(), Ear()
    presence.watch(ear, 1, HASH)
    presence.appear(ALICE, [HASH])
    presence.appear(PHONE, [HASH])
    presence.disappear(ALICE)
    assert ear.heard == [(1, False), (1, True)]
    presence.disappear(PHONE)
    assert ear.heard[-1] == (1, False)


def test_a_watch_of_the_same_ref_replaces_the_former() -> None:
    presence, ear = Presence(), Ear()
    presence.watch(ear, 1, HASH)
    presence.watch(ear, 1, OTHER)
    presence.appear(ALICE, [HASH])
    assert ear.heard == [(1, False), (1, False)]
    presence.appear(ALICE, [OTHER])
    assert ear.heard[-1] == (1, True)


def test_nothing_is_left_when_either_side_ends() -> None:
    presence, ears = Presence(), [Ear(), Ear()]
    for ear in ears:
        for ref in range(WATCHES_MAX):
            presence.watch(ear, ref, bytes([ref % 3]) * 32)
    presence.appear(ALICE, [HASH, OTHER])
    presence.leave(ears[0])
    presence.leave(ears[0])
    heard = len(ears[0].heard)
    presence.disappear(ALICE)
    presence.leave(ears[1])
    assert len(ears[0].heard) == heard
    assert not any(vars(presence).values())


async def test_a_turn_of_the_event_loop_tells_a_few_and_in_the_end_all_have_heard() -> None:
    presence, ears = Presence(), [Ear() for _ in range(1000)]
    for ear in ears:
        presence.watch(ear, 1, HASH)
        ear.heard.clear()

    def told() -> int:
        return sum(bool(ear.heard) for ear in ears)

    presence.appear(ALICE, [HASH])
    turns = 0
    while told() < len(ears):
        before = told()
        turns += 1
        await asyncio.sleep(0)
        assert told() - before <= TOLD_AT_ONCE
    assert turns >= len(ears) // TOLD_AT_ONCE - 1
    assert all(ear.heard == [(1, True)] for ear in ears)


async def test_a_device_that_comes_and_goes_is_told_to_nobody_more_often_than_there_are_turns() -> None:
    presence, ears = Presence(), [Ear() for _ in range(1000)]
    for ear in ears:
        presence.watch(ear, 1, HASH)
        ear.heard.clear()
    for number in range(101):
        presence.appear(ALICE, [HASH] if number % 2 == 0 else [])
    assert sum(len(ear.heard) for ear in ears) <= TOLD_AT_ONCE
    presence.leave(ears[0])
    presence.watch(ears[1], 1, OTHER)
    while presence._untold:  # noqa: ASYNC110 nobody tells when it is done
        await asyncio.sleep(0)
    # The last word is the truth, for each that still wants to know; and nobody else hears it.
    assert {ear.heard[-1] for ear in ears[2:]} == {(1, True)}
    assert (1, False) in ears[1].heard[-1:]
    assert len(ears[0].heard) <= 1
    assert not presence._is_telling


async def test_notices_to_a_slow_watcher_replace_each_other_and_wait_for_answers() -> None:
    outbound = Outbound()
    for number in range(3001):
        for ref in range(WATCHES_MAX):
            outbound.set_notice(f"presence {ref}", f"{ref} {number}")
    outbound.set_notice("stock", "stock")
    outbound.add_frames([b"frame"])
    outbound.add_control("answer")
    assert outbound.take(1 << 20) == [
        "answer",
        *(f"{ref} 3000" for ref in range(WATCHES_MAX)),
        "stock",
        b"frame",
    ]


# --- over the shell of a connection --------------------------------------------------------------------

SECRET = b"c" * 16
CAPABILITY = presence_capability(SECRET)
SHOW = control.Appear(secrets=[SECRET])


async def watching(bench: Bench, ref: int = 1) -> tuple[FakeSocket, Connection, asyncio.Future[None]]:
    watcher = await bench.submit()
    watcher[0].hear(control.Watch(ref=ref, capability=CAPABILITY))
    return watcher


async def online(socket: FakeSocket) -> AsyncIterator[bool]:
    while True:
        message = await socket.next()
        assert isinstance(message, control.Presence), message
        yield message.online


async def shown(bench: Bench, account: Account) -> tuple[FakeSocket, Connection, asyncio.Future[None]]:
    """A registered device that says it may be seen, after the relay has heard it."""
    device = await bench.device(account)
    device[0].hear(SHOW)
    device[0].hear(control.Allow(ref=1, tokens=[]))
    assert isinstance(await device[0].next(), control.Allowed)
    return device


async def end(socket: FakeSocket, task: asyncio.Future[None]) -> None:
    socket.leave()
    await task


async def test_a_device_that_comes_back_is_never_said_to_be_away(bench: Bench) -> None:
    account = Account()
    await bench.store.register(account.list())
    older = await shown(bench, account)
    watcher = await watching(bench)
    seen = online(watcher[0])
    assert await anext(seen)
    newer = await shown(bench, account)
    await end(older[0], older[2])
    assert bench.presence.appears(account.device.key)
    await end(newer[0], newer[2])
    # This is the one word after `online`: in between nothing was said.
    assert not await anext(seen)
    assert watcher[0].said.empty()
    assert not bench.presence.appears(account.device.key)


async def test_what_a_former_connection_showed_does_not_outlive_it_for_long() -> None:
    bench, account = Bench(login_deadline=0.1), Account()
    await bench.store.register(account.list())
    older = await shown(bench, account)
    watcher = await watching(bench)
    seen = online(watcher[0])
    assert await anext(seen)
    newer = await bench.device(account)
    assert not await anext(seen)  # it said nothing of being seen, within the deadline
    # Nor does the deadline of one that has appeared in time touch it.
    newer[0].hear(SHOW)
    assert await anext(seen)
    last = await shown(bench, account)
    await asyncio.sleep(0.2)  # longer than the deadline, which must not do anything
    assert bench.presence.appears(account.device.key)
    for socket, _, task in (older, newer, last, watcher):
        await end(socket, task)


async def test_a_watcher_that_goes_is_forgotten(bench: Bench) -> None:
    account = Account()
    await bench.store.register(account.list())
    watcher = await watching(bench)
    assert not await anext(online(watcher[0]))
    await end(watcher[0], watcher[2])
    device = await shown(bench, account)
    await end(device[0], device[2])
    assert not any(vars(bench.presence).values())
    assert bench.faults == []


async def test_a_dropped_device_is_away_at_once(bench: Bench) -> None:
    account = Account()
    await bench.store.register(account.list())
    socket, connection, left = await shown(bench, account)
    watcher = await watching(bench)
    seen = online(watcher[0])
    assert await anext(seen)
    socket.read(False)  # and so keeps its connection from ending
    connection.remove(endings.REMOVED)
    assert not await anext(seen)
    assert not left.done()


async def test_a_watcher_that_does_not_read_holds_up_nobody_and_hears_the_last_word(bench: Bench) -> None:
    account = Account()
    await bench.store.register(account.list())
    deaf, reading = await watching(bench, 1), await watching(bench, 2)
    for watcher in (deaf, reading):
        assert not await anext(online(watcher[0]))
    deaf[0].read(False)
    device = await shown(bench, account)
    seen = online(reading[0])
    assert await anext(seen)
    for _ in range(50):
        device[0].hear(control.Appear(secrets=[]))
        assert not await anext(seen)
        device[0].hear(SHOW)
        assert await anext(seen)
    device[0].hear(control.Appear(secrets=[]))
    assert not await anext(seen)
    deaf[0].read(True)
    assert not await anext(online(deaf[0]))  # all that it missed is one notice
    assert deaf[0].said.empty()
