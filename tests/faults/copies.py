"""An old copy of a profile is put back, and sessions are lost, again and again while people talk.

Owns the copying and what the account may then excuse: a sender whose store is older has forgotten messages
that its recipient has, and a recipient whose store is older is handed messages again without a mark. All else
holds: everything that was said enters the recipient's history once and in order, and the user is told.

Copies are put back for one of the two, whom the seed chooses, and sessions are lost by both. If both stores
were older, what nobody has any more could come from nobody. Repairs of one contact are rare on purpose, and
rarer each time: the clocks go on until what is missing has been asked for, before the next thing happens.
"""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import Final

from clients.config import ClientConfig
from clients.profile import store_key
from clients.store.store import Store
from tests.faults.mutations import mutations_for
from tests.faults.patches import make_clock
from tests.faults.person import Person
from tests.faults.result import Result, out_of_place
from tests.faults.scenario import Run, Scenario
from tests.faults.town import Town, flowing

TIMES: Final = 1  # sessions of each person, and twice as many copies of one
TIMES_LONG: Final = 25
TOLD_WITHIN: Final = 30.0
TOLD_SOON: Final = 8.0
CLIENT_PATCHES: Final = ("impatient=0.5",)
STEPS: Final = 8
STEP: Final = 1800.0  # seconds of the clients' clocks
HEALS_WITHIN: Final = 8.0
# What the user is told, in one line.
OLDER: Final = "older copy of itself"
MADE_ANEW: Final = "made anew"


async def _flushed(person: Person) -> None:
    """Everything that was handed to this person's process has been accepted by the relay."""
    await person.settled(TOLD_WITHIN)
    said = await person.call("flush", timeout=TOLD_WITHIN, within=2 * TOLD_WITHIN)
    assert said["flushed"], f"{person.name} could not send what it had"


async def _told(person: Person, words: str, within: float = TOLD_WITHIN) -> bool:
    """Whether the user hears of it."""
    end = asyncio.get_running_loop().time() + within
    while asyncio.get_running_loop().time() < end:
        problems = (await person.call("me", settle=5.0))["problems"]
        if any(words in problem for problem in problems):
            return True
        await asyncio.sleep(0.2)
    return False


async def _some_more(town: Town, count: int) -> None:
    """Until so many more messages have been handed over."""
    wanted = town.arrived + count
    async with asyncio.timeout(TOLD_WITHIN * 3):
        while town.arrived < wanted:
            await asyncio.sleep(0.02)


async def _put_back(town: Town, person: Person, life: int, apart: int) -> bool:
    """Kill, copy, live on for a while, kill, put the copy back; whether the user is told."""
    copy = person.client.profile.with_name(f"{person.name}-{life}")
    await person.kill()
    shutil.copytree(person.client.profile, copy, ignore=shutil.ignore_patterns("socket"))
    await person.start()
    await _some_more(town, apart)
    town.resting.add(person.name)
    await _flushed(person)
    await person.kill()
    shutil.rmtree(person.client.profile)
    copy.rename(person.client.profile)
    await person.start()
    told = await _told(person, OLDER)
    town.resting.discard(person.name)
    return told


async def _lose_sessions(town: Town, person: Person) -> bool:
    """Kill, forget every session with the others, go on; whether the user is told."""
    await person.kill()
    store = Store(person.client.profile / "store.db", store_key(ClientConfig(person.client.profile)))
    with store.transaction() as db:
        db.execute("UPDATE devices SET sessions = NULL")
    store.close()
    await person.start()
    return await _told(person, MADE_ANEW, TOLD_SOON)


async def _unheard(town: Town) -> int:
    """How many messages that were said are not in their recipient's history."""
    count = 0
    for one, other in town.pairs:
        said = set(town.people[one].flows[other].queued.values())
        kept = await asyncio.to_thread(town.people[other].history, one)
        count += len(said - {line["id"] for line in kept})
    return count


async def _heal(town: Town, run: Run, later: float) -> float:
    """Go on until nothing is missing, if need be later by the clocks; how much later it is then."""
    for _ in range(STEPS):
        town.limit = town.sent + 2 * len(town.pairs)  # what is missing is noticed when something comes
        end = asyncio.get_running_loop().time() + HEALS_WITHIN
        while missing := await _unheard(town):
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.2)
        run.note("healing", later=later, missing=missing)
        if not missing:
            break
        later += STEP
        for person in town.people.values():
            make_clock(_clock(run.directory, person.name), later)
    town.limit = None
    return later


def _account(town: Town) -> Result:
    """Every message that was said against the recipient's history, and what the stream gave."""
    result = Result(problems=list(town.problems))
    for one, other in town.pairs:
        sender, recipient = town.people[one], town.people[other]
        flow, name = sender.flows[other], f"{one} to {other}"
        said = [flow.queued[number] for number in sorted(flow.queued)]
        kept = [line["id"] for line in recipient.history(one) if line["direction"] == "in"]
        stream = {each.id for each in recipient.given if each.contact == one}
        lost = [id for id in said if id not in set(kept) or id not in stream]
        twice = [id for id, count in Counter(kept).items() if count > 1]
        strange = set(kept) - set(said)
        result.messages += len(said)
        result.lost += len(lost)
        result.duplicated += len(twice)
        disorder = out_of_place(kept, said)
        result.out_of_order += disorder
        if lost or twice or strange or disorder:
            numbers = [number for number, id in flow.queued.items() if id in set(lost)]
            result.problems.append(
                f"{name}: {len(lost)} lost (numbers {numbers[:5]}), {len(twice)} twice, "
                f"{len(strange)} never sent, {disorder} out of order"
            )
    for person in town.people.values():
        result.largest_store = max(result.largest_store, person.store_bytes())
        if "Traceback" in person.client.errors:
            result.problems.append(f"{person.name} printed a traceback: {person.client.stderr_path}")
    if "Traceback" in town.relay.log:
        result.problems.append(f"the relay printed a traceback: {town.relay.log_path}")
    return result


def _clock(directory: Path, who: str) -> Path:
    return directory / f"{who}.clock"


async def _run(run: Run) -> Result:
    chances = run.random()
    town = Town(run.directory, (("alice", "bob"), ("bob", "alice")), mutations_for("relay", run.mutations))
    await asyncio.to_thread(town.meet, (*CLIENT_PATCHES, *mutations_for("clients", run.mutations)))
    times = TIMES_LONG if run.is_long else TIMES
    unlucky = chances.choice(list(town.people))
    plan = [(unlucky, "copy")] * (2 * times) + [(name, "sessions") for name in town.people] * times
    chances.shuffle(plan)
    faults: Counter[str] = Counter()
    hears, later = 0, 0.0
    async with flowing(town):
        for name, person in town.people.items():
            make_clock(_clock(run.directory, name))
            person.patches = (f"clock={_clock(run.directory, name)}", *person.patches)
            await person.start()
        await _some_more(town, 50)
        for life, (name, kind) in enumerate(plan):
            person = town.people[name]
            if kind == "copy":
                told = await _put_back(town, person, life, chances.randint(1, 80))
                faults["old copies put back"] += 1
            else:
                told = await _lose_sessions(town, person)
                faults["sessions lost"] += 1
            run.note("loss", kind=kind, person=name, told=told, arrived=town.arrived)
            hears += told
            if not told and kind == "copy":
                town.problems.append(f"{name} was told nothing of it ({kind}, number {life})")
            await _some_more(town, 20)
            later = await _heal(town, run, later)
        await town.rest()
    result = await asyncio.to_thread(_account, town)
    result.faults.update(faults)
    if hears == faults["old copies put back"]:  # who is written to first has nothing to be told of
        result.problems.append("nobody was told of lost sessions")
    return result


OLD_COPIES: Final = Scenario(
    "old-copies", "old copies of profiles put back, sessions lost", lambda run: asyncio.run(_run(run))
)
