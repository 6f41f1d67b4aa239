"""Everything at once: people who talk without end, through a bad network, while processes die at random.

Owns the schedule. Faults come at even distances in messages, which of them, whom they hit and how long they
last is drawn from the printed seed. The run goes in rounds, each with a relay and profiles of its own and an
account at its end, so that a long one can be resumed from its record.
"""

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.faults.mutations import mutations_for
from tests.faults.patches import make_clock
from tests.faults.person import Person
from tests.faults.proxy import Cut, How, Proxy, Way, Weather
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.faults.town import NEIGHBOURS, Town, flowing

DAY: Final = 86_400.0
AT_ONCE: Final = 3  # faults that may overlap
OVER_WITHIN: Final = 60.0  # seconds for the last faults to be over
PATIENCE: Final = "impatient=2"
PROGRESS_EVERY: Final = 10.0
TRIO: Final = ("carol", "dave", "erin")
PAIRS: Final = (
    ("alice", "bob"),
    ("bob", "alice"),
    *((one, other) for one in TRIO for other in TRIO if one != other),
)


@dataclass(frozen=True)
class Size:
    """How much a run is: a round ends when both are reached, or the time is up."""

    messages: int
    faults: int
    seconds: float

    def round_of(self, count: int) -> "Size":
        """One of so many rounds."""
        return Size(-(-self.messages // count), -(-self.faults // count), self.seconds / count)


DEFAULT: Final = Size(4_000, 24, 60.0)
LONG: Final = Size(1_000_000, 1_000, 3 * 3600.0)
ROUND: Final = 50_000  # messages


class Chaos:
    """The faults of one round."""

    def __init__(self, town: Town, proxies: dict[str, Proxy], chances: random.Random, run: Run) -> None:
        self._town = town
        self._proxies = proxies
        self._chances = chances
        self._run = run
        self._relay = asyncio.Lock()
        self._people = {name: asyncio.Lock() for name in town.people}
        self._nets = {name: asyncio.Lock() for name in proxies}
        self._room = asyncio.Semaphore(AT_ONCE)
        self.result = Result()

    @property
    def _kinds(self) -> dict[str, tuple[int, Callable[[], Awaitable[None]]]]:
        return {
            "kill -9 of the relay": (2, lambda: self._end_relay(signal.SIGKILL)),
            "SIGTERM to the relay": (1, lambda: self._end_relay(signal.SIGTERM)),
            "kill -9 of a client": (6, lambda: self._end_client(signal.SIGKILL)),
            "SIGTERM to a client": (2, lambda: self._end_client(signal.SIGTERM)),
            "SIGSTOP of a client": (1, self._suspend_client),
            "resets": (3, lambda: self._break(How.RESET)),
            "half closes": (2, self._half_close),
            "cuts": (4, self._cut),
            "stall": (2, self._stall),
            "1-byte chunks": (1, lambda: self._under(Weather(chunk=1))),
            "delay": (1, lambda: self._under(Weather(delay=0.05))),
            "clock step of a client": (1, self._step_client),
            "clock step of the relay": (1, self._step_relay),
            "relay's database may not grow": (1, self._fill),
        }

    async def strike(self) -> None:
        """One fault, from its beginning to its end."""
        kinds = self._kinds
        (kind,) = self._chances.choices(list(kinds), [weight for weight, _ in kinds.values()])
        async with self._room:
            self._run.note("fault", kind=kind, sent=self._town.sent, arrived=self._town.arrived)
            await kinds[kind][1]()
            if kind not in ("cuts", "half closes"):  # the proxy counts those that came about
                self.result.faults[kind] += 1

    def _someone(self) -> str:
        return self._chances.choice(list(self._town.people))

    def _while(self) -> float:
        return self._chances.uniform(0.0, 1.5)

    # --- processes ------------------------------------------------------------------------------------

    async def _end_relay(self, number: signal.Signals) -> None:
        pause = self._while()
        async with self._relay:
            relay = self._town.relay
            if number is signal.SIGKILL:
                await asyncio.to_thread(relay.kill)
            elif (code := await asyncio.to_thread(relay.terminate)) != 0:
                self.result.problems.append(f"the relay ended with {code} when asked to stop")
            await asyncio.sleep(pause)
            await asyncio.to_thread(relay.start)

    async def _end_client(self, number: signal.Signals) -> None:
        name, pause = self._someone(), self._while()
        async with self._people[name]:
            person = self._town.people[name]
            if number is signal.SIGKILL:
                await person.kill()
            else:
                person.signal(number)
                code = await person.ended(30.0)
                if code not in (0, 143, -signal.SIGTERM):  # the last: before it could have an opinion
                    self.result.problems.append(f"{name} ended with {code} when asked to stop")
            await asyncio.sleep(pause)
            await person.start()

    async def _suspend_client(self) -> None:
        name, pause = self._someone(), self._while()
        async with self._people[name]:
            person = self._town.people[name]
            person.signal(signal.SIGSTOP)
            await asyncio.sleep(pause)
            person.signal(signal.SIGCONT)

    async def watch(self) -> None:
        """Start again what ended by itself, and say so: nothing may."""
        while not self._town.is_ending:
            for name, person in self._town.people.items():
                if not self._people[name].locked() and not person.is_alive:
                    self.result.problems.append(f"{name} ended by itself with {await person.ended(30.0)}")
                    await person.start()
            if not self._relay.locked() and not self._town.relay.running:
                self.result.problems.append("the relay ended by itself")
                async with self._relay:
                    await asyncio.to_thread(self._town.relay.start)
            await asyncio.sleep(0.2)

    # --- the network ----------------------------------------------------------------------------------

    async def _break(self, how: How) -> None:
        self._proxies[self._someone()].end_all(how)

    async def _half_close(self) -> None:
        proxy = self._proxies[self._someone()]
        proxy.plan.append(Cut(self._chances.choice(list(Way)), self._chances.randint(0, 6000), How.HALF))
        proxy.end_all(How.CLOSE)

    async def _cut(self) -> None:
        proxy = self._proxies[self._someone()]
        for _ in range(self._chances.randint(1, 5)):
            how = self._chances.choice((How.CLOSE, How.RESET))
            proxy.plan.append(Cut(self._chances.choice(list(Way)), self._chances.randint(0, 20_000), how))
        proxy.end_all(How.CLOSE)

    async def _stall(self) -> None:
        ways, broken = {self._chances.choice(list(Way))}, self._chances.random() < 0.5
        name = self._someone()
        async with self._nets[name]:
            await self._weather(name, Weather(stalled=ways))
            if broken:
                self._proxies[name].end_all(How.RESET)

    async def _under(self, weather: Weather) -> None:
        name = self._someone()
        async with self._nets[name]:
            await self._weather(name, weather)

    async def _weather(self, name: str, weather: Weather) -> None:
        self._proxies[name].set_weather(weather)
        await asyncio.sleep(self._while())
        self._proxies[name].set_weather(Weather())

    # --- time and space -------------------------------------------------------------------------------

    async def _step_client(self) -> None:
        make_clock(_clock(self._run.directory, self._someone()), self._chances.choice((-DAY, 0.0, DAY)))

    async def _step_relay(self) -> None:
        make_clock(_clock(self._run.directory, "relay"), self._chances.choice((-DAY, 0.0, DAY)))

    async def _fill(self) -> None:
        full = _full(self._run.directory)
        pause = self._while()
        async with self._relay:
            full.touch()
            await asyncio.sleep(pause)
            full.unlink()


def _clock(directory: Path, who: str) -> Path:
    return directory / f"{who}.clock"


def _full(directory: Path) -> Path:
    return directory / "full"


async def _round(run: Run, size: Size, chances: random.Random) -> Result:
    """A relay, people and an account of their own."""
    clock = _clock(run.directory, "relay")
    make_clock(clock)
    of_relay = (f"clock={clock}", f"pages={_full(run.directory)}", *mutations_for("relay", run.mutations))
    town = Town(run.directory, PAIRS, of_relay)
    names = list(dict.fromkeys(name for pair in PAIRS for name in pair))
    async with contextlib.AsyncExitStack() as stack:
        proxies = {name: await stack.enter_async_context(Proxy(town.relay.port)) for name in names}
        origins = [town.relay.origin, *(proxy.origin for proxy in proxies.values())]
        town.relay.settings |= {**NEIGHBOURS, "public-urls": ",".join(origins)}
        patches = (PATIENCE, *mutations_for("clients", run.mutations))
        await asyncio.to_thread(town.meet, patches, {name: proxy.origin for name, proxy in proxies.items()})
        for name, person in town.people.items():
            _give_clock(person, _clock(run.directory, name))
            await person.start()
        chaos = Chaos(town, proxies, chances, run)
        town.limit = size.messages
        began = time.monotonic()
        async with flowing(town):
            watching = asyncio.create_task(chaos.watch())
            await _until_done(town, chaos, size, run)
            took = time.monotonic() - began
            await town.rest()
            await watching
        result = await asyncio.to_thread(town.account, may_mend=True)
        for proxy in proxies.values():
            result.faults.update(proxy.happened)
    result.add(chaos.result)
    result.figures["messages/s"] = round(town.sent / took)
    return result


def _give_clock(person: Person, clock: Path) -> None:
    make_clock(clock)
    person.patches = (f"clock={clock}", *person.patches)


async def _until_done(town: Town, chaos: Chaos, size: Size, run: Run) -> None:
    """Cause faults at even distances, until the messages are sent or the time is up."""
    began = said = time.monotonic()
    faults: list[asyncio.Task[None]] = []
    while time.monotonic() < began + size.seconds:
        await asyncio.sleep(0.01)
        due = size.faults * min(1.0, town.sent / size.messages)
        if len(faults) < due and len(faults) < size.faults:
            faults.append(asyncio.create_task(chaos.strike()))
        if time.monotonic() > said + PROGRESS_EVERY:
            said = time.monotonic()
            run.note("progress", sent=town.sent, arrived=town.arrived, faults=len(faults))
            run.say(f"{town.sent} sent, {town.arrived} arrived, {len(faults)} faults")
        if town.sent >= size.messages and len(faults) >= size.faults:
            break
    async with asyncio.timeout(OVER_WITHIN + len(faults)):
        for fault in faults:
            await fault


def _so_far(run: Run) -> list[Result]:
    """The rounds of this seed that the record holds already."""
    if not run.resumes or not run.record.exists():
        return []
    lines = [json.loads(line) for line in run.record.read_text().splitlines()]
    return [
        Result.from_json(line)
        for line in lines
        if line["scenario"] == run.name and line["event"] == "round" and line["seed"] == run.seed
    ]


def _combined(run: Run) -> Result:
    usual = LONG if run.is_long else DEFAULT
    minutes = usual.seconds if run.minutes is None else run.minutes * 60
    size = Size(
        usual.messages if run.messages is None else run.messages,
        usual.faults if run.faults is None else run.faults,
        minutes,
    )
    count = max(1, round(size.messages / ROUND))
    total = Result()
    rates: list[int] = []
    before = _so_far(run)
    for number in range(count):
        if number < len(before):
            result = before[number]
        else:
            directory = run.directory / f"round-{number}"
            directory.mkdir()
            surroundings = replace(run, directory=directory)
            result = asyncio.run(_round(surroundings, size.round_of(count), run.random(str(number))))
            run.note("round", number=number, seed=run.seed, **result.to_json())
        total.add(result)
        rates.append(int(result.figures["messages/s"]))
        if count > 1:
            run.say(
                f"round {number + 1} of {count}: {total.messages} messages, {total.faults.total()} faults"
            )
    total.figures |= {"rounds": count, "messages/s, slowest round": min(rates), "fastest": max(rates)}
    return total


COMBINED: Final = Scenario("combined", "everything at random, all at once, through a bad network", _combined)
