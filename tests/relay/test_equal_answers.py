"""Unknown and refused are one answer, in bytes and in time.

What an answer would tell by its time is measured as an observer would: two questions in turns, some hundred
times each, and the chance to tell one from the other by a single answer. Both have to be there for a
difference to count: a chance worth having, and a size that a network could carry.
"""

import os
import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from tests.relay.conditions import conditions
from tests.relay.devices import TOKEN, Account, Device, envelope
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control
from wire.capabilities import presence_capability
from wire.frames import Put
from wire.login import Mode

ROUNDS = 250
CHANCE = 0.62  # of telling two answers apart by the time of one of each; 0.5 is a guess
MEDIAN = 100e-6  # seconds between the medians: what a path of several milliseconds hides by itself
SECRET = b"presence of time"
FETCHES = 120  # of each account
SHUFFLES = 1000
TAKES = 190  # of a stock of 200, which is the largest: five are taken beforehand

Ask: TypeAlias = Callable[[], Awaitable[float]]  # one question; returns how long its answer took


def chance(one: Sequence[float], other: Sequence[float]) -> float:
    """How often a value of one is told from one of the other by which is larger (Mann and Whitney's U)."""
    ordered = sorted(other)
    below = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in one)
    share = below / (2 * len(one) * len(other))
    return max(share, 1 - share)


@dataclass(frozen=True)
class Difference:
    chance: float
    median: float

    @property
    def tells(self) -> bool:
        return self.chance > CHANCE and abs(self.median) > MEDIAN


async def compare(one: Ask, other: Ask, rounds: int = ROUNDS) -> Difference:
    """Ask in turns, in an order that no rhythm of the machine fits."""
    order = random.Random(1)
    times: tuple[list[float], list[float]] = ([], [])
    for ask in (one, other) * 5:
        await ask()
    for _ in range(rounds):
        for which in order.sample((0, 1), 2):
            times[which].append(await (one, other)[which]())
    return Difference(chance(*times), statistics.median(times[0]) - statistics.median(times[1]))


async def assert_equal_time(one: Ask, other: Ask, *, rounds: int = ROUNDS) -> None:
    """A second look before it counts: the machine may have been busy with something else.

    That one has all the rounds there are: of looks of 80 rounds one in a hundred tells two apart that are the
    same, so that two of these would be wrong in one run of 10,000.
    """
    found = await compare(one, other, rounds)
    if found.tells:
        found = await compare(one, other)
    assert not found.tells, found


@dataclass
class Scene:
    relay: RelayProcess
    bob: Account
    dropped: Device
    peer: Peer


@pytest.fixture
async def scene(relay: RelayProcess) -> AsyncIterator[Scene]:
    """Bob, who has appeared and is away; a device that was dropped from his list; and somebody who asks."""
    bob, dropped = Account(), Device()
    bob.devices.append(dropped)
    first = bob.list()
    async with logged_in(relay.url, bob) as device:
        await device.publish(bob.device)
        bob.devices.remove(dropped)
        await device.send(control.Register(ref=9, device_list=bob.successor(first).encode()))
        await device.next(control.Registered)
        await device.send(control.Appear(secrets=[SECRET]))
        await device.allow(control.AllowedToken(hash=b"h" * 32))
    async with submitting(relay.url) as peer:
        yield Scene(relay, bob, dropped, peer)


def asks(peer: Peer, *messages: control.ControlMessage | Put) -> Ask:
    """Say these, and take the time to the one answer."""
    said = [message.encode() for message in messages]

    async def ask() -> float:
        began = time.perf_counter()
        for message in said:
            await peer.websocket.send(message)
        await peer.websocket.recv()
        return time.perf_counter() - began

    return ask


async def answer(peer: Peer, *messages: control.ControlMessage | Put) -> str | bytes:
    for message in messages:
        await peer.websocket.send(message.encode())
    return await peer.websocket.recv()


async def test_a_mailbox_that_never_was_and_one_that_is_no_more(scene: Scene) -> None:
    frames = [Put(b"f" * 16, key, envelope()) for key in (os.urandom(32), scene.dropped.key)]
    assert await answer(scene.peer, frames[0]) == await answer(scene.peer, frames[1])
    await assert_equal_time(*(asks(scene.peer, frame) for frame in frames))


async def test_an_account_that_never_was_and_a_key_that_is_something_else_here(scene: Scene) -> None:
    keys = (os.urandom(32), scene.bob.device.key, scene.dropped.key)
    fetches = [control.Fetch(ref=1, account_key=key, take=True) for key in keys]
    assert len({await answer(scene.peer, fetch) for fetch in fetches}) == 1
    await assert_equal_time(asks(scene.peer, fetches[0]), asks(scene.peer, fetches[1]))


async def test_a_token_that_holds_and_one_that_does_not(scene: Scene) -> None:
    """An attachment has no answer: what is timed is the next one's."""
    watch = control.Watch(ref=1, capability=bytes(32))
    attached = [
        control.Attach(mailbox=scene.bob.device.key, token=token) for token in (TOKEN, os.urandom(16))
    ]
    assert await answer(scene.peer, attached[0], watch) == await answer(scene.peer, attached[1], watch)
    await assert_equal_time(*(asks(scene.peer, attach, watch) for attach in attached))


async def test_a_capability_of_somebody_who_is_away_and_one_of_nobody(scene: Scene) -> None:
    watches = [
        control.Watch(ref=1, capability=capability)
        for capability in (presence_capability(SECRET), os.urandom(32))
    ]
    assert await answer(scene.peer, watches[0]) == await answer(scene.peer, watches[1])
    await assert_equal_time(*(asks(scene.peer, watch) for watch in watches))


async def test_a_login_as_a_known_device_and_as_an_unknown_one(scene: Scene) -> None:
    heard = set()

    def logs_in(key: bytes) -> Ask:
        login = control.Login(device_key=key, signature=b"s" * 64).encode()

        async def ask() -> float:
            async with dial(scene.relay.url) as peer:
                await peer.hello(Mode.DEVICE)
                began = time.perf_counter()
                await peer.websocket.send(login)
                said = await peer.websocket.recv()
                code = await peer.close_code()
                heard.add((said, code))
                return time.perf_counter() - began

        return ask

    await assert_equal_time(logs_in(scene.bob.device.key), logs_in(Device().key), rounds=80)
    assert len(heard) == 1


def apart(times: Mapping[str, Sequence[float]], seed: int = 1) -> str | None:
    """Who is told from all others by the time, if anybody is.

    All were asked once in each round, in a random order, so if none differs every exchange of times within
    rounds was as likely. The mean rank of the one that lies furthest from the middle is held against
    `SHUFFLES` such exchanges: it counts if none of them comes as far, and its size has to be worth having.
    """
    names, rounds = list(times), [list(each) for each in zip(*times.values(), strict=True)]
    ranks = [[sorted(each).index(value) for value in each] for each in rounds]

    def furthest(rows: Sequence[Sequence[int]]) -> tuple[float, int]:
        middle = (len(names) - 1) / 2 * len(rows)
        return max((abs(sum(column) - middle), at) for at, column in enumerate(zip(*rows, strict=True)))

    seen, who = furthest(ranks)
    dice = random.Random(seed)
    if any(furthest([dice.sample(row, len(row)) for row in ranks])[0] >= seen for _ in range(SHUFFLES)):
        return None
    others = [value for name in names if name != names[who] for value in times[name]]
    difference = statistics.median(times[names[who]]) - statistics.median(others)
    return f"{names[who]} by {difference * 1e6:.0f} us" if abs(difference) > MEDIAN else None


async def ask_all(asks: Mapping[str, Ask], rounds: int) -> dict[str, list[float]]:
    """One question to each in every round, in an order that is drawn anew."""
    dice, times = random.Random(2), {name: list[float]() for name in asks}
    for number in range(rounds + 5):
        for name in dice.sample(list(asks), len(asks)):
            took = await asks[name]()
            if number >= 5:
                times[name].append(took)
    return times


@pytest.mark.parametrize("take", [False, True])
async def test_a_fetch_shows_by_its_time_nothing_of_how_the_account_is(
    relay: RelayProcess, take: bool
) -> None:
    """Whoever it is: away, connected, seen or not, without a token for anybody, with prekeys or without."""
    async with conditions(relay.url) as found, submitting(relay.url) as peer:
        names = [name for name in found.accounts if name != "unpublished"]  # has no keys to show
        asks_of = {
            name: asks(peer, control.Fetch(ref=1, account_key=found.accounts[name].key, take=take))
            for name in names
        }
        who = apart(await ask_all(asks_of, FETCHES))
        if who is not None:  # the machine may have been busy with something else
            who = apart(await ask_all(asks_of, FETCHES))
    assert who is None


async def test_a_take_that_finds_a_prekey_and_one_that_finds_none(relay: RelayProcess) -> None:
    """The taker sees which it was; whoever looks on does not."""
    bob, bert, carol, ref = Account(), Account(), Account(), 7
    for account, pages in ((bob, 10), (bert, 10), (carol, 0)):
        async with logged_in(relay.url, account, pull=False) as device:
            await device.publish(account.device, 0)
            for page in range(pages):
                prekeys = account.device.one_time(1 + 20 * page, 20)
                encoded = [prekey.encode() for prekey in prekeys]
                await device.send(control.Publish(ref=ref, prekeys=encoded))
                await device.next(control.Published)
    async with submitting(relay.url) as peer:
        some, more, none = (
            asks(peer, control.Fetch(ref=1, account_key=who.key, take=True)) for who in (bob, bert, carol)
        )
        found = await compare(some, none, TAKES)
        if found.tells:  # a second look here too, at a stock that is not used up
            found = await compare(more, none, TAKES)
    assert not found.tells, found


def test_control_one_that_is_half_a_millisecond_later_is_found_and_chance_is_not() -> None:
    dice = random.Random(3)
    times = {name: [dice.gauss(0.002, 0.0008) for _ in range(FETCHES)] for name in "abcdefg"}
    assert apart(times) is None
    times["c"] = [value + 0.0005 for value in times["c"]]
    found = apart(times)
    assert found is not None
    assert found.startswith("c by ")


async def test_control_half_a_millisecond_would_be_seen(scene: Scene) -> None:
    """Where a busy machine scatters the answers by more than that, twice as much as it does."""
    quick = asks(scene.peer, control.Watch(ref=1, capability=bytes(32)))
    low, _, high = statistics.quantiles([await quick() for _ in range(ROUNDS)])
    delay = max(0.0005, 2 * (high - low))

    async def slow() -> float:
        return await quick() + delay  # not spent computing, which would make the next answer later, too

    assert (await compare(quick, slow)).tells


async def test_control_it_is_told_from_chance_where_answers_scatter_by_more() -> None:
    dice = random.Random(4)

    def takes(seconds: float) -> Ask:
        async def ask() -> float:
            return dice.gauss(seconds, 0.0008)

        return ask

    assert (await compare(takes(0.002), takes(0.0025))).tells
    assert not (await compare(takes(0.002), takes(0.002))).tells


async def test_what_differs_by_nature_differs(scene: Scene) -> None:
    """Of whoever has an address it is no secret that the account exists: docs/threat-model.md says so."""
    known, unknown = (
        control.Fetch(ref=1, account_key=key, take=False) for key in (scene.bob.key, os.urandom(32))
    )
    assert await answer(scene.peer, known) != await answer(scene.peer, unknown)
