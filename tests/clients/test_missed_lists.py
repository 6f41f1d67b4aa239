"""A device list has changed more than once since we looked: no alarm, nothing lost, no fork believed."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clients.clock import now_seconds
from clients.connection import RelayConnection, dial
from clients.errors import TrustError
from clients.messenger import Messenger
from clients.missed_lists import missed_lists
from clients.model import MessageStatus
from clients.store import outbox as outbox_module
from keys.errors import VerificationError
from keys.identities import Device
from tests.clients.test_messenger import WITHIN, people, text
from tests.support.fetches import relay_that_shows
from tests.support.homes import Home, converse
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.control import (
    Bundle,
    Fetch,
    Register,
    Registered,
)
from wire.device_lists import DeviceList, decode_device_list
from wire.limits import FORMER_LISTS, FORMER_PER_BUNDLE
from wire.login import Mode


def next_list(home: Home, before: DeviceList) -> DeviceList:
    """The home's device stays, a phone comes or goes."""
    account = home.profile.account
    phone = Device.generate(os.urandom, now_seconds())
    entries = (home.profile.device.entry(account.key), phone.entry(account.key))
    return account.sign_device_list(entries[: 1 + before.version % 2], now_seconds(), before)


def advance(home: Home, count: int) -> list[DeviceList]:
    """The home's list changes that often; all of its lists, from the one before on."""
    lists = [home.profile.device_list]
    for _ in range(count):
        lists.append(next_list(home, lists[-1]))
        home.profile.keep_list(lists[-1])
    return lists


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    """Alice knows Bob's first list; Bob's opening shows a later one."""
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    alice.meet(bob)
    yield alice, bob
    alice.close()
    bob.close()


def open_to(bob: Home, alice: Home, *texts: str) -> None:
    """Bob begins a session, and Alice gets what he says."""
    bob.meet(alice)
    for words in texts:
        bob.say(alice, words)
    for put in bob.send(alice):
        alice.take_in(put)


# --- an opening that is ahead ------------------------------------------------------------------------


def test_an_opening_that_is_ahead_waits_for_the_lists_between(homes: tuple[Home, Home]) -> None:
    alice, bob = homes
    lists = advance(bob, 4)
    open_to(bob, alice, "one", "two")
    assert alice.texts() == []
    assert alice.contact(bob).alarm is None
    assert alice.mailroom.undecryptable == 0
    assert alice.mailroom.needs_refresh(alice.contact(bob))
    assert alice.mailroom.write_owed()
    assert alice.mailroom.contacts_waiting() == [alice.contact(bob).id]
    alice.reopen()
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), lists[1:-1], begin=False)
    assert alice.texts() == ["one", "two"]
    assert alice.contact(bob).devices == lists[-1]
    alice.mailroom.seal_waiting(alice.contact(bob).id)
    assert alice.mailroom.outbox.take_deferred(alice.contact(bob).id) == []
    assert not alice.mailroom.contacts.all_due()


@pytest.mark.parametrize("shown", ["nothing", "one is missing", "another order", "another's"])
def test_a_relay_that_does_not_show_the_lists_between_is_not_believed_and_nothing_is_lost(
    shown: str, homes: tuple[Home, Home], tmp_path: Path
) -> None:
    alice, bob = homes
    lists = advance(bob, 5)
    open_to(bob, alice, "hello")
    mallory = Home(tmp_path, "mallory")
    between = {
        "nothing": [],
        "one is missing": [lists[1], lists[2], lists[4]],
        "another order": lists[4:0:-1],
        "another's": advance(mallory, 4)[1:],
    }[shown]
    mallory.close()
    with pytest.raises(VerificationError):
        alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), between, begin=False)
    assert alice.contact(bob).alarm is None
    assert alice.contact(bob).devices == lists[0]
    assert alice.texts() == []
    assert alice.mailroom.needs_refresh(alice.contact(bob))  # nothing is sent before
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), lists[1:-1], begin=False)
    assert alice.texts() == ["hello"]


def test_a_fork_among_the_lists_between_is_an_alarm(homes: tuple[Home, Home]) -> None:
    """The account itself has signed two successors of one list: nobody else can."""
    alice, bob = homes
    other = next_list(bob, bob.profile.device_list)
    lists = advance(bob, 3)
    open_to(bob, alice, "hello")
    with pytest.raises(TrustError, match="Nothing was sent"):
        alice.mailroom.learn_bundle(
            alice.contact(bob), bob.bundle(one_time=False), [other, lists[2]], begin=False
        )
    assert alice.contact(bob).alarm is not None
    assert alice.contact(bob).devices == lists[0]
    assert alice.texts() == []


def test_openings_that_wait_are_bounded(homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "DEFERRED_MAX", 3)
    alice, bob = homes
    lists = advance(bob, 3)
    open_to(bob, alice, *"123456")
    assert alice.mailroom.undecryptable == 4  # his card came first
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), lists[1:-1], begin=False)
    assert alice.texts() == ["1", "2"]


def test_a_stranger_whose_list_is_ahead_is_met_anew(homes: tuple[Home, Home]) -> None:
    """Nobody is asked on behalf of a stranger, so its request would never be seen."""
    alice, bob = homes
    alice.mailroom.contacts.remove(alice.contact(bob))
    advance(bob, 3)
    open_to(bob, alice, "it is me, with another telephone")
    assert alice.mailroom.undecryptable == 0
    assert [contact.name[:8] for contact in alice.mailroom.contacts.all()] == ["request-"]
    alice.add(bob)
    assert alice.texts() == ["it is me, with another telephone"]
    assert not alice.mailroom.contacts.all_due()


def test_a_list_that_a_message_names_is_waited_for_however_often_an_older_one_is_shown(
    tmp_path: Path,
) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    older = bob.bundle(one_time=False)
    lists = advance(bob, 2)
    bob.say(alice, "I have another list")
    alice.take_in(*bob.send(alice))
    assert alice.texts() == ["I have another list"]
    for shown in (older, older, older.model_copy(update={"device_list": lists[1].encode()})):
        alice.mailroom.learn_bundle(alice.contact(bob), shown, begin=False)
        assert alice.mailroom.needs_refresh(alice.contact(bob))
        alice.reopen()
    alice.say(bob, "waits")
    assert alice.waiting(bob) == []
    alice.mailroom.learn_bundle(alice.contact(bob), bob.bundle(one_time=False), begin=False)
    assert not alice.mailroom.needs_refresh(alice.contact(bob))
    alice.close()
    bob.close()


# --- at a relay --------------------------------------------------------------------------------------


async def test_a_relay_that_hides_a_newer_list_is_said_to(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "before")
        assert await text(bob) == "before"
        known = alice._mailroom.contacts.named("bob")
        with alice._profile.store.transaction():
            alice._mailroom.contacts.expect_list(known.account_key, 3)
        await alice.send("bob", "after")
        async with asyncio.timeout(WITHIN):
            while not any("newer device list than the relay shows" in said for said in alice.problems()):
                await alice._bell.rung(WITHIN)


async def register(connection: RelayConnection, devices: DeviceList) -> None:
    await connection.send(Register(ref=0, device_list=devices.encode()))
    await connection.expect(Registered)


async def change_lists(home: Home, relay: RelayProcess, count: int) -> None:
    """The home's device registers that many lists, one after the other."""
    url = RelayUrl.parse(relay.origin)
    async with dial(url, Mode.DEVICE, None, os.urandom) as connection:
        await connection.log_in(home.profile.device)
        for devices in advance(home, count)[1:]:
            await register(connection, devices)


@pytest.mark.parametrize("count", [2, FORMER_PER_BUNDLE + 4, FORMER_LISTS])
async def test_a_contact_who_missed_many_lists_writes_and_is_written_to(
    count: int, tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "before")
        assert await text(bob) == "before"
        await bob.receive(0)
        assert await bob.flushed(WITHIN)
    home = Home(tmp_path, "bob")
    await change_lists(home, relay, count)
    home.close()
    async with Messenger.open(tmp_path / "alice") as alice:
        sent = await alice.send("bob", "after")
        assert await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN) is MessageStatus.ACCEPTED
        assert alice.problems() == []
        async with Messenger.open(tmp_path / "bob") as bob:
            assert await text(bob) == "after"
            await bob.send("alice", "and back")
            assert await text(alice) == "and back"


async def test_an_opening_that_is_ahead_makes_the_recipient_ask_and_be_heard(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await alice.send("bob", "before")
        assert await text(bob) == "before"
        await bob.receive(0)
        assert await bob.flushed(WITHIN)
    home = Home(tmp_path, "bob")
    await change_lists(home, relay, 4)
    with home.profile.store.transaction() as db:
        db.execute("UPDATE devices SET sessions = NULL")  # he begins anew
    home.close()
    async with Messenger.open(tmp_path / "alice") as alice, Messenger.open(tmp_path / "bob") as bob:
        sent = await bob.send("alice", "from my new list")
        assert await text(alice) == "from my new list"
        await alice.receive(0)
        assert await bob.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
        assert alice.problems() == []


@asynccontextmanager
async def relay_of(bundles: list[Bundle]) -> AsyncIterator[tuple[RelayConnection, list[Fetch]]]:
    """A connection to a relay that answers fetches with these, the last one for ever."""
    async with (
        relay_that_shows(*bundles) as (url, asked),
        dial(url, Mode.SUBMIT, None, os.urandom) as connection,
        asyncio.timeout(WITHIN),
    ):
        yield connection, asked


async def test_a_relay_that_repeats_itself_is_not_asked_for_ever(homes: tuple[Home, Home]) -> None:
    _, bob = homes
    lists = advance(bob, 9)

    def bundle(former: list[DeviceList] | None) -> Bundle:
        shown = None if former is None else [each.encode() for each in former]
        return Bundle(ref=0, device_list=lists[-1].encode(), devices=[], former=shown)

    async with relay_of([bundle(lists[1:3])]) as (connection, asked):
        assert await missed_lists(connection, lists[0], bundle(None)) == lists[1:3]
        assert [fetch.since for fetch in asked] == [1, 3]
    async with relay_of([bundle([each]) for each in lists[1:]]) as (connection, asked):
        assert await missed_lists(connection, lists[0], bundle(None)) == lists[1:4]
        assert not any(fetch.take for fetch in asked)
    for answer in (bundle(None), bundle([])):
        async with relay_of([answer]) as (connection, asked):
            assert await missed_lists(connection, lists[0], bundle(None)) == []
            assert len(asked) == 1
    for known in (None, lists[-1], lists[-2]):
        async with relay_of([]) as (connection, asked):
            assert await missed_lists(connection, known, bundle(None)) == []
            assert asked == []
    assert decode_device_list(bundle(None).device_list) == lists[-1]
