"""Events for whoever looks on: presence, typing, marks and requests, of real clients at a real relay."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from clients import watching as watching_module
from clients.messenger import Messenger
from clients.model import Contact, Message, MessageStatus, Sharing
from clients.watching import ContactEvent, Event, MessageEvent, Resync, StateEvent, Watch
from tests.clients.test_messenger import WITHIN, people, text
from tests.support.relay_process import RelayProcess


async def until(events: Watch, wanted: Callable[[Event], bool]) -> Event:
    """The next event of that kind; those before it are passed over."""
    async with asyncio.timeout(WITHIN):
        async for event in events:
            if wanted(event):
                return event
    raise AssertionError


def contact_is(look: Callable[[Contact], bool]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, ContactEvent) and look(event.contact)


def message_is(look: Callable[[Message], bool]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, MessageEvent) and look(event.message)


async def talk(one: Messenger, other: Messenger) -> None:
    """Both have heard each other, and so hold each other's card."""
    first = await one.send("bob", "hello")
    assert await text(other) == "hello"
    await other.send("alice", "hello back")
    assert await text(one) == "hello back"
    assert await one.wait(first, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
    assert await one.flushed(WITHIN)
    assert await other.flushed(WITHIN)


async def test_presence_comes_and_goes_with_the_contact(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
    async with Messenger.open(tmp_path / "alice") as alice, alice.watch("bob") as events:
        await until(events, contact_is(lambda bob: bob.online is False))
        async with Messenger.open(tmp_path / "bob"):
            await until(events, contact_is(lambda bob: bob.online is True))
        await until(events, contact_is(lambda bob: bob.online is False))


async def test_whoever_is_invisible_looks_like_whoever_is_away(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
        async with alice.watch("bob") as events:
            await until(events, contact_is(lambda bob: bob.online is True))
            bob.contacts.share_with_all(Sharing(presence=False))
            await until(events, contact_is(lambda bob: bob.online is not True))
            bob.contacts.share_with_all(Sharing(presence=True))
            await until(events, contact_is(lambda bob: bob.online is True))


async def test_a_contact_that_may_not_see_us_any_more_does_not(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
        async with alice.watch("bob") as events:
            await until(events, contact_is(lambda bob: bob.online is True))
            bob.contacts.share("alice", Sharing(presence=False))
            await until(events, contact_is(lambda bob: bob.online is None))


async def test_typing_is_shown_until_the_message_comes(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
        async with alice.watch("bob") as near, bob.watch("alice") as events:
            await until(near, contact_is(lambda bob: bob.online is True))
            await alice.typing("bob")
            await until(events, contact_is(lambda alice: alice.typing))
            await alice.send("bob", "there it is")
            await until(events, message_is(lambda message: message.text == "there it is"))
            await until(events, contact_is(lambda alice: not alice.typing))


async def test_typing_ends_by_itself(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "TYPING_FOR", 0.2)
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
        async with alice.watch("bob") as near, bob.watch() as events:
            await until(near, contact_is(lambda bob: bob.online is True))
            await alice.typing("bob")
            await until(events, contact_is(lambda alice: alice.typing))
            await until(events, contact_is(lambda alice: not alice.typing))


async def test_marks_of_a_message_go_up_to_read(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
        async with alice.watch() as events:
            sent = await alice.send("bob", "mark me")
            await until(events, message_is(lambda m: m.id == sent and m.status is MessageStatus.DELIVERED))
            bob.mark_read("alice")
            await until(events, message_is(lambda m: m.id == sent and m.status is MessageStatus.READ))
        assert bob.contacts.named("alice").unread == 0


async def test_what_was_read_on_the_screen_is_not_given_to_a_listener_again(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, bob):
        await talk(alice, bob)
    async with Messenger.open(tmp_path / "alice") as alice, Messenger.open(tmp_path / "bob") as bob:
        async with bob.watch() as events:
            await alice.send("bob", "seen in the chat")
            await until(events, message_is(lambda m: m.text == "seen in the chat"))
        bob.mark_read("alice")
        assert await bob.receive(0) is None


async def test_a_request_appears_and_the_user_decides(tmp_path: Path, relay: RelayProcess) -> None:
    async with (
        Messenger.open(tmp_path / "stranger", relay=relay.origin) as stranger,
        Messenger.open(tmp_path / "bob", relay=relay.origin) as bob,
    ):
        assert await bob.connected(WITHIN)
        assert await stranger.connected(WITHIN)
        stranger.contacts.set_display_name("Stranger")
        stranger.contacts.add("bob", bob.bare_address)
        async with bob.watch() as events:
            sent = await stranger.send("bob", "you do not know me")
            assert await stranger.wait(sent, MessageStatus.ACCEPTED, WITHIN) is MessageStatus.REQUESTED
            event = await until(events, message_is(lambda m: m.text == "you do not know me"))
            assert isinstance(event, MessageEvent)
            (request,) = bob.contacts.requests()
            assert (request.display_name, event.message.contact) == ("Stranger", request.name)
            assert bob.contacts.accept(request.name).name == "Stranger"
        assert await text(bob) == "you do not know me"
        assert await stranger.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED
        # Bob's card came with his acceptance: from now on the stranger is none.
        await bob.send("Stranger", "hello")
        second = await _after(stranger, bob)
        assert second is MessageStatus.ACCEPTED


async def _after(stranger: Messenger, bob: Messenger) -> MessageStatus:
    assert await text(stranger) == "hello"
    sent = await stranger.send("bob", "now you do")
    for status in (MessageStatus.ACCEPTED, MessageStatus.DELIVERED):
        found = await stranger.wait(sent, status, WITHIN)
        assert found is not MessageStatus.REQUESTED
    return MessageStatus.ACCEPTED


async def test_whoever_has_the_line_is_no_stranger_to_the_relay(tmp_path: Path, relay: RelayProcess) -> None:
    async with (
        Messenger.open(tmp_path / "friend", relay=relay.origin) as friend,
        Messenger.open(tmp_path / "bob", relay=relay.origin) as bob,
    ):
        line = bob.address
        assert await bob.connected(WITHIN)
        friend.contacts.add("bob", line)
        sent = await friend.send("bob", "from your line")
        assert await friend.wait(sent, MessageStatus.ACCEPTED, WITHIN) is MessageStatus.ACCEPTED
        bob.renew_address()
        assert bob.address.text != line.text
        async with Messenger.open(tmp_path / "late", relay=relay.origin) as late:
            late.contacts.add("bob", line)
            for _ in range(50):  # the relay hears of the renewal a moment later
                sent = await late.send("bob", "from your old line")
                if await late.wait(sent, MessageStatus.ACCEPTED, WITHIN) is MessageStatus.REQUESTED:
                    return
        raise AssertionError("a renewed line still lets people in")


async def test_a_blocked_contact_is_a_stranger_to_the_relay_and_heard_by_nobody(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with people(tmp_path, relay, "alice", "bob", "carol") as (alice, bob, carol):
        await talk(alice, bob)
        await carol.send("bob", "I am a friend")
        assert await text(bob) == "I am a friend"
        await bob.send("carol", "so you are")
        assert await text(carol) == "so you are"
        bob.contacts.block("alice")
        assert await bob.flushed(WITHIN)
        for _ in range(50):
            sent = await alice.send("bob", "unheard")
            if await alice.wait(sent, MessageStatus.ACCEPTED, WITHIN) is MessageStatus.REQUESTED:
                break
        else:
            raise AssertionError("a blocked contact's token still lives")
        # The others have been told the new token, and are let in as before.
        async with asyncio.timeout(WITHIN):
            while True:
                sent = await carol.send("bob", "still a friend")
                assert await text(bob) == "still a friend"
                if await carol.wait(sent, MessageStatus.DELIVERED, WITHIN) is MessageStatus.DELIVERED:
                    break
        assert await bob.receive(0) is None


async def test_a_watch_by_name_tells_the_messages_of_one_and_who_else_has_written(
    tmp_path: Path, relay: RelayProcess
) -> None:
    async with (
        people(tmp_path, relay, "alice", "bob", "carol") as (alice, bob, carol),
        bob.watch("alice") as events,
    ):
        await carol.send("bob", "from carol")
        event = await until(events, contact_is(lambda row: row.name == "carol" and row.unread == 1))
        sent = await alice.send("bob", "from alice")
        event = await until(events, lambda event: isinstance(event, MessageEvent))
        assert isinstance(event, MessageEvent)
        assert event.message.id == sent


async def test_too_much_at_once_is_one_resync(
    tmp_path: Path, relay: RelayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "CHANGES_MAX", 5)
    async with people(tmp_path, relay, "alice", "bob") as (alice, _), alice.watch() as events:
        for number in range(7):
            await alice.send("bob", str(number))
        await until(events, lambda event: isinstance(event, Resync))


async def test_a_removed_contact_means_to_look_again(tmp_path: Path, relay: RelayProcess) -> None:
    async with people(tmp_path, relay, "alice", "bob") as (alice, _), alice.watch() as events:
        alice.contacts.remove("bob")
        await until(events, lambda event: isinstance(event, Resync))


async def test_the_state_is_told_first_and_when_it_changes(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as own:
        async with Messenger.open(tmp_path / "alice", relay=own.origin) as alice, alice.watch() as events:
            await until(events, lambda event: isinstance(event, StateEvent) and event.connected)
            own.kill()
            event = await until(events, lambda event: isinstance(event, StateEvent) and not event.connected)
            assert isinstance(event, StateEvent)
            assert event.problems
