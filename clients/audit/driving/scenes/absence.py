"""Somebody is away: mail waits at the relay, which is restarted meanwhile. A profile comes back old."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from websockets.frames import Opcode

from clients.audit.capture.evidence import Place
from clients.audit.capture.relays import OwnRelay
from clients.audit.driving.scenes.cast import Cast, expect, mended
from clients.audit.driving.stage import Stage
from clients.audit.tap.reading import NotReadError
from clients.audit.tap.wiretap import messages
from clients.store.repairs import Fault
from keys.content import Kind
from wire.frames import PUT_HEADER

ID: Final = slice(2, 18)  # of a frame, both ways
SEEN: Final = 64  # bytes of an envelope: so many lie on one page of a database, as a rule


async def absence(cast: Cast) -> None:
    """What Alice sends to Carol waits; then Carol comes back, and nothing is missing. Twice."""
    stage, alice, carol = cast.stage, cast.alice, cast.carol
    expect(await carol.stop() == 0, "a client did not end in order")
    copy = stage.directory / "an old copy"
    await asyncio.to_thread(_copy, carol.profile, copy)
    texts = [stage.canary("send.text", "for later {}") for _ in range(6)]
    ids = [(await alice.call("send", to=cast.names[alice, carol], text=text))["id"] for text in texts]
    await cast.comes(alice, ids[-1], "accepted")
    stage.did("texts for somebody who is away, kept by the relay")
    await stage.look("mail waits in the store")
    is_seen = await asyncio.to_thread(_waiting_is_seen, stage, len(texts))
    expect(is_seen, "mail waits, and was not seen in the store")
    await _restart(cast)
    await carol.start()
    for text in texts:
        await carol.hears(text)
    await cast.comes(alice, ids[-1], "delivered")
    stage.did("texts that waited, delivered")
    expect(await carol.stop() == 0, "a client did not end in order")
    await asyncio.to_thread(shutil.rmtree, carol.profile)
    await asyncio.to_thread(_copy, copy, carol.profile)
    before = len(carol.heard)
    await carol.start()
    for text in texts:
        await carol.hears(text, before)
    problems = (await carol.call("me"))["problems"]
    expect(any("older copy of itself" in problem for problem in problems), "an old copy was not recognised")
    await cast.tell(carol, alice, stage.canary("send.text"))
    await cast.tell(alice, carol, stage.canary("send.text"))
    expect(Fault.SESSION in await mended(carol), "no session was begun anew")
    stage.carried.add(Kind.REPAIR)
    stage.did("an old copy of a profile, recognised, with new sessions, and all that it lacked sent again")


def _waiting_is_seen(stage: Stage, least: int) -> bool:
    """Whether the look found in the store what was put and not delivered yet: a control of the look itself.

    It is enough if half of it lies there in one piece, as it does but where two pages of a database meet.
    """
    waiting: dict[bytes, bytes] = {}
    for put in _frames(stage, to_relay=True):
        envelope = put[PUT_HEADER:]
        waiting[put[ID]] = envelope[len(envelope) // 2 :][:SEEN]
    for delivered in _frames(stage, to_relay=False):
        waiting.pop(delivered[ID], None)
    stored = [data for _, data in stage.evidence.pieces(Place.STORE)]
    seen = sum(any(piece in data for data in stored) for piece in waiting.values())
    return len(waiting) >= least and 2 * seen >= len(waiting)


def _frames(stage: Stage, *, to_relay: bool) -> Iterator[bytes]:
    for connection in stage.tap.connections:
        direction = connection.to_relay if to_relay else connection.from_relay
        with contextlib.suppress(NotReadError):
            for message in messages(direction, is_masked=to_relay):
                if message.opcode is Opcode.BINARY:
                    yield message.payload


def _copy(profile: Path, to: Path) -> None:
    shutil.copytree(profile, to, ignore=shutil.ignore_patterns("socket"))


async def _restart(cast: Cast) -> None:
    relay = cast.stage.relay
    if isinstance(relay, OwnRelay):
        expect(await relay.stop() == 0, "the relay did not end in order")
        await relay.start()
        cast.stage.did("a restart of the relay with mail in it")
