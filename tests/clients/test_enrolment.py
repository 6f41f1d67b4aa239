"""Which list a device registers: of a restore interrupted anywhere, of two at once, and at hostile relays."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clients.backup.making import back_up
from clients.backup.restoring import restore
from clients.clock import now_seconds
from clients.config import ClientConfig
from clients.connection import dial
from clients.doctor.store_look import StoreLook
from clients.enrolment import Enrolment, TakenOverError
from clients.errors import RelayError, TrustError
from clients.profile import Profile, store_key
from keys.identities import Account, Device
from tests.clients.test_messenger import people
from tests.support.fetches import relay_that_shows
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.control import Bundle, Error, Register, Registered
from wire.device_lists import DeviceList
from wire.errors import ErrorCode
from wire.limits import FORMER_PER_BUNDLE
from wire.login import Mode

PASSPHRASE = "correct horse battery staple"
NOT_FOUND = Error(code=ErrorCode.NOT_FOUND, message="no such account, or it refuses you", ref=0)


async def silent(done: int, of: int) -> None:
    """Nobody looks."""


def nobody(done: int, of: int) -> None:
    """Nobody looks."""


@pytest.fixture
async def file(tmp_path: Path, relay: RelayProcess) -> Path:
    """A backup of Alice, whose first device is registered."""
    async with people(tmp_path, relay, "alice") as (alice,):
        await back_up(alice.config, tmp_path / "backup", PASSPHRASE, silent)
    return tmp_path / "backup"


@pytest.fixture
def open_restored(tmp_path: Path, file: Path) -> Iterator[Callable[[str], Profile]]:
    """Opens a profile that was restored under a name; as often as a test likes."""
    opened: list[Profile] = []

    def open_one(name: str) -> Profile:
        for profile in [found for found in opened if found.path.name == name]:
            opened.remove(profile)
            profile.close()
        config = ClientConfig(tmp_path / name)
        if not config.profile.exists():
            restore(config, file, PASSPHRASE, None, nobody)
        opened.append(Profile.open(config))
        return opened[-1]

    yield open_one
    for profile in opened:
        profile.close()


def enrolment(profile: Profile) -> Enrolment:
    return Enrolment(profile, os.urandom)


async def register(profile: Profile, devices: DeviceList) -> None:
    async with dial(profile.relay, Mode.DEVICE, None, os.urandom) as connection:
        await connection.log_in(profile.device)
        await connection.send(Register(ref=0, device_list=devices.encode()))
        await connection.expect(Registered)


# --- interrupted, and at once ------------------------------------------------------------------------


async def test_a_restore_that_was_interrupted_shows_one_list_only(
    open_restored: Callable[[str], Profile],
) -> None:
    """Before the list was shown to a relay it is on disk: there is never a second one of this version."""
    profile = open_restored("again")
    former = profile.device_list
    devices = await enrolment(profile).list_to_register()
    assert (devices.version, devices.previous) == (2, former.hash())
    assert [entry.device_key for entry in devices.devices] == [profile.device.key]
    assert not profile.is_enrolled
    profile = open_restored("again")
    assert profile.is_restoring
    assert await enrolment(profile).list_to_register() == devices
    await register(profile, devices)
    profile = open_restored("again")  # it ended before it heard that the relay has it
    assert not profile.is_enrolled
    assert await enrolment(profile).list_to_register() == devices
    enrolment(profile).taken()
    assert open_restored("again").is_enrolled


async def test_of_two_restores_at_once_the_relay_takes_one(
    open_restored: Callable[[str], Profile],
) -> None:
    one, two = open_restored("one"), open_restored("two")
    lists = [await enrolment(profile).list_to_register() for profile in (one, two)]
    assert lists[0].version == lists[1].version == 2
    await register(one, lists[0])
    with pytest.raises(RelayError, match="does not follow"):
        await register(two, lists[1])
    with pytest.raises(TakenOverError, match="restored elsewhere"):
        await enrolment(two).list_to_register()
    # Again, into another profile: now the first is succeeded.
    three = open_restored("three")
    devices = await enrolment(three).list_to_register()
    assert (devices.version, devices.previous) == (3, lists[0].hash())
    # Whoever lost cannot go on behind the newest either.
    await register(three, devices)
    with pytest.raises(TakenOverError):
        await enrolment(two).list_to_register()


async def test_the_device_before_never_registers_again(
    open_restored: Callable[[str], Profile],
) -> None:
    again = open_restored("again")
    await register(again, await enrolment(again).list_to_register())
    former = open_restored("alice")
    with pytest.raises(TrustError, match="no longer in its account's device list"):
        await enrolment(former).list_to_register()
    # Nor at a relay that says it has never heard of the account: what was seen stays known.
    async with relay_that_shows(NOT_FOUND) as (url, _):
        former = open_restored("alice")
        former.relay = url
        with pytest.raises(TrustError, match="no longer in its account's device list"):
            await enrolment(former).list_to_register()
    assert not former.is_enrolled
    with StoreLook(former.path / "store.db", store_key(ClientConfig(former.path))) as look:
        contents = look.contents()  # so says `blindpost doctor`
    assert contents is not None
    assert contents.refusal is not None
    assert "restored elsewhere" in contents.refusal


async def test_a_relay_that_lost_everything_gets_the_newest_list(
    open_restored: Callable[[str], Profile],
) -> None:
    former = open_restored("alice")
    async with relay_that_shows(NOT_FOUND) as (url, _):
        former.relay = url
        assert await enrolment(former).list_to_register() == former.device_list


async def test_a_relay_that_is_two_lists_behind_takes_no_list_of_ours(
    open_restored: Callable[[str], Profile],
) -> None:
    """As docs/operations.md says of old copies: one behind is made good, two are not."""
    profile = open_restored("again")
    first = profile.device_list
    profile.keep_list(lists_after(profile.account, first, 1)[1])
    third = await enrolment(profile).list_to_register()
    assert third.version == first.version + 2
    with pytest.raises(RelayError, match="does not follow the one that is registered"):
        await register(profile, third)
    another = open_restored("another")
    await register(another, await enrolment(another).list_to_register())


# --- hostile -----------------------------------------------------------------------------------------


def bundle(devices: DeviceList, former: list[DeviceList] | None = None) -> Bundle:
    shown = None if former is None else [each.encode() for each in former[:FORMER_PER_BUNDLE]]
    return Bundle(ref=0, device_list=devices.encode(), devices=[], former=shown)


def lists_after(account: Account, first: DeviceList, count: int) -> list[DeviceList]:
    """Lists that the account has signed with some other device."""
    lists = [first]
    for _ in range(count):
        device = Device.generate(os.urandom, now_seconds())
        entries = (device.entry(account.key),)
        lists.append(account.sign_device_list(entries, now_seconds(), lists[-1]))
    return lists


@asynccontextmanager
async def at(profile: Profile, *answers: Bundle | Error) -> AsyncIterator[RelayUrl]:
    """The profile's relay shows these."""
    async with relay_that_shows(*answers) as (url, _):
        profile.relay = url
        yield url


async def test_what_does_not_hold_is_not_succeeded(open_restored: Callable[[str], Profile]) -> None:
    """Hidden, reordered and foreign lists: nothing is signed on top of them."""
    profile = open_restored("again")
    lists = lists_after(profile.account, profile.device_list, 5)
    mallory = Account.generate(os.urandom)
    foreign = lists_after(mallory, mallory.sign_device_list(lists[1].devices, 1), 4)
    for shown in (
        [bundle(lists[5])],
        [bundle(lists[5]), bundle(lists[5], [])],
        [bundle(lists[5]), bundle(lists[5], lists[2:5])],
        [bundle(lists[5]), bundle(lists[5], lists[4:0:-1])],
        [bundle(lists[5]), bundle(lists[5], foreign[1:])],
        [bundle(foreign[1])],
    ):
        async with at(profile, *shown):
            with pytest.raises(RelayError, match="does not hold"):
                await enrolment(profile).list_to_register()
        assert profile.device_list == lists[0]
    async with at(profile, bundle(lists[5]), bundle(lists[5], lists[1:5])):
        devices = await enrolment(profile).list_to_register()
    assert (devices.version, devices.previous) == (7, lists[5].hash())


async def test_a_fork_of_our_own_list_is_said_and_not_succeeded(
    open_restored: Callable[[str], Profile],
) -> None:
    profile = open_restored("again")
    account, own = profile.account, profile.device_list
    other = account.sign_device_list(lists_after(account, own, 1)[1].devices, now_seconds())
    for shown in (other, lists_after(account, other, 1)[1]):
        async with at(profile, bundle(shown)):
            with pytest.raises(TrustError, match="contradicts"):
                await enrolment(profile).list_to_register()
    assert profile.device_list == own


async def test_an_older_list_of_ours_is_succeeded_by_the_newest(
    open_restored: Callable[[str], Profile],
) -> None:
    """A relay that was put back from a copy of its store, or pretends so."""
    profile = open_restored("again")
    lists = lists_after(profile.account, profile.device_list, 2)
    for devices in lists[1:]:
        profile.keep_list(devices)
    async with at(profile, bundle(lists[0])):
        signed = await enrolment(profile).list_to_register()
    assert (signed.version, signed.previous) == (4, lists[2].hash())
