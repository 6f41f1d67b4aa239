"""How an account stands at its relay: invites kept until they are spent, refusals, a full mailbox."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from clients.config import ClientConfig
from clients.errors import UsageError
from clients.messenger import Messenger
from clients.profile import Profile
from clients.relay_choice import change
from clients.standing import Standing, keep_invite, last_refusal
from clients.store.pins import Pins
from tests.clients.test_messenger import WITHIN, text
from tests.support.relay_process import RelayProcess, running_relay
from wire.addresses import Address, RelayUrl
from wire.control import Error, Stock, Welcome
from wire.errors import ErrorCode
from wire.invites import invite_text

RELAY = RelayUrl.parse("ws://127.0.0.1:9")
INVITE = invite_text(b"sixteen bytes...")
DAY = 86_400


def made(relay: RelayProcess, *arguments: str) -> str:
    """An invite, as the operator makes it."""
    done = subprocess.run(
        [sys.executable, "-m", "relay", "invite", "--data-directory", str(relay.data_dir), *arguments],
        check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def config(tmp_path: Path) -> ClientConfig:
    return ClientConfig(tmp_path / "alice")


# --- at a real relay -----------------------------------------------------------------------------------


async def test_a_friend_gets_in_and_the_invite_is_forgotten(tmp_path: Path) -> None:
    with running_relay(tmp_path, registration="invite") as relay:
        invite = made(relay)
        async with Messenger.open(tmp_path / "alice", relay=relay.origin, invite=invite) as alice:
            assert await alice.connected(WITHIN)
            assert (alice.refusal, alice.problems()) == (None, [])
            assert alice._profile.store.meta("invite") is None
        async with Messenger.open(tmp_path / "bob", relay=relay.origin, invite=invite) as bob:
            assert not await bob.connected(WITHIN)
            assert bob.refusal is not None
            assert "ask the relay's operator for another one" in bob.refusal
            assert bob.problems() == [bob.refusal]
        # The same profile and account, later, with an invite that holds.
        async with Messenger.open(tmp_path / "bob", invite=made(relay)) as bob:
            assert await bob.connected(WITHIN)
            assert last_refusal(bob._profile.store) is None
        async with Messenger.open(tmp_path / "bob") as bob:
            assert await bob.connected(WITHIN)


async def test_an_account_without_an_invite_is_told_to_get_one_and_goes_on_trying(tmp_path: Path) -> None:
    with running_relay(tmp_path, registration="invite") as relay:
        async with Messenger.open(tmp_path / "alice", relay=relay.origin) as alice:
            assert not await alice.connected(WITHIN)
            assert alice.problems() == [
                "The relay does not register this account: this relay wants an invite; ask its operator for "
                "one. With an invite: blindpost init --invite TOKEN"
            ]
            relay.settings = {}
            relay.restart()
            async with alice.watch() as changes:
                while not alice.is_connected:
                    await anext(changes)
            assert (alice.refusal, alice.problems()) == (None, [])


async def test_a_listed_account_gets_in_as_soon_as_it_is_listed(tmp_path: Path) -> None:
    friends = tmp_path / "friends"
    friends.touch()
    with running_relay(tmp_path, registration="allow-list", allow_list=friends) as relay:
        async with Messenger.open(tmp_path / "alice", relay=relay.origin) as alice:
            assert not await alice.connected(WITHIN)
            assert alice.refusal is not None
            assert alice.refusal.endswith("Your address: blindpost address --bare")
            friends.write_text(f"{alice.bare_address.text}\n")
            async with alice.watch() as changes:
                while not alice.is_connected:
                    await anext(changes)


async def test_a_full_mailbox_is_told_to_its_owner_once(tmp_path: Path) -> None:
    with running_relay(tmp_path, mailbox_frames=2) as relay:
        async with (
            Messenger.open(tmp_path / "alice", relay=relay.origin) as alice,
            Messenger.open(tmp_path / "bob", relay=relay.origin) as bob,
        ):
            assert await bob.connected(WITHIN)
            alice.contacts.add("bob", bob.address)
            bob.contacts.add("alice", alice.address)
        async with Messenger.open(tmp_path / "alice") as alice:
            for number in range(3):
                await alice.send("bob", str(number))
            while not any("full" in problem for problem in alice.problems()):
                await alice._bell.rung(WITHIN)
        async with Messenger.open(tmp_path / "bob") as bob:
            assert await text(bob) == "0"
            (told,) = bob.problems()
        found = re.fullmatch(r"Your mailbox at the relay was full on (.{16}): senders had to wait\.", told)
        assert found is not None
        assert abs(datetime.strptime(found[1], "%Y-%m-%d %H:%M").timestamp() - time.time()) < 120  # noqa: DTZ007 as shown
        async with Messenger.open(tmp_path / "bob") as bob:
            assert await bob.connected(WITHIN)
            assert bob.problems() == []


# --- what a profile keeps ------------------------------------------------------------------------------


def test_an_invite_that_is_none_is_refused_before_anything_is_made(config: ClientConfig) -> None:
    for wrong in (INVITE[:-1], INVITE[:-1] + "q", "bp1" + INVITE[9:], ""):
        with pytest.raises(UsageError, match=r"^Invite: .*as the relay's operator gave it\.$") as refused:
            Profile.create(replace(config, invite=wrong), RELAY, 1)
        assert wrong not in str(refused.value) or not wrong
    assert not config.profile.exists()


def test_neither_configuration_nor_profile_show_an_invite(config: ClientConfig) -> None:
    config = replace(config, invite=INVITE)
    profile = Profile.create(config, RELAY, 1)
    try:
        assert profile.store.meta("invite") == b"sixteen bytes..."
        assert INVITE not in f"{config} {profile}"
        assert "sixteen" not in f"{config} {profile}"
    finally:
        profile.close()


def test_another_relay_does_not_get_the_invite_of_the_first(config: ClientConfig) -> None:
    profile = Profile.create(replace(config, invite=INVITE), RELAY, 1)
    try:
        assert "still uses" in change(profile, RELAY, None)
        assert profile.store.meta("invite") is not None
        change(profile, RelayUrl.parse("ws://127.0.0.1:8"), None)
        assert profile.store.meta("invite") is None
    finally:
        profile.close()


def test_who_was_refused_may_go_elsewhere_and_who_was_not_stays(config: ClientConfig) -> None:
    other = RelayUrl.parse("ws://127.0.0.1:8")
    profile = Profile.create(config, RELAY, 1)
    try:
        Pins(profile.store).keep(RELAY, bytes(32))
        with pytest.raises(UsageError, match="For another relay, make another profile"):
            change(profile, other, None)
        Standing(profile.store).refused(refusal("invite"))
        assert "uses 127.0.0.1:8 now" in change(profile, other, None)
    finally:
        profile.close()


def refusal(field: str) -> Error:
    return Error(code=ErrorCode.REGISTRATION_REFUSED, message="not you", field=field)


def welcome(expired: int = 0, full_at: int | None = None) -> Welcome:
    stock = Stock(one_time=0, one_time_kem=0)
    return Welcome(signature=bytes(64), registered=True, expired=expired, stock=stock, full_at=full_at)


def test_news_of_a_login_are_told_once_and_nonsense_never(config: ClientConfig) -> None:
    profile = Profile.create(config, RELAY, 1)
    now = int(time.time())

    def told(*said: Welcome) -> int:
        standing = Standing(profile.store)
        for one in said:
            standing.welcomed(one)
        return len(standing.notices)

    try:
        assert told(welcome(), welcome(full_at=now + 2 * DAY), welcome(full_at=2**63 - 1)) == 0
        assert told(welcome(expired=3, full_at=now)) == 2
        assert told(welcome(expired=3, full_at=now), welcome(expired=2)) == 0
        assert told(welcome(expired=4), welcome(full_at=now + 3600)) == 2
        assert told(welcome(full_at=0), welcome(full_at=0)) == 1
    finally:
        profile.close()


def test_an_invite_may_be_put_away(config: ClientConfig) -> None:
    profile = Profile.create(config, RELAY, 1)
    try:
        for invite, kept in ((INVITE, b"sixteen bytes..."), (None, None), (None, None)):
            keep_invite(profile.store, invite)
            assert Standing(profile.store).invite == kept
        with pytest.raises(UsageError):
            keep_invite(profile.store, Address(bytes(32)).text)
    finally:
        profile.close()
