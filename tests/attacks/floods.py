"""Attacks with much: what a contact, a stranger or a relay can make a client do, keep or give away.

What is measured is counted where it can be (derivations, kept keys, bytes, pages), because a count does not
depend on the machine.
"""

import os
import random
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from clients.clock import now_ms, now_seconds
from clients.engine import Undecryptable
from keys.content import Content, Kind, Receipt
from keys.errors import DecryptError
from keys.handshake import HEADER_SIZE, decode_header
from keys.primitives import mac
from keys.ratchet import MAX_JUMP, MAX_SKIPPED, Ratchet
from keys.seal import InnerType, seal
from keys.sessions import Session, Sessions
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, answering, attack, valued
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.neighbours import begins_anew, neighbours, state_of
from tests.attacks.stage import Stage
from tests.clients.test_hostile_peers import craft
from tests.clients.test_repair import asks, deliver, sessions
from tests.support.homes import Home
from wire.binary import u32
from wire.control import ClientMessage, Publish, Published, Stock
from wire.frames import Put
from wire.limits import BUCKETS, ONE_TIME_PUBLISHED, PREKEYS_PER_PAGE
from wire.prekeys import ONE_TIME_KINDS

LAST: Final = 2**32 - 1
CPU_MAX: Final = 20.0  # seconds of this process for 100,000 forged headers; it takes two or three
GROWTH_MAX: Final = 32 * 1024  # KiB that the process may have grown by meanwhile


class _TooMuch(Exception):
    """More was derived than anybody should be made to."""


class _Meter:
    """How many chain and message keys were derived."""

    def __init__(self, most: int) -> None:
        self.count, self._most = 0, most

    def note(self) -> None:
        """One more. Raises _TooMuch beyond the bound."""
        self.count += 1
        if self.count > self._most:
            raise _TooMuch


@contextmanager
def _metered(most: int) -> Iterator[_Meter]:
    meter = _Meter(most)

    def derived(key: bytes, message: bytes) -> bytes:
        meter.note()
        return mac(key, message)

    with patch("keys.chain.mac", derived):
        yield meter


def _ratchet_of(home: Home, other: Home) -> Ratchet:
    session = sessions(home, other).sending
    assert session is not None
    return session.ratchet


def _header(ratchet_key: bytes, previous: int, number: int) -> bytes:
    return ratchet_key + u32(previous) + u32(number)


def _sealed(sender: Home, to: Home, message: bytes, type: InnerType = InnerType.MESSAGE) -> Put:
    """What only a contact can make: forged inside, and authentic outside."""
    sealing = sender.mailroom.state.sealing_key(to.mailbox)
    assert sealing is not None
    envelope = seal(sender.profile.device, to.mailbox, sealing, type, message, os.urandom)
    return Put(os.urandom(16), to.mailbox, envelope)


@attack(
    defence="a jump of over 1,000 is refused before any key is derived",
    without=valued("keys.ratchet.MAX_JUMP", 2**32),
)
async def counter_at_its_end(stage: Stage) -> Outcome:
    """Say that a message is number 2^32-1, or that so many came before, to have all the keys derived."""
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        known = _ratchet_of(alice, mallory).remote
        assert known is not None
        before = sessions(alice, mallory).to_record()
        far = [(0, LAST), (0, LAST - 1), (LAST, 0), (LAST, LAST), (0, MAX_JUMP + 50), (MAX_JUMP + 50, 0)]
        headers = [_header(key, *place) for key in (known, os.urandom(32)) for place in far]
        same = _header(known, LAST, 0)  # the chain is the same, so what came before says nothing
        puts = [_sealed(mallory, alice, header + bytes(200)) for header in headers if header != same]
        with _metered(len(puts)) as meter:
            try:
                alice.take_in(*puts)
            except _TooMuch:
                return Succeeded(f"one header makes alice derive more than {meter.count - 1:,} keys")
        assert sessions(alice, mallory).to_record() == before
        return Caught("alice", f"refused; {meter.count} keys derived for {len(puts)} headers", len(puts))


@attack(
    defence="a jump of over 1,000 is refused before any key is derived; of what is forged nothing is kept",
    without=valued("keys.ratchet.MAX_JUMP", 2**32),
)
async def forged_headers(stage: Stage) -> Outcome:
    """Send 100,000 forged headers, a hundred of them as costly as can be, to use up time and memory."""
    dice, worst, count = random.Random(3), 100, 100_000
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        state = sessions(alice, mallory)
        before, body = state.to_record(), bytes(120)
        headers = [_header(dice.randbytes(32), MAX_JUMP, MAX_JUMP)] * worst
        headers += [dice.randbytes(40) for _ in range(count - worst)]
        most = worst * (MAX_JUMP + 2)  # one for each number that is left out, two for the one that is tried
        began, size = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with _metered(most) as meter:
            try:
                _refuse_all(state, (header + body for header in headers))
                alice.take_in(*(_sealed(mallory, alice, header + body) for header in headers[-300:]))
            except _TooMuch:
                return Succeeded(f"alice derives more than {most:,} keys")
        took = time.process_time() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size
        assert sessions(alice, mallory).to_record() == before
        if took > CPU_MAX or grown > GROWTH_MAX:
            return Succeeded(f"that takes {took:.0f} s and {grown:,} KiB")
        return Caught("alice", f"refused; {meter.count:,} keys derived, {took * 10:.0f} µs a header", count)


def _refuse_all(state: Sessions, messages: Iterator[bytes]) -> None:
    now = now_seconds()
    for message in messages:
        try:
            state.decrypt(message, now)
        except DecryptError:
            continue
        raise AssertionError("a forged header was taken")


@attack(
    defence="at most 2,000 skipped message keys of a session are kept, the newest",
    without=valued("keys.ratchet.MAX_SKIPPED", 10**9),
)
async def skipped_counters(stage: Stage) -> Outcome:
    """Leave out 999 numbers before each message, so that the keys for them are kept and the store grows."""
    rounds, most = 8, (MAX_SKIPPED + 8) * 76
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        state, stream = mallory.mailroom.state, os.urandom(16)
        for number in range(1, rounds + 1):
            with mallory.profile.store.transaction():
                mine = sessions(mallory, alice)
                assert mine.sending is not None
                state.save_sessions(alice.mailbox, mine.sent(_skipped_ahead(mine.sending, 999)))
            said = Content(Kind.TEXT, os.urandom(16), stream, number, now_ms(), b"hi")
            alice.take_in(craft(mallory, alice, said))
        assert len(alice.texts()) == rounds
        kept, size = len(_ratchet_of(alice, mallory).skipped), len(sessions(alice, mallory).to_record())
        if kept > MAX_SKIPPED or size > most:
            return Succeeded(f"alice keeps {kept:,} keys, {size:,} bytes, and more with each message")
        return Caught("alice", f"keeps {kept:,} of {rounds * 999:,} keys, {size:,} bytes", rounds)


def _skipped_ahead(session: Session, count: int) -> Session:
    """As if so many messages had been written, and never sent."""
    session, _ = session.encrypt(b"begins the chain", os.urandom)
    chain = session.ratchet.sending
    assert chain is not None
    for _ in range(count - 1):
        chain, _ = chain.advance()
    return replace(session, ratchet=replace(session.ratchet, sending=chain))


def _crafted(sender: Home, to: Home, contents: Iterable[Content]) -> list[Put]:
    """Authentic envelopes with contents that no honest client writes, in one transaction."""
    with sender.profile.store.transaction():
        return [craft(sender, to, content) for content in contents]


@attack(
    defence="at most 1,000 ranges of what has arrived are remembered of a stream",
    without=valued("clients.store.ranges.MAX_RANGES", 10**9),
)
async def gaps_without_end(stage: Stage) -> Outcome:
    """Leave out every other sequence, so that what is missing must be remembered."""
    count = 1100
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        stream = os.urandom(16)
        said = (
            Content(Kind.OPEN, os.urandom(16), stream, 2 * at, now_ms(), b"") for at in range(1, count + 1)
        )
        alice.take_in(*_crafted(mallory, alice, said))
        arrived = alice.mailroom.outbox.arrived(mallory.mailbox, stream)
        assert arrived.highest == 2 * count
        if len(arrived.pairs) > 1000:
            return Succeeded(f"alice remembers {len(arrived.pairs):,} ranges, and more with each message")
        return Caught(
            "alice", f"remembers {len(arrived.pairs):,} ranges, {len(arrived.encode()):,} bytes", count
        )


@attack(
    defence="at most eight streams of a device are remembered",
    without=valued("clients.store.outbox.STREAMS_MAX", 10**9),
)
async def streams_without_end(stage: Stage) -> Outcome:
    """Begin a new stream with each message, so that each must be remembered and receipted."""
    count = 60
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        streams = [os.urandom(16) for _ in range(count)]
        said = (Content(Kind.TEXT, os.urandom(16), stream, 1, now_ms(), b"hi") for stream in streams)
        alice.take_in(*_crafted(mallory, alice, said))
        kept = int(alice.profile.store.db.execute("SELECT count(*) FROM received").get)
        if kept > 8:
            return Succeeded(f"alice remembers {kept} streams, and more with each message")
        return Caught("alice", f"remembers {kept} streams", count)


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
            yield _sealed(mallory, bob, opening + os.urandom(200), InnerType.OPENING)


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


ATTACKS: Final[tuple[Attack, ...]] = (
    counter_at_its_end, forged_headers, skipped_counters, gaps_without_end, streams_without_end,
    ask_again_and_again, garbage, drain_prekeys, empty_stock,
)  # fmt: skip
