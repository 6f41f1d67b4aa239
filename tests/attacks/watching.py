"""Attacks by looking on: what times and sizes tell, and what somebody still sees who was removed.

Whoever looks on breaks no rule and sends nothing that an honest relay or contact would not send.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from clients.model import MessageStatus
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack, valued
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.probes import settings
from tests.attacks.stage import Person, Stage
from tests.relay.conditions import HELD_BY_FULL, WATCHED, conditions, unread
from tests.relay.devices import envelope
from tests.relay.peers import submitting
from wire.control import Attach, Fetch, Presence, Watch
from wire.frames import Deliver, Put

PAIRS: Final = 4
ROUNDS: Final = 3
APART: Final = 0.15  # seconds between the messages of two pairs
RIGHT: Final = 0.75  # of all guesses; by chance one in four


@attack(
    defence="a receipt goes out after a time that is drawn anew for each contact",
    without=valued("clients.delays.USUAL", 0.0),
    fell="Signal: receipts told who talks to whom, sealed senders or not (Martiny et al., 2021)",
)
async def time_receipts(stage: Stage) -> Outcome:
    """Guess whom somebody talks to: the mailbox into which something is put next after it got a message"""
    relay, loop = await stage.relay(), asyncio.get_running_loop()
    pairs = [
        (await stage.person(f"writer{number}", relay), await stage.person(f"reader{number}", relay))
        for number in range(PAIRS)
    ]
    for writer, reader in pairs:
        stage.acquaint(writer, reader)
        await stage.says(writer, reader, "hello")
        await stage.says(reader, writer, "hello back")
    for each in (person for pair in pairs for person in pair):
        await each.flushed(20)
    handed: list[tuple[float, bytes]] = []
    puts: list[tuple[float, bytes]] = []

    def hand_over(_: EvilConnection, frame: Deliver) -> tuple[Deliver, ...]:
        handed.append((loop.time(), frame.mailbox))
        return (frame,)

    def put(_: EvilConnection, frame: Put) -> tuple[Put, ...]:
        puts.append((loop.time(), frame.mailbox))
        return (frame,)

    relay.meddler.on_deliver, relay.meddler.on_put = hand_over, put
    for number in range(ROUNDS):
        sent = []
        for writer, reader in pairs:
            sent.append((writer, await writer.send(reader.name, f"message {number}")))
            await asyncio.sleep(APART)
        for writer, message in sent:
            await stage.until(partial(_is_delivered, writer, message))
    partners = {reader.mailbox: writer.mailbox for writer, reader in pairs}
    guesses = [
        (mailbox, next((other for when, other in puts if when > at and other != mailbox), b""))
        for at, mailbox in handed
        if mailbox in partners
    ]
    right = sum(partners[mailbox] == guess for mailbox, guess in guesses)
    if right >= RIGHT * len(guesses):
        return Succeeded(f"the relay guesses {right} of {len(guesses)} right: who talks to whom")
    return Caught("nobody", f"{right} of {len(guesses)} guesses are right", len(guesses))


def _is_delivered(writer: Person, message: bytes) -> bool | None:
    return writer.status(message)[0].is_at_least(MessageStatus.DELIVERED) or None


@attack(
    defence="spaces behind the relay's answers fill them up to one size",
    without=Removal("relay.connection.written", lambda _: lambda message: message.encode()),
)
async def size_of_answers(stage: Stage) -> Outcome:
    """See the sizes of what goes through TLS, and tell by them whose prekeys are used up, and who is there"""
    with settings(mailbox_frames=HELD_BY_FULL, request_frames=2, request_rate="1000+1000/s"):
        url = (await stage.relay()).url.websocket
    sizes: dict[str, Counter[int]] = {"a fetch": Counter(), "a watch": Counter(), "a put": Counter()}
    async with AsyncExitStack() as open_:
        found = await open_.enter_async_context(conditions(url))
        peer = await open_.enter_async_context(unread(submitting(url)))
        for key in (*(account.key for account in found.accounts.values()), found.nobody):
            await peer.send(Fetch(ref=1, account_key=key, take=True))
            sizes["a fetch"][len(await peer.websocket.recv())] += 1
        for capability, _ in WATCHED.values():
            await peer.send(Watch(ref=1, capability=capability))
            sizes["a watch"][len(await peer.websocket.recv())] += 1
        for mailbox in found.mailboxes().values():
            stranger = await open_.enter_async_context(unread(submitting(url)))
            await stranger.send(Attach(mailbox=mailbox, token=bytes(16)))
            for number in range(4):
                await stranger.websocket.send(Put(bytes([number]) * 16, mailbox, envelope()).encode())
                sizes["a put"][len(await stranger.websocket.recv())] += 1
    for asked, seen in sizes.items():
        if len(seen) > 1:
            return Succeeded(f"the answer to {asked} has {len(seen)} sizes, which say how it is there")
    asked_for = sum(seen.total() for seen in sizes.values())
    return Caught("nobody", "every answer to one question has one size", asked_for)


def _kept(original: Callable[..., Any]) -> Callable[..., None]:
    return lambda cards, now: None


@attack(
    defence="whoever removes a contact appears under a capability that it does not hold",
    without=Removal("clients.card.Cards.rotate_presence", _kept),
)
async def watch_after_removal(stage: Stage) -> Outcome:
    """As a contact who was removed, go on watching when somebody is online, by the capability from before."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    held = bob.contact(alice).presence
    assert held is not None
    url = relay.url.websocket
    async with unread(submitting(url)) as watcher:
        await watcher.send(Watch(ref=1, capability=held))
        assert (await watcher.next(Presence)).online
        alice.contacts.remove("bob")
        said = len(relay.meddler.heard)
        await stage.until(lambda: any(each.type == "appear" for each in relay.meddler.heard[said:]) or None)
        async with unread(submitting(url)) as again:
            await again.send(Watch(ref=1, capability=held))
            if (await again.next(Presence)).online:
                return Succeeded("bob still sees when alice is online")
        assert not (await watcher.next(Presence)).online
    return Caught("the relay", "is told what is told of whoever is away", 2)


ATTACKS: Final[tuple[Attack, ...]] = (time_receipts, size_of_answers, watch_after_removal)
