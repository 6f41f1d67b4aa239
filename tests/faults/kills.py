"""Every process is killed from inside at each named moment, several times, while messages flow both ways.

Owns the order of the kills and their counts. The moments are in `tests.faults.kill_points`.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from tests.faults.kill_points import AT_START, RECIPIENT, RELAY, SENDER
from tests.faults.mutations import mutations_for
from tests.faults.person import Person
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.faults.town import Town, flowing

HITS: Final = 3
HITS_LONG: Final = 50
STRUCK_WITHIN: Final = 120.0
KILLED: Final = -9
# Kills come a few messages apart, checkpoints a few pages: the more of them in a run, the better.
CLIENT_PATCHES: Final = ("impatient=0.5", "wal_pages=50")
RELAY_PATCHES: Final = ("wal_pages=50",)
# A checkpoint syncs, and would hide a commit that does not.
SELDOM: Final = "wal_pages=400"


def _schedule(points: Iterable[str], hits: int, chances: random.Random) -> list[tuple[str, int]]:
    """Each point so often, in a random order, each at a random number of passages."""
    found = [
        (point, 1 if point in AT_START else chances.randint(1, 25)) for point in points for _ in range(hits)
    ]
    chances.shuffle(found)
    return found


async def _die(person: Person, hits: Path, schedule: list[tuple[str, int]], run: Run) -> None:
    """One person's lives, each with its end."""
    await person.kill()
    for point, number in schedule:
        began = time.monotonic()
        await person.start(f"kill={point}:{number}:{hits}")
        try:
            code = await person.ended(STRUCK_WITHIN)
        except TimeoutError:  # the account will say why nothing moves any more
            run.note("not struck", point=point, passage=number)
            await person.kill()
            break
        run.note("kill", point=point, passage=number, code=code, seconds=round(time.monotonic() - began, 2))
        assert code == KILLED, f"{person.name} ended with {code} at {point}"
    await person.start()


async def _die_relay(town: Town, hits: Path, schedule: list[tuple[str, int]], run: Run) -> None:
    await asyncio.to_thread(town.relay.kill)
    for point, number in schedule:
        began = time.monotonic()
        patch = f"kill={point}:{number}:{hits}"
        try:
            code = await town.relay_life(STRUCK_WITHIN, patch)
        except TimeoutError:
            run.note("not struck", point=point, passage=number)
            await asyncio.to_thread(town.relay.kill)
            break
        run.note("kill", point=point, passage=number, code=code, seconds=round(time.monotonic() - began, 2))
        assert code == KILLED, f"the relay ended with {code} at {point}"
    await town.restart_relay()


def _counted(hits: Path) -> Counter[str]:
    return Counter(hits.read_text().split()) if hits.exists() else Counter()


async def _run(run: Run, each: int, *patches: str) -> Result:
    """Each point `each` times; `patches` are for all processes."""
    hits = run.directory / "hits"
    few = (SELDOM,) if patches else ()
    of_relay = (*patches, *RELAY_PATCHES, *few, *mutations_for("relay", run.mutations))
    of_clients = (*patches, *CLIENT_PATCHES, *few, *mutations_for("clients", run.mutations))
    town = Town(run.directory, (("alice", "bob"), ("bob", "alice")), of_relay)
    await asyncio.to_thread(town.meet, of_clients)
    alice, bob = town.people["alice"], town.people["bob"]
    for person in (alice, bob):
        await person.start()
    plans: list[Callable[[], Awaitable[None]]] = [
        lambda: _die(alice, hits, _schedule(SENDER, each, run.random("sender")), run),
        lambda: _die(bob, hits, _schedule(RECIPIENT, each, run.random("recipient")), run),
        lambda: _die_relay(town, hits, _schedule(RELAY, each, run.random("relay")), run),
    ]
    async with flowing(town):
        async with asyncio.TaskGroup() as together:
            for plan in plans:
                together.create_task(_as_coroutine(plan))
        run.say(f"{_counted(hits).total()} kills, {town.arrived} of {town.sent} messages so far")
        await town.rest()
    result = await asyncio.to_thread(town.account)
    counts = _counted(hits)
    result.faults.update({f"kill {point}": count for point, count in counts.items()})
    for point in (*SENDER, *RECIPIENT, *RELAY):
        if counts[point] < each:
            result.problems.append(f"{point} was hit {counts[point]} times, not {each}")
    return result


async def _as_coroutine(plan: Callable[[], Awaitable[None]]) -> None:
    await plan()


def _kill_points(run: Run) -> Result:
    return asyncio.run(_run(run, HITS_LONG if run.is_long else HITS))


def _power_cuts(run: Run) -> Result:
    return asyncio.run(_run(run, HITS_LONG if run.is_long else 1, "unsynced="))


KILL_POINTS: Final = Scenario("kill-points", "killed from inside at every named moment", _kill_points)
POWER_CUTS: Final = Scenario("power-cuts", "the same, and what was not synced is gone", _power_cuts)
