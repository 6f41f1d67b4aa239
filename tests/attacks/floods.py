"""Attacks with much: what a contact can make a client derive, and keep.

What is measured is counted where it can be (derivations, kept keys, bytes), because a count does not depend
on the machine.
"""

import os
import random
import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final
from unittest.mock import patch

from clients.clock import now_ms, now_seconds
from keys.content import Content, Kind
from keys.errors import DecryptError
from keys.primitives import mac
from keys.ratchet import MAX_JUMP, MAX_SKIPPED, Ratchet
from keys.seal import InnerType, seal
from keys.sessions import Session, Sessions
from tests.attacks.attack import Attack, Caught, Outcome, Succeeded, attack, valued
from tests.attacks.neighbours import neighbours
from tests.attacks.stage import Stage
from tests.clients.repairs import sessions
from tests.clients.test_hostile_peers import craft
from tests.support.homes import Home
from wire.binary import u32
from wire.frames import Put

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


def sealed(sender: Home, to: Home, message: bytes, type: InnerType = InnerType.MESSAGE) -> Put:
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
        puts = [sealed(mallory, alice, header + bytes(200)) for header in headers if header != same]
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
                alice.take_in(*(sealed(mallory, alice, header + body) for header in headers[-300:]))
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


ATTACKS: Final[tuple[Attack, ...]] = (
    counter_at_its_end, forged_headers, skipped_counters, gaps_without_end, streams_without_end,
)  # fmt: skip
