"""Attacks with demands: what a contact, a stranger or a relay can make a client do, or give away."""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from clients.engine import Undecryptable
from keys.content import Kind, Receipt
from keys.errors import DecryptError
from keys.handshake import HEADER_SIZE, decode_header
from keys.seal import InnerType
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, answering, attack, valued
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.floods import sealed
from tests.attacks.neighbours import begins_anew, neighbours, state_of
from tests.attacks.stage import Stage
from tests.clients.repairs import asks, deliver, sessions
from tests.support.homes import Home
from wire.control import ClientMessage, Publish, Published, Stock
from wire.frames import Put
from wire.limits import BUCKETS, ONE_TIME_PUBLISHED, PREKEYS_PER_PAGE
from wire.prekeys import ONE_TIME_KINDS


@attack(
    defence="a device is sent again what it asks for seldom: half a minute later, then two, then eight",
    without=answering("clients.store.repairs.Repairs.grant", True),
)
async def ask_again_and_again(stage: Stage) -> Outcome:
    """Ask for everything once more, again and again, to have a contact encrypt and send without end."""
    said, asked = 40, 10
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        for number in range(said):
            alice.say(mallory, f"message {number}")
        deliver(alice, mallory)
        everything = Receipt(alice.mailroom.state.stream, ((1, 2**62),)).encode()
        sent = 0
        for _ in range(asked):
            asks(mallory, alice, Kind.RESEND, everything)
            asks(mallory, alice, Kind.REPAIR, everything)
            sent += len(deliver(alice, mallory))
        if sent > 3 * said:
            return Succeeded(f"alice sends {sent} frames for {2 * asked}")
        return Caught("alice", f"sends {sent} frames for {2 * asked}", 2 * asked)


def _whoever_it_was(original: Callable[..., Any]) -> Callable[..., Any]:
    """What cannot be opened is held against a contact, because the relay says that it is from there."""

    def opened(engine: Any, envelope: bytes, now: int) -> Any:
        try:
            return original(engine, envelope, now)
        except Undecryptable:
            raise
        except DecryptError:
            raise Undecryptable(engine._state.devices_of_contacts()[0]) from None

    return opened


@attack(
    defence="only what a contact's device has sealed can show that a session is broken",
    without=Removal("clients.engine.Engine.open", _whoever_it_was),
)
async def garbage(stage: Stage) -> Outcome:
    """Fill a mailbox with random envelopes of every size, so that the client begins its sessions anew."""
    dice, count = random.Random(4), 1000
    with neighbours(stage.directory, "alice", "bob") as (alice, _):
        sizes = dice.choices(BUCKETS, weights=[2.0**-at for at in range(len(BUCKETS))], k=count)
        puts = [Put(dice.randbytes(16), alice.mailbox, b"\x01" + dice.randbytes(size - 1)) for size in sizes]
        before = state_of(alice)
        alice.take_in(*puts)
        if begins_anew(alice):
            return Succeeded("alice begins her session with bob anew")
        assert state_of(alice) == before
        assert alice.mailroom.undecryptable == count
        return Caught("alice", "counted, and nothing else", count)


def _spent_on_sight(original: Callable[..., Any]) -> Callable[..., Any]:
    """One-time keys die when somebody names them, and not when a session is accepted."""
    named = set[tuple[int, int]]()

    def private(state: object, kind: int, id: int) -> Any:
        if kind in ONE_TIME_KINDS and (kind, id) in named:
            return None
        named.add((kind, id))
        return original(state, kind, id)

    return private


@attack(
    defence="a one-time key dies in the transaction that accepts its session, and in no other",
    without=Removal("clients.store.state.KeyState.private_prekey", _spent_on_sight),
)
async def drain_prekeys(stage: Stage) -> Outcome:
    """Name every one-time key of somebody in openings that hold nothing, so that honest ones find none."""
    with neighbours(stage.directory, "bob") as (bob,):
        alice, mallory = Home(stage.directory, "alice"), Home(stage.directory, "mallory")
        for home in (alice, mallory):
            home.meet(bob)
        bob.add(alice)
        puts = list(_openings(mallory, bob))
        stock = "SELECT count(*) FROM prekeys WHERE kind IN (3, 5)"
        before = bob.profile.store.db.execute(stock).get
        bob.take_in(*puts)
        alice.say(bob, "hello")
        bob.take_in(*alice.send(bob))
        left, texts = bob.profile.store.db.execute(stock).get, bob.texts()
        for home in (alice, mallory):
            home.close()
        if texts != ["hello"]:
            return Succeeded("an honest first message finds its key gone, and is lost")
        assert left == before - 2
        return Caught("bob", "no key is spent but those of the session that he accepts", len(puts))


def _openings(mallory: Home, bob: Home) -> Iterator[Put]:
    """Authentic seals around handshakes that name one-time keys which nobody has given to Mallory."""
    session = sessions(mallory, bob).sending
    assert session is not None
    header = decode_header(session.opening[-HEADER_SIZE:])
    for id in range(1, ONE_TIME_PUBLISHED + 1):
        for kind in (header.kem_kind, *ONE_TIME_KINDS[1:]):
            named = replace(header, one_time_id=id, kem_kind=kind, kem_id=id, ephemeral=os.urandom(32))
            opening = session.opening[:-HEADER_SIZE] + named.encode()
            yield sealed(mallory, bob, opening + os.urandom(200), InnerType.OPENING)


@attack(
    defence="a device makes one-time keys at most six times an hour, whatever its relay says of the stock",
    without=valued("clients.receiver.TOP_UPS_PER_HOUR", 10**9),
)
async def empty_stock(stage: Stage) -> Outcome:
    """Say again and again that no one-time keys are left, so that the client makes new ones without end."""
    relay = await stage.relay()
    most = 6 * 2 * ONE_TIME_PUBLISHED // PREKEYS_PER_PAGE + 1
    pages = 0

    def on_hear(connection: EvilConnection, message: ClientMessage) -> ClientMessage | None:
        nonlocal pages
        if not isinstance(message, Publish):
            return message
        pages += 1
        if pages <= most + 1:
            empty = Stock(one_time=0, one_time_kem=0)
            connection.say(Published(ref=message.ref, stock=empty))
            connection.say(empty)
        return None

    relay.meddler.on_hear = on_hear
    bob = await stage.opened("bob", relay)
    await stage.until(lambda: bob.is_connected or pages > most or None)
    if pages > most:
        return Succeeded(f"bob has made more than {most} pages of keys, and goes on")
    return Caught("bob", f"makes keys six times, {pages} pages, and no more", pages)


ATTACKS: Final[tuple[Attack, ...]] = (ask_again_and_again, garbage, drain_prekeys, empty_stock)
