"""Removing or blocking somebody takes back what was given, and loses nothing that others write meanwhile.

Real clients at a real relay, of which is seen what it delivers, and how marked. Bob is to go; Carol and Dave
stay, and write with the token from before: ahead of the rotation, during it, and while Alice is away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from clients.config import ClientConfig
from clients.messenger import Messenger
from clients.model import ContactStatus, MessageStatus
from clients.watching import ContactEvent
from tests.attacks.stage import Person, Stage
from tests.relay.conditions import unread
from tests.relay.peers import submitting
from wire.control import Presence, Watch
from wire.frames import FLAG_REQUEST, Deliver

Going = Literal["remove", "block"]
OTHERS = ("carol", "dave")


class Town:
    def __init__(self, stage: Stage, alice: Person, others: dict[str, Person]) -> None:
        self.stage, self.alice, self.others = stage, alice, others
        self.relay = stage.relays[0]
        self.said: dict[str, list[str]] = {name: [] for name in others}

    async def say(self, name: str, text: str) -> bytes:
        """Somebody writes to Alice; the id, once the relay has the message."""
        one = self.others[name]
        sent = await one.send("alice", text)
        self.said[name].append(text)
        await self.stage.until(lambda: one.status(sent)[0] is not MessageStatus.QUEUED or None)
        return sent

    async def all_have_come(self) -> None:
        """Everything that the others wrote is in Alice's history, in their order."""

        def look() -> bool | None:
            return all(self.alice.texts(self.others[name]) == self.said[name] for name in OTHERS) or None

        await self.stage.until(look)

    def marked(self) -> list[Deliver]:
        """What the relay has delivered to Alice as a stranger's."""
        delivered = self.relay.meddler.delivered
        return [
            frame for frame in delivered if frame.mailbox == self.alice.mailbox and frame.flags & FLAG_REQUEST
        ]

    async def as_friend(self, name: str) -> None:
        """Somebody who stays has been told the new token, and is let in by it."""
        one = self.others[name]
        token = self.alice.mailroom.cards.current(0).token
        await self.stage.until(lambda: one.contact(self.alice).token == token or None)
        sent = await self.say(name, "by the new token")
        assert one.status(sent)[0].is_at_least(MessageStatus.ACCEPTED)
        assert one.status(sent)[0] is not MessageStatus.REQUESTED


@asynccontextmanager
async def town(directory: Path) -> AsyncIterator[Town]:
    async with Stage(directory) as stage:
        relay = await stage.relay()
        alice = await stage.person("alice", relay)
        others = {name: await stage.person(name, relay) for name in ("bob", *OTHERS)}
        made = Town(stage, alice, others)
        for name, other in others.items():
            stage.acquaint(alice, other)
            await made.say(name, "hello")
            await stage.until(lambda other=other: alice.texts(other) or None)  # type: ignore[misc]
            await stage.says(alice, other, "hello back")
        for each in (alice, *others.values()):
            await each.flushed(20)
        yield made


def goes(book: Messenger, how: Going) -> None:
    if how == "remove":
        book.contacts.remove("bob")
    else:
        book.contacts.block("bob")


@pytest.mark.parametrize("how", ["remove", "block"])
async def test_the_others_go_on_writing_while_somebody_goes(tmp_path: Path, how: Going) -> None:
    async with town(tmp_path) as here:
        before = {name: here.others[name].contact(here.alice).token for name in OTHERS}
        is_half_way = asyncio.Event()

        async def writes(name: str) -> None:
            for number in range(8):
                await here.say(name, f"{number}")
                if number == 3:
                    is_half_way.set()

        writing = [asyncio.create_task(writes(name)) for name in OTHERS]
        await is_half_way.wait()
        goes(here.alice, how)
        await asyncio.gather(*writing)
        await here.all_have_come()
        for name in OTHERS:
            await here.as_friend(name)
            assert here.others[name].contact(here.alice).token != before[name]
        await here.all_have_come()
        if how == "remove":
            assert here.marked() == []
        assert all(
            contact.status is ContactStatus.APPROVED or contact.name == "bob"
            for contact in here.alice.contacts.all()
        )


@pytest.mark.parametrize("how", ["remove", "block"])
async def test_what_was_put_while_she_was_away_is_ordinary_mail_before_and_after(
    tmp_path: Path, how: Going
) -> None:
    async with town(tmp_path) as here:
        await here.stage.leaves(here.alice)
        for name in OTHERS:
            await here.say(name, "put before it was decided")
        async with Messenger.from_config(
            ClientConfig(here.stage.profile_of("alice")), connect=False
        ) as offline:
            goes(offline, how)
        for name in OTHERS:
            await here.say(name, "put while she was away")
        here.alice = await here.stage.person("alice", here.relay)
        await here.all_have_come()
        assert here.marked() == []
        for name in OTHERS:
            await here.as_friend(name)
        await here.all_have_come()


@pytest.mark.parametrize("how", ["remove", "block"])
async def test_whoever_went_is_no_contact_any_more_and_sees_nothing(tmp_path: Path, how: Going) -> None:
    async with town(tmp_path) as here:
        bob, held = here.others["bob"], here.others["bob"].contact(here.alice).presence
        assert held is not None
        async with bob.watch("alice") as events, asyncio.timeout(20):
            async for event in events:
                if isinstance(event, ContactEvent) and event.contact.online:
                    break
            heard = len(here.relay.meddler.heard)
            goes(here.alice, how)
            async for event in events:
                if isinstance(event, ContactEvent) and not event.contact.online:
                    break
        said = here.relay.meddler.heard[heard:]
        assert [each.type for each in said if each.type in ("allow", "appear")] == ["allow", "appear"]
        sent = await bob.send("alice", "let me in")
        await here.stage.until(lambda: bob.status(sent)[0] is not MessageStatus.QUEUED or None)
        for name in OTHERS:
            await here.say(name, "after him")
        await here.all_have_come()
        is_stranger = bob.status(sent)[0] is MessageStatus.REQUESTED
        if how == "block":
            assert is_stranger
            assert here.alice.contacts.requests() == []
        else:
            (request,) = here.alice.contacts.requests()
            assert request.address.account_key == bob.address.account_key
        # Nor when she comes back: what he holds is nobody's any more.
        await here.stage.leaves(here.alice)
        here.alice = await here.stage.person("alice", here.relay)
        shown = here.alice.mailroom.cards.current(0).presence
        async with unread(submitting(here.relay.url.websocket)) as watcher, asyncio.timeout(20):
            await watcher.send(Watch(ref=1, capability=shown))
            while not (await watcher.next(Presence)).online:
                pass
            await watcher.send(Watch(ref=2, capability=held))
            assert (await watcher.next(Presence)) == Presence(ref=2, online=False)
        assert here.alice.contacts.named(OTHERS[0]).status is ContactStatus.APPROVED
