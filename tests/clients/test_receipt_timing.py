"""What the time of a receipt tells: a relay that pairs mailboxes by it, and what our clients let it see.

The relay of the simulation sees what any relay sees: when it handed a frame over, and when somebody put one
into which mailbox. It guesses whom each recipient talks to: the mailbox into which something was put soon
afterwards most often (a statistical disclosure attack, as Martiny and others showed for Signal in 2021).
"""

import asyncio
import os
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clients import delays as delays_module
from clients.bell import Bell
from clients.delays import LEAST_PART, USUAL, Delays
from clients.messenger import Messenger
from clients.model import MessageStatus
from clients.senders import Senders
from clients.tasks import end
from tests.clients.test_messenger import WITHIN, people, text
from tests.support.homes import Home, converse
from tests.support.relay_process import RelayProcess

PAIRS = 200
EVERY = 30.0  # seconds between two messages of a pair, on average
PROMPT = 0.05  # seconds that a receipt takes where it does not wait


def paired(longest: float, messages: int, seed: int = 7) -> float:
    """The share of pairs that the relay has found after so many messages of each."""
    dice = random.Random(seed)
    handed: list[tuple[float, int]] = []
    put: list[tuple[float, int]] = []
    for pair in range(PAIRS):
        writer, reader = 2 * pair, 2 * pair + 1
        delays, now = Delays(dice.randbytes, lambda: longest), 0.0
        for _ in range(messages):
            now += dice.expovariate(1 / EVERY)
            while (over := delays.next) is not None and over <= now:
                delays.take(over)
                put.append((over + dice.uniform(0, PROMPT), writer))
            handed.append((now, reader))
            put.append((now, reader))
            delays.begin({1: 1}, now)
        assert delays.next is not None
        put.append((delays.next + dice.uniform(0, PROMPT), writer))
    put.sort()
    seen: dict[int, Counter[int]] = {}
    times = [at for at, _ in put]
    for at, reader in handed:
        first, last = at + longest / LEAST_PART, at + longest + PROMPT
        for number in range(bisect_right(times, first), bisect_right(times, last)):
            if put[number][1] != reader:
                seen.setdefault(reader, Counter())[put[number][1]] += 1
    guesses = {reader: counts.most_common(1)[0][0] for reader, counts in seen.items()}
    return sum(guess == reader - 1 for reader, guess in guesses.items()) / PAIRS


def test_one_message_no_longer_tells_who_talks_to_whom() -> None:
    assert paired(0.0, 1) > 0.8
    assert paired(USUAL, 1) < 0.3


def test_whoever_goes_on_talking_is_found_all_the_same() -> None:
    """What docs/threat-model.md says plainly: a delay makes it dearer, a long one by much, and no more."""
    assert paired(USUAL, 5) > 0.95
    assert paired(10 * USUAL, 5) < 0.5


# --- our clients -------------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    one, other = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(one, other)
    yield one, other
    one.close()
    other.close()


@asynccontextmanager
async def running_senders(home: Home) -> AsyncIterator[tuple[Senders, Bell]]:
    started: list[asyncio.Task[None]] = []

    def start(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        started.append(asyncio.create_task(work()))
        return started[-1]

    bell = Bell()
    senders = Senders(home.profile, home.mailroom, bell, os.urandom, lambda *_: None, start)
    start(senders.run)
    await bell.rung(WITHIN)  # what was owed before has been written
    try:
        yield senders, bell
    finally:
        await end(*started)


async def waits(alice: Home, bob: Home, messages: int) -> list[float]:
    """Seconds from each message to the receipt that bob's senders write for it."""
    loop, found = asyncio.get_running_loop(), list[float]()
    bob.mailroom.write_owed()
    alice.take_in(*bob.send(alice))
    async with running_senders(bob) as (senders, bell):
        for number in range(messages):
            alice.say(bob, f"message {number}")
            bob.take_in(*alice.send(bob))
            began = loop.time()
            senders.owed.due()
            assert await bell.until(lambda: bob.waiting(alice) or None, WITHIN)
            found.append(loop.time() - began)
            alice.take_in(*bob.send(alice))
    return found


async def test_a_receipt_of_a_client_waits_for_a_time_of_its_own(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.cards.set_longest_delay(0.4)
    found = await waits(alice, bob, 12)
    assert min(found) >= 0.05
    assert max(found) - min(found) > 0.05


async def test_control_a_client_that_wants_none_sends_them_at_once(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.cards.set_longest_delay(0)
    found = sorted(await waits(alice, bob, 12))
    assert found[6] < 0.05


async def test_one_receipt_covers_what_came_while_it_waited(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.write_owed()
    alice.take_in(*bob.send(alice))
    bob.mailroom.cards.set_longest_delay(0.5)
    said = []
    async with running_senders(bob) as (senders, bell):
        for number in range(5):
            said.append(alice.say(bob, f"message {number}"))
            bob.take_in(*alice.send(bob))
            senders.owed.due()
            await asyncio.sleep(0)
        assert await bell.until(lambda: bob.waiting(alice) or None, WITHIN)
    assert len(bob.waiting(alice)) == 1
    alice.take_in(*bob.send(alice))
    assert {alice.mailroom.history.status(each) for each in said} == {MessageStatus.DELIVERED}


async def test_a_flood_does_not_wait_for_the_end_of_a_delay(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    bob.mailroom.cards.set_longest_delay(60)
    async with running_senders(bob) as (senders, bell):
        for number in range(delays_module.AT_ONCE):
            alice.say(bob, str(number))
        bob.take_in(*alice.send(bob))
        senders.owed.due()
        assert await bell.until(lambda: bob.waiting(alice) or None, WITHIN)


async def test_an_ending_client_waits_for_no_delay_and_leaves_no_receipt_behind(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice") as (alice,):
        async with Messenger.open(tmp_path / "bob", relay=relay.origin) as bob:
            bob.contacts.set_longest_delay(60)
            bob.contacts.add("alice", alice.address)
            alice.contacts.add("bob", bob.address)
            sent = await alice.send("bob", "hello")
            assert await text(bob) == "hello"
            assert alice.status(sent)[0] is not MessageStatus.DELIVERED
            began = asyncio.get_running_loop().time()
            assert await bob.flushed(WITHIN)
            assert asyncio.get_running_loop().time() - began < 5
        assert await alice.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED


async def test_what_a_client_owed_when_it_ended_goes_out_as_soon_as_it_comes_back(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice") as (alice,):
        async with Messenger.open(tmp_path / "bob", relay=relay.origin) as bob:
            bob.contacts.set_longest_delay(60)
            bob.contacts.add("alice", alice.address)
            alice.contacts.add("bob", bob.address)
            sent = await alice.send("bob", "hello")
            assert await text(bob) == "hello"
        assert alice.status(sent)[0] is not MessageStatus.DELIVERED
        async with Messenger.open(tmp_path / "bob"):
            assert await alice.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
