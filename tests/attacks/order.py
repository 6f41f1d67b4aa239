"""Attacks by a relay that carries frames as they were not put: again, later, in another order, never."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

from clients import clock
from clients.model import Message, MessageStatus
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, answering, attack, valued
from tests.attacks.evil_relay import EvilConnection, EvilRelay
from tests.attacks.neighbours import neighbours
from tests.attacks.stage import Person, Stage
from tests.clients.repairs import begin_anew, checkpoints, copy_of, repairs_of, sessions
from tests.support.homes import Home
from wire.control import Accepted
from wire.frames import Deliver, Put

SOON: Final = 0.2  # seconds in which a message would be shown that nothing holds back


class Waylaid:
    """An evil relay that stands between two: what it holds back of the one, and that it mutes the other."""

    def __init__(self, relay: EvilRelay, sender: Person, to: Person) -> None:
        self._relay, self._sender, self._to = relay, sender, to
        self.held: list[Deliver] = []
        self.dropped: list[Put] = []
        self._hold = self._drop = 0
        relay.meddler.on_deliver = self._on_deliver
        relay.meddler.on_put = self._on_put
        self.mutes = True  # what the other would say: that something is missing

    def hold(self) -> None:
        """Hold the next frame back."""
        self._hold += 1

    def drop(self) -> None:
        """Say that the next frame is accepted, and forget it."""
        self._drop += 1

    def release(self) -> None:
        """Hand over what was held back."""
        for frame in self.held:
            self._relay.connection_of(self._to.mailbox).hand_over(frame)

    def _on_deliver(self, connection: EvilConnection, frame: Deliver) -> tuple[Deliver, ...]:
        if connection.device_key != self._to.mailbox or not self._hold:
            return (frame,)
        self._hold -= 1
        self.held.append(frame)
        return ()

    def _on_put(self, connection: EvilConnection, put: Put) -> tuple[Put, ...]:
        if put.mailbox == self._sender.mailbox and self.mutes:
            return ()
        if put.mailbox != self._to.mailbox or not self._drop:
            return (put,)
        self._drop -= 1
        self.dropped.append(put)
        connection.say(Accepted(frames=[put.frame_id]))
        return ()


async def _between(stage: Stage) -> tuple[Waylaid, Person, Person]:
    """Alice and Bob, and a relay between them. Bob's application has had all that came."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    while await bob.receive(0.01) is not None:
        pass
    return Waylaid(relay, alice, bob), alice, bob


async def _shown(person: Person, count: int) -> list[Message]:
    """What an application is handed: so many messages."""
    messages = list[Message]()
    while len(messages) < count:
        message = await person.receive(5)
        assert message is not None
        messages.append(message)
    return messages


@attack(
    defence="an envelope that was here before is known by its hash",
    without=Removal("clients.store.outbox.Outbox.consume", lambda _: lambda *arguments: True),
    fell="Threema: once an app was installed anew, what it had read before could be delivered again "
    "(Paterson, Scarlata, Truong, 2023)",
)
async def replay(stage: Stage) -> Outcome:
    """Put everything that a mailbox ever got into it again, with new frame ids, behind the newest."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    for number in range(5):
        await stage.says(alice, bob, f"once {number}")
    kept = [put for put in relay.meddler.puts if put.mailbox == bob.mailbox]
    for _ in range(2):
        for put in kept:
            await relay.inject(bob.mailbox, put.envelope, os.urandom(16))
    await stage.says(alice, bob, "the last one")
    if sum(text.startswith("once") for text in bob.texts(alice)) != 5:
        return Succeeded("a message is shown twice")
    if bob.profile.store.db.execute("SELECT count(*) FROM repairs WHERE what = 'session'").get:
        return Succeeded("bob begins his session anew, because he cannot read what he has read before")
    assert bob.mailroom.replayed == 2 * len(kept)
    return Caught("bob", "counted as replays; shown once, nothing begun anew", len(kept))


def _other_ids(original: Callable[..., Any]) -> Callable[..., Any]:
    """Messages are not compared by their ids."""

    def add(history: object, contact: int, device: bytes, content: Any, *rest: Any, **named: Any) -> Any:
        return original(history, contact, device, replace(content, message_id=os.urandom(16)), *rest, **named)

    return add


@attack(
    defence="a message is kept once by its id, which is inside the encryption",
    without=Removal("clients.store.history.History.add_incoming", _other_ids),
)
async def duplicate(stage: Stage) -> Outcome:
    """Hold a frame back until its text was encrypted and sent again, and deliver both."""
    way, alice, bob = await _between(stage)
    way.mutes = False
    way.hold()
    await alice.send("bob", "pay once")
    await stage.until(lambda: way.held or None)
    await stage.says(alice, bob, "behind it")
    await stage.until(lambda: "pay once" in bob.texts(alice) or None)  # bob has asked for it
    way.release()
    await stage.says(alice, bob, "the last one")
    count = bob.texts(alice).count("pay once")
    return Succeeded(f"it is shown {count} times") if count != 1 else Caught("bob", "kept once", 2)


@attack(
    defence="what comes behind a gap is held until the gap is filled, for 30 s at most",
    without=valued("clients.store.history.HOLD_MS", 0),
    fell="Telegram until 2021: what a client sent could be reordered on its way (Albrecht, Mareková, "
    "Paterson, Stepanovs)",
)
async def reorder(stage: Stage) -> Outcome:
    """Deliver the second and third message before the first."""
    way, alice, bob = await _between(stage)
    way.hold()
    for text in ("one", "two", "three"):
        await alice.send("bob", text)
    await stage.until(lambda: "three" in bob.texts(alice) or None)
    early = await bob.receive(SOON)
    way.release()
    shown = [message.text for message in ([] if early is None else [early]) + await _shown(bob, 2)]
    if early is None:
        shown += [message.text for message in await _shown(bob, 1)]
        assert shown == ["one", "two", "three"]
        return Caught("bob", "held until the first was there, then shown in order", 3)
    return Succeeded(f"shown as {', '.join(shown)}")


def _unmarked(original: Callable[..., Message]) -> Callable[..., Message]:
    return lambda *arguments, **named: replace(original(*arguments, **named), late=False)


@attack(
    defence="a message that comes behind later ones is marked as late",
    without=Removal("clients.store.conversation._message", _unmarked),
    fell="Threema: a server could hold messages back and deliver them later as new (Paterson, Scarlata, "
    "Truong, 2023)",
)
async def delay(stage: Stage) -> Outcome:
    """Hold a message back until the client has given up waiting for it and shown the next."""
    way, alice, bob = await _between(stage)
    with patch("clients.store.history.HOLD_MS", 1):
        way.hold()
        for text in ("do not!", "yes"):
            await alice.send("bob", text)
        (first,) = await _shown(bob, 1)
        assert (first.text, first.missing_before) == ("yes", 1)
        way.release()
        (second,) = await _shown(bob, 1)
        assert second.text == "do not!"
        if second.late:
            return Caught("bob", "gap shown, then the message, marked as late", 2)
        return Succeeded("'do not!' stands behind 'yes', as if it were new")


@attack(
    defence="each message has a sequence inside the encryption, and missing ones are counted",
    without=answering("clients.store.history.History._missing_before", 0),
    fell="Threema: a server could leave messages out (Paterson, Scarlata, Truong, 2023)",
)
async def drop(stage: Stage) -> Outcome:
    """Say that a message is accepted, drop it, and drop what its recipient says of the gap."""
    way, alice, bob = await _between(stage)
    with patch("clients.store.history.HOLD_MS", 1):
        way.drop()
        lost = await alice.send("bob", "this one is dropped")
        await stage.until(lambda: way.dropped or None)
        await alice.send("bob", "and this one is not")
        (message,) = await _shown(bob, 1)
        assert message.text == "and this one is not"
        if not message.missing_before:
            return Succeeded("a message is gone, and nobody can see it")
        status = await alice.wait(lost, MessageStatus.ACCEPTED, 5)  # she may not have noted it yet
        assert status is MessageStatus.ACCEPTED, status
        return Caught("bob, alice", "gap of 1 shown; never 'delivered'", 2)


def _believing(original: object) -> Callable[..., None]:
    """A relay's word that it has a message counts as its delivery."""
    move = "status = 'delivered', accepted_ms = ? WHERE id = ?"
    return lambda history, row, now_ms: history._move(move, now_ms, row)


@attack(
    defence="'delivered' is only said on the recipient's own receipt",
    without=Removal("clients.store.outgoing.Outgoing.accepted", _believing),
)
async def drop_the_last(stage: Stage) -> Outcome:
    """Say that a message is accepted and drop it, when nothing follows that would show a gap."""
    way, alice, _ = await _between(stage)
    way.drop()
    lost = await alice.send("bob", "this one is dropped")
    status = await alice.wait(lost, MessageStatus.ACCEPTED, 5)
    assert way.dropped
    if status is not MessageStatus.ACCEPTED:
        return Succeeded(f"alice is told: {status.value}")
    later = clock.now_ms() + int(timedelta(days=32) / timedelta(milliseconds=1))
    with patch("clients.clock.now_ms", lambda: later):
        alice.mailroom.tidy()
    status, why = alice.status(lost)
    assert status is MessageStatus.FAILED
    return Caught("alice", f"'accepted' only, then 'failed': {why}", 1)


def _sends_on(home: Home, other: Home) -> bytes:
    """Which session the next message goes out on."""
    session = sessions(home, other).sending
    assert session is not None
    return session.transcript


@attack(
    defence="what was written before a device's newest REPAIR does not decide which session sends",
    without=answering("clients.engine.is_past", False),
)
async def late_repair(stage: Stage) -> Outcome:
    """Keep a contact's REPAIR, deliver it after a newer one, and so bring back a session that it has lost."""
    now = clock.now_seconds()
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        copy = copy_of(bob)
        left = begin_anew(bob, copy, checkpoints(bob).make().checkpoint)
        held = repairs_of(bob, alice)
        with (
            patch("clients.clock.now_seconds", lambda: now + 86_400),
            patch("clients.clock.now_ms", lambda: (now + 86_400) * 1000),
        ):
            begin_anew(bob, copy, left)
            alice.take_in(*repairs_of(bob, alice))
            newest = _sends_on(alice, bob)
            alice.take_in(*held)
            if _sends_on(alice, bob) != newest:
                return Succeeded("alice writes on a session that bob has lost")
            return Caught("alice", "read, and its session is not used", len(held))


ATTACKS: Final[tuple[Attack, ...]] = (
    replay, duplicate, reorder, delay, drop, drop_the_last, late_repair,
)  # fmt: skip
