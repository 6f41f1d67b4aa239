"""Pairs of people who write to each other for a long time: `python -m bench.soak_people URL DIRECTORY PAIRS`.

A process of its own with the real client library and stores on disk. It takes {"rate": messages a second,
"leave": whether people come and go} from stdin, prints what it counted every two seconds, and ends at "end"
with everything that was sent delivered, or said to be lost. Each message is a number, so that a lost,
repeated or overtaking one is seen.
"""

import asyncio
import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from bench.ordinary import percentile
from clients.messenger import Messenger
from clients.model import MessageStatus
from clients.watching import ContactEvent

REPORT_EVERY: Final = 2.0
AWAY: Final = 2.0  # seconds
STAYS: Final = 3.0  # seconds between two who leave
PATIENCE: Final = 90.0


@dataclass(slots=True)
class Counts:
    """What happened since the start."""

    sent: int = 0
    received: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    lost: int = 0
    left: int = 0
    presence: int = 0


@dataclass(slots=True)
class Interval:
    """What happened since the last report."""

    waits: list[float] = field(default_factory=list)
    lag: float = 0


class Person:
    """One profile, which is open most of the time."""

    def __init__(self, directory: Path, url: str, town: "Town") -> None:
        self.directory = directory
        self.town = town
        self._url = url
        self._expected = 0
        self._sent = 0
        self._due: dict[int, float] = {}
        self._last: bytes | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.other: Person
        self.me: Messenger | None = None

    async def enter(self) -> None:
        """Open the profile."""
        me = Messenger.open(self.directory, relay=self._url)
        await me.__aenter__()
        self.me = me
        self._tasks = [asyncio.create_task(self._hear(me))]
        if me.contacts.all():
            self._tasks.append(asyncio.create_task(self._watch(me)))

    async def leave(self) -> None:
        """Close it."""
        me, self.me = self.me, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if me is not None:
            await me.__aexit__(None, None, None)

    async def _hear(self, me: Messenger) -> None:
        counts, loop = self.town.counts, asyncio.get_running_loop()
        async for message in me:
            number = int(message.text)
            if number < self._expected:
                counts.duplicated += not message.redelivered
                continue
            counts.out_of_order += number != self._expected
            self._expected = number + 1
            counts.received += 1
            self.town.interval.waits.append(loop.time() - self.other._due.pop(number))

    async def _watch(self, me: Messenger) -> None:
        async with me.watch("other") as events:
            async for event in events:
                self.town.counts.presence += isinstance(event, ContactEvent)

    async def say(self, due: float) -> None:
        """Send the next number, if somebody is here to send it."""
        if self.me is None:
            return
        number, self._sent = self._sent, self._sent + 1
        self._due[number] = due
        self.town.counts.sent += 1
        self._last = await self.me.send("other", str(number))

    async def finish(self) -> None:
        """Wait until all that was sent is receipted; what is not is lost."""
        if self.me is not None and self._last is not None:
            status = await self.me.wait(self._last, MessageStatus.DELIVERED, PATIENCE)
            self.town.counts.lost += status is not MessageStatus.DELIVERED
        self.town.counts.lost += len(self._due)


class Town:
    """All people of this process."""

    def __init__(self, url: str, directory: Path, pairs: int) -> None:
        self.counts = Counts()
        self.interval = Interval()
        self.rate = 0.0
        self.leave = False
        self.people = [Person(directory / str(number), url, self) for number in range(2 * pairs)]
        for number, person in enumerate(self.people):
            person.other = self.people[number ^ 1]

    async def open(self) -> None:
        """Make everybody a contact of the other."""
        for person in self.people:
            await person.enter()
        for person in self.people:
            assert person.me is not None
            assert person.other.me is not None
            person.me.contacts.add("other", str(person.other.me.address))

    async def send(self) -> None:
        """Send at the rate that is asked for, everybody in turn."""
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        while True:
            if not self.rate:
                await asyncio.sleep(0.1)
                due = loop.time()
                continue
            await asyncio.sleep(due - loop.time())
            await self.people[number % len(self.people)].say(due)
            number += 1
            due += 1 / (self.rate or 1)

    async def come_and_go(self) -> None:
        """Now and then somebody closes the program and opens it again."""
        number = 0
        while True:
            await asyncio.sleep(STAYS)
            if self.leave:
                person = self.people[number % len(self.people)]
                number += 1
                await person.leave()
                await asyncio.sleep(AWAY)
                await person.enter()
                self.counts.left += 1

    async def notice_lag(self) -> None:
        """How late this process's own event loop is, at most."""
        loop = asyncio.get_running_loop()
        while True:
            start = loop.time()
            await asyncio.sleep(0.02)
            self.interval.lag = max(self.interval.lag, loop.time() - start - 0.02)

    def report(self) -> None:
        """Print the counts and what the last interval was like."""
        interval, self.interval = self.interval, Interval()
        waits = interval.waits or [0.0]
        line = {name: getattr(self.counts, name) for name in self.counts.__slots__}
        line["sqlite"] = apsw.memory_used()
        line |= {"p50": percentile(waits, 0.5), "p99": percentile(waits, 0.99), "lag": interval.lag}
        print(json.dumps(line), flush=True)

    async def report_on(self) -> None:
        """Report for as long as this runs."""
        while True:
            await asyncio.sleep(REPORT_EVERY)
            self.report()


async def main(url: str, directory: Path, pairs: int) -> None:
    """Obey stdin."""
    town = Town(url, directory, pairs)
    await town.open()
    works = [town.send(), town.come_and_go(), town.notice_lag(), town.report_on()]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(work) for work in works]
        while (line := (await asyncio.to_thread(sys.stdin.readline)).strip()) and line != "end":
            wish = json.loads(line)
            town.rate, town.leave = wish["rate"], wish["leave"]
        town.rate = 0
        for task in running:
            task.cancel()
    for person in town.people:
        if person.me is None:  # away when it ended
            await person.enter()
    await asyncio.gather(*(person.finish() for person in town.people))
    town.report()
    for person in town.people:
        with contextlib.suppress(Exception):
            await person.leave()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
