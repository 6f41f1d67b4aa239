"""A connection is cut at every byte of its beginning, both ways, of both kinds; each time it comes back.

Alice writes to Bob through two proxies: his device connects through the one, and her submit connection goes
through the other. Each new connection gets the next byte at which it is cut. Owns which bytes those are.
"""

import asyncio
import contextlib
import random
from typing import Final

from tests.faults.mutations import mutations_for
from tests.faults.proxy import Cut, How, Proxy, Way, Weather
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.faults.town import NEIGHBOURS, Town, flowing

FIRST_FRAMES: Final = 3  # messages after the login that belong to a connection's beginning
CUT_WITHIN: Final = 30.0  # seconds until the next connection has come as far as its cut
DEFAULT_CUTS: Final = 150  # of each connection; every single byte with --long
PATIENCE: Final = "impatient=0.02"  # seconds between two tries


async def _beginning(town: Town, proxy: Proxy) -> dict[Way, int]:
    """How many bytes pass each way from a connection's first one through its first frames."""
    before = proxy.accepted
    proxy.end_all(How.RESET)
    town.limit = town.sent + 1
    async with asyncio.timeout(CUT_WITHIN):
        while proxy.accepted == before or not proxy.links:
            await asyncio.sleep(0.01)
        link = proxy.links[-1]
        for _ in range(FIRST_FRAMES):
            while town.arrived < town.sent or town.sent < town.limit:
                await asyncio.sleep(0.01)
            town.limit += 1
        while town.arrived < town.sent:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # the last answer or acknowledgement
    return dict(link.passed)


def _cuts(beginning: dict[Way, int], chances: random.Random, run: Run) -> list[Cut]:
    """Every byte of both ways in the long run, else a sample that holds both ends; in a random order."""
    found = [Cut(way, at, How.CLOSE) for way in Way for at in range(beginning[way] + 1)]
    if not run.is_long:
        ends = [Cut(way, at, How.CLOSE) for way in Way for at in (0, 1, beginning[way])]
        found = ends + chances.sample(found, min(len(found), DEFAULT_CUTS - len(ends)))
    chances.shuffle(found)
    return [Cut(cut.way, cut.offset, chances.choice((How.CLOSE, How.RESET))) for cut in found]


async def _sweep(proxy: Proxy, cuts: list[Cut], run: Run, what: str) -> None:
    """Cut one connection after the other, until the plan is done."""
    proxy.plan.extend(cuts)
    proxy.end_all(How.RESET)
    done = 0
    while proxy.plan or any(link.cut is not None for link in proxy.links):
        proxy.cuts_done.clear()
        async with asyncio.timeout(CUT_WITHIN):
            await proxy.cuts_done.wait()
            # The last one is over when its link is.
            while not proxy.plan and any(link.cut is not None for link in proxy.links):
                await asyncio.sleep(0.01)
        if len(cuts) - len(proxy.plan) >= done + 1000:
            done = len(cuts) - len(proxy.plan)
            run.say(f"{what}: {done} of {len(cuts)} cuts")


async def _run(run: Run) -> Result:
    town = Town(run.directory, (("alice", "bob"), ("bob", "alice")), mutations_for("relay", run.mutations))
    async with contextlib.AsyncExitStack() as stack:
        device, submit = [await stack.enter_async_context(Proxy(town.relay.port)) for _ in range(2)]
        origins = (town.relay.origin, device.origin, submit.origin)
        town.relay.settings |= {**NEIGHBOURS, "public-urls": ",".join(origins)}
        patches = (PATIENCE, *mutations_for("clients", run.mutations))
        await asyncio.to_thread(town.meet, patches, {"bob": device.origin}, {"bob": submit.origin})
        for person in town.people.values():
            await person.start()
        async with flowing(town):
            beginnings = [await _beginning(town, proxy) for proxy in (device, submit)]
            plans = [
                _cuts(beginning, run.random(str(number)), run) for number, beginning in enumerate(beginnings)
            ]
            town.limit = None
            async with asyncio.TaskGroup() as together:
                for proxy, cuts, what in zip((device, submit), plans, ("device", "submit"), strict=True):
                    together.create_task(_sweep(proxy, cuts, run, what))
            await town.rest()
        result = await asyncio.to_thread(town.account)
    for proxy, cuts in zip((device, submit), plans, strict=True):
        if proxy.happened.total() != len(cuts):
            result.problems.append(f"{proxy.happened.total()} of {len(cuts)} cuts were made")
    for what, proxy, beginning in zip(("device", "submit"), (device, submit), beginnings, strict=True):
        result.faults.update({f"{kind} ({what})": count for kind, count in proxy.happened.items()})
        result.figures |= {f"bytes {way.value} ({what})": count for way, count in beginning.items()}
    return result


CUTS: Final = Scenario(
    "cuts",
    "cut at every byte of the login and the first frames, both ways",
    lambda run: asyncio.run(_run(run)),
)


async def _in_crumbs(run: Run) -> Result:
    """Everything passes a byte at a time, then with delay, then stalls one way for a while and goes on."""
    town = Town(run.directory, (("alice", "bob"), ("bob", "alice")), mutations_for("relay", run.mutations))
    async with Proxy(town.relay.port) as proxy:
        town.relay.settings |= {**NEIGHBOURS, "public-urls": f"{town.relay.origin},{proxy.origin}"}
        patches = ("impatient=0.5", *mutations_for("clients", run.mutations))
        await asyncio.to_thread(town.meet, patches, dict.fromkeys(("alice", "bob"), proxy.origin))
        result = Result()
        async with flowing(town):
            for person in town.people.values():
                await person.start()
            for what, weather in (
                ("1-byte chunks", Weather(chunk=1)),
                ("7-byte chunks, reset", Weather(chunk=7)),
                ("delay", Weather(delay=0.03)),
                ("stall up", Weather(stalled={Way.UP})),
                ("stall down", Weather(stalled={Way.DOWN})),
            ):
                town.limit = town.sent + 40
                proxy.set_weather(weather)
                if not weather.stalled:
                    proxy.end_all(How.RESET)
                result.faults[what] += 1
                async with asyncio.timeout(60):
                    while town.sent < town.limit or (not weather.stalled and town.arrived < town.sent):
                        await asyncio.sleep(0.01)
                if weather.stalled:
                    await asyncio.sleep(1.0)
                    # Whoever is half deaf is cut off, or hears on; either way nothing is lost.
                    if run.random(what).random() < 0.5:
                        proxy.end_all(How.RESET)
                proxy.set_weather(Weather())
            town.limit = None
            await town.rest()
        result.add(await asyncio.to_thread(town.account))
    return result


WEATHER: Final = Scenario(
    "weather", "1-byte chunks, delay, one-way stalls, resets", lambda run: asyncio.run(_in_crumbs(run))
)
