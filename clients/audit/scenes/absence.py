"""Somebody is away: mail waits at the relay, which is restarted meanwhile. A profile comes back old."""

import asyncio
import shutil
from pathlib import Path

from clients.audit.relays import OwnRelay
from clients.audit.scenes.cast import Cast, expect, mended
from clients.store.repairs import Fault
from keys.content import Kind


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


def _copy(profile: Path, to: Path) -> None:
    shutil.copytree(profile, to, ignore=shutil.ignore_patterns("socket"))


async def _restart(cast: Cast) -> None:
    relay = cast.stage.relay
    if isinstance(relay, OwnRelay):
        expect(await relay.stop() == 0, "the relay did not end in order")
        await relay.start()
        cast.stage.did("a restart of the relay with mail in it")
