"""The sizes of envelopes in a real conversation, as its relay sees them: none tells what a message is.

The relay is the real one, the clients are the real ones. Which kind is in which envelope is noted where it is
sealed; a kind that is new and does not occur here fails.
"""

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from clients.clock import now_ms, now_seconds
from clients.engine import Draft, Engine
from clients.model import MessageStatus
from clients.store.outbox import RANGES_SENT
from clients.store.ranges import Ranges
from clients.store.state import KeyState
from clients.watching import ContactEvent
from keys.content import MESSAGE_ID, NOTES, STREAM_ID, Extension, Kind, ReadMark, Receipt
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.stage import WITHIN, Person, Stage
from tests.support.homes import Home, converse
from wire.frames import Deliver, Put
from wire.limits import BUCKETS, ENVELOPE_MIN, HASH, RELAY_TEXT_MAX, TEXT_MAX, TOKEN

SHORT = 576  # bytes of a text that has room in the smallest envelope, whatever goes with it
LONGEST_NAME = "\U0001f98a" * 64  # 256 bytes of UTF-8
ON_AN_ANSWERED_SESSION = frozenset(Kind) - {Kind.REPAIR}  # which begins a session


class Sealed:
    """What was sealed into which envelope."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.envelopes: dict[bytes, tuple[Kind, bool, int]] = {}  # kind, with a handshake, size of the body
        write_one = Engine._write_one

        def noted(
            engine: Engine, device_key: bytes, pen: Any, draft: Draft, sequence: int, *, opens: bool
        ) -> bytes:
            has_handshake = bool(pen.session.opening) and opens
            envelope = write_one(engine, device_key, pen, draft, sequence, opens=opens)
            self.envelopes[envelope] = (Kind(draft.kind), has_handshake, len(draft.body))
            return envelope

        monkeypatch.setattr(Engine, "_write_one", noted)

    def sizes(self, puts: list[Put], *, opens: bool, longest: int = SHORT) -> dict[Kind, set[int]]:
        """The sizes of each kind that a relay has seen, on sessions that were answered or that were not."""
        found = defaultdict[Kind, set[int]](set)
        for put in puts:
            kind, has_handshake, body = self.envelopes[put.envelope]
            if has_handshake is opens and body <= longest:
                found[kind].add(len(put.envelope))
        return found


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Sealed:
    return Sealed(monkeypatch)


async def says(stage: Stage, one: Person, other: Person, body: str | bytes) -> None:
    sent = await one.send(other.name, body)
    await stage.until(lambda: one.status(sent)[0].is_at_least(MessageStatus.DELIVERED) or None)


async def types(alice: Person) -> None:
    async with alice.watch("bob") as events, asyncio.timeout(WITHIN):
        async for event in events:
            if isinstance(event, ContactEvent) and event.contact.online:
                break
        await alice.typing("bob")
        assert await alice.flushed(WITHIN)
        await alice.typing("bob", is_typing=False)
        assert await alice.flushed(WITHIN)


async def loses_a_note(stage: Stage, alice: Person, bob: Person, sealed: Sealed) -> None:
    """The relay drops a note of alice's; bob asks for it when a text comes, and hears that there is none."""
    meddler = stage.relays[0].meddler
    dropped: list[Deliver] = []

    def drop(_: EvilConnection, frame: Deliver) -> list[Deliver]:
        if not dropped and sealed.envelopes[frame.envelope][0] is Kind.PROFILE:
            dropped.append(frame)
            return []
        return [frame]

    meddler.on_deliver = drop
    alice.contacts.set_display_name("Alice, once more")
    await stage.until(lambda: dropped or None)
    await says(stage, alice, bob, "behind a gap")
    await stage.until(
        lambda: any(sealed.envelopes[put.envelope][0] is Kind.OPEN for put in meddler.puts) or None
    )


async def test_no_size_tells_what_a_message_is(tmp_path: Path, sealed: Sealed) -> None:
    dice = random.Random(7)
    async with Stage(tmp_path) as stage:
        relay = await stage.relay()
        alice, bob = await stage.pair(relay)
        both = ((alice, bob), (bob, alice))
        for _ in range(60):
            one, other = dice.choice(both)
            text = "x" * dice.choice(
                (dice.randrange(1, SHORT), dice.randrange(1, SHORT), dice.randrange(TEXT_MAX))
            )
            await one.send(other.name, dice.choice((text, text.encode())))
        for one, other in both:
            await says(stage, one, other, "all of that has come")
        bob.mark_read("alice")
        alice.contacts.set_display_name(LONGEST_NAME)
        await types(alice)
        await loses_a_note(stage, alice, bob, sealed)
        await says(stage, bob, alice, "heard")
        for one in (alice, bob):
            await one.flushed(WITHIN)
        alice.loses_session(bob)
        await bob.send("alice", "on a session that alice has lost")
        await stage.until(lambda: "on a session that alice has lost" in alice.texts(bob) or None)
        await says(stage, alice, bob, "mended")
        puts = relay.meddler.puts
    answered, unanswered = sealed.sizes(puts, opens=False), sealed.sizes(puts, opens=True)
    assert set(answered) == ON_AN_ANSWERED_SESSION, "a kind does not occur: say it in this conversation"
    assert set(map(frozenset, answered.values())) == {frozenset({ENVELOPE_MIN})}, answered
    assert Kind.REPAIR in unanswered
    assert len(set(map(frozenset, unanswered.values()))) == 1, unanswered
    long = sealed.sizes(puts, opens=False, longest=TEXT_MAX)
    assert long[Kind.TEXT] | long[Kind.DATA] <= set(BUCKETS)
    assert len(long[Kind.TEXT]) > 2


LARGEST: dict[Kind, tuple[bytes, list[tuple[int, bytes]]]] = {
    Kind.OPEN: (b"", []),
    Kind.RECEIPT: (
        Receipt(bytes(STREAM_ID), tuple((2**60 + 2 * n,) * 2 for n in range(RANGES_SENT))).encode(),
        [],
    ),
    Kind.TYPING: (b"\x01", []),
    Kind.PROFILE: (
        LONGEST_NAME.encode(),
        [
            (Extension.TOKEN, bytes(TOKEN)),
            (Extension.PRESENCE, bytes(HASH)),
            (Extension.RELAY, b"x" * (RELAY_TEXT_MAX + len("wss://"))),
        ],
    ),
    Kind.RESEND: (
        Receipt(bytes(STREAM_ID), tuple((2**60 + 2 * n,) * 2 for n in range(RANGES_SENT))).encode(),
        [],
    ),
    Kind.READ: (ReadMark(bytes(STREAM_ID), 2**62).encode(), []),
}


def test_the_largest_note_with_every_extension_has_room_in_the_smallest_envelope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(LARGEST) == NOTES - {Kind.REPAIR}, "say here how large a note of the new kind can be"
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    # As after a rotation: the new sealing key goes with whatever is sent next.
    monkeypatch.setattr(KeyState, "sealing_news", lambda state, device_key: state.own_sealing())
    for kind, (body, extensions) in {**LARGEST, Kind.TEXT: (b"x" * SHORT, [])}.items():
        draft = Draft(kind, bytes(MESSAGE_ID), body, now_ms(), tuple(extensions))
        with alice.profile.store.transaction():
            alice.mailroom._envelopes.write(alice.contact(bob).id, bob.mailbox, [draft])
        (put,) = alice.send(bob)
        assert len(put.envelope) == ENVELOPE_MIN, kind
    alice.close()
    bob.close()


def test_a_receipt_with_many_gaps_is_no_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    monkeypatch.setattr(KeyState, "sealing_news", lambda state, device_key: state.own_sealing())
    gaps = Ranges(tuple((2 * number, 2 * number) for number in range(1, 60)))
    bob.mailroom.write_owed()
    bob.send(alice)
    with bob.profile.store.transaction():
        bob.mailroom.outbox.save_arrived(
            alice.mailbox, alice.mailroom.state.stream, gaps, now_seconds(), owes=True
        )
    assert bob.mailroom.notes.write_receipts()
    assert [len(put.envelope) for put in bob.waiting(alice)] == [ENVELOPE_MIN]
    alice.close()
    bob.close()
