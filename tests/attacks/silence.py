"""Attacks with what a relay does not say: nothing at all, or next to nothing, to each request of a client."""

import asyncio
from collections.abc import Callable
from typing import Any, Final
from unittest.mock import patch

from clients.connection import RelayConnection
from clients.window import Window
from tests.attacks.attack import Attack, Outcome, Removal, Succeeded, attack, valued
from tests.attacks.evil_relay import EvilRelay
from tests.attacks.stage import NothingSeenError, Person, Stage
from wire.control import Allow, Bundle, ControlMessage, Fetch, Hello, Login, Publish, Register

SHORT: Final = 0.3  # seconds that a client waits for an answer, in these scenes
LONG: Final = 3.0  # seconds in which it must have said so


async def _told(stage: Stage, person: Person, words: str, how: str) -> Outcome:
    """Whether a client says what is wrong, or leaves its user waiting."""
    try:
        return await stage.until(lambda: person.says(words, how, 1), LONG)
    except NothingSeenError:
        return Succeeded(f"{person.name} waits, and nobody is told why")


def _never_late(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda connection, kind, _=0.0: original(connection, kind, None)


def _hear_nothing_of(relay: EvilRelay, *kinds: type[ControlMessage]) -> None:
    relay.meddler.on_hear = lambda _, message: None if isinstance(message, kinds) else message


@attack(
    defence="every request of a connecting client has a deadline, and what it waited for is said",
    without=Removal("clients.connection.RelayConnection.expect", _never_late),
)
async def silence(stage: Stage) -> Outcome:
    """Leave a hello, a login, a registration and a fetch without an answer, each in its turn."""
    relay, outcome = await stage.relay(), None
    with (
        patch("clients.connection.LOGIN_DEADLINE", SHORT),
        patch.object(RelayConnection.expect, "__defaults__", (SHORT,)),
    ):
        for kind in (Hello, Login, Register):
            _hear_nothing_of(relay, kind)
            person = await stage.opened(f"waits-for-{kind.__name__.lower()}", relay)
            outcome = await _told(stage, person, "does not answer", "says so")
            if isinstance(outcome, Succeeded):
                return outcome
        _hear_nothing_of(relay)
        alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
        alice.contacts.add("bob", bob.address)
        _hear_nothing_of(relay, Fetch)
        await alice.send("bob", "hello")
        outcome = await _told(stage, alice, "does not answer", "says so, whatever request it was")
    assert alice.texts(bob) == []
    return outcome


def _for_ever(original: object) -> Callable[..., Any]:
    return lambda _: asyncio.Event().wait()


@attack(
    defence="what a device publishes has its answer within 30 s, or is said to have none",
    without=Removal("clients.receiver.Receiver._keep_answered", _for_ever),
)
async def publish_into_nothing(stage: Stage) -> Outcome:
    """Take a device's prekeys, or its tokens, and never say what became of them."""
    relay = await stage.relay()
    with patch("clients.due.ANSWER_DEADLINE", SHORT):
        _hear_nothing_of(relay, Publish)
        alice = await stage.opened("alice", relay)
        outcome = await _told(stage, alice, "does not answer", "says so")
        if isinstance(outcome, Succeeded):
            return outcome
        _hear_nothing_of(relay, Allow)
        bob = await stage.opened("bob", relay)
        return await _told(stage, bob, "does not answer", "says so")


class _Patient(Window):
    """Whoever waits for an answer to a frame has not waited long yet."""

    quiet_since = property(lambda _: float("inf"), lambda *_: None)


@attack(
    defence="a frame has its answer within 30 s, or is said to have none",
    without=valued("clients.sender.Window", _Patient),
)
async def put_into_nothing(stage: Stage) -> Outcome:
    """Take frames, and never say what became of them."""
    relay = await stage.relay()
    alice, _ = await stage.pair(relay)
    relay.meddler.on_put = lambda *_: ()
    with patch("clients.sender.ANSWER_DEADLINE", SHORT):
        message = await alice.send("bob", "are you there?")
        outcome = await _told(stage, alice, "does not answer", "says so; the message stays 'queued'")
    assert alice.status(message)[0].value == "queued"
    return outcome


def _content_with_anything(original: object) -> Callable[..., Any]:
    """Whatever a fetch has brought, it is gone on with."""

    async def make_ready(sender: Any, connection: RelayConnection, contact: Any) -> Any:
        return await sender._fetch(connection, contact, take=sender._mailroom.needs_bundle(contact))

    return make_ready


@attack(
    defence="after a fetch it is looked at whether there is a session now",
    without=Removal("clients.sender.Sender._make_ready", _content_with_anything),
)
async def empty_bundle(stage: Stage) -> Outcome:
    """Answer a fetch with a true device list, and no prekeys."""
    relay = await stage.relay()
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    relay.meddler.on_say = lambda _, message: (
        message.model_copy(update={"devices": []}) if isinstance(message, Bundle) else message,
    )
    alice.contacts.add("bob", bob.address)
    await alice.send("bob", "hello")
    return await _told(stage, alice, "has not published any keys", "says so; nothing is sent")


ATTACKS: Final[tuple[Attack, ...]] = (silence, publish_into_nothing, put_into_nothing, empty_bundle)
