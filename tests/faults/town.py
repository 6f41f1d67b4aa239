"""A relay and people who talk to each other without end, for scenarios that then break things.

Owns the relay's process, the people, the task that keeps messages flowing, and coming to rest: everything
runs again, everything has arrived, everybody ends in order.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from tests.faults.child import command
from tests.faults.ledger import settle_all
from tests.faults.person import Person
from tests.faults.result import Result
from tests.support.relay_process import RelayProcess

AHEAD: Final = 300  # messages that may be on their way to one recipient
REST_WITHIN: Final = 300.0
QUIET: Final = 45.0  # seconds without anything new: what has not come will not come (a gap is held for 30 s)
Pair = tuple[str, str]

# On one loopback address everybody is one neighbour.
NEIGHBOURS: Final[dict[str, object]] = {"sockets-per-prefix": 2000, "submit-per-prefix": 1000}


class Town:
    """Use `town`."""

    def __init__(self, directory: Path, pairs: Sequence[Pair], relay_patches: Sequence[str] = ()) -> None:
        self.directory = directory
        self.pairs = pairs
        self.relay_patches = tuple(relay_patches)
        self.relay = RelayProcess(directory, settings=NEIGHBOURS, command=command("relay", *relay_patches))
        self.people: dict[str, Person] = {}
        self.limit: int | None = None  # messages in all
        self.sent = 0
        self.is_flowing = True
        self.resting: set[str] = set()  # who writes nothing new for now
        self.is_ending = False
        self.problems: list[str] = []

    def meet(
        self,
        client_patches: Sequence[str],
        places: dict[str, str] | None = None,
        doors: dict[str, str] | None = None,
    ) -> None:
        """Start the relay and make the profiles.

        `places` is where a person's device finds the relay, `doors` where the others do who write to it.
        """
        self.relay.start()
        for name in dict.fromkeys(name for pair in self.pairs for name in pair):
            person = Person(self.directory, name, tuple(client_patches))
            person.client.init((places or {}).get(name, self.relay.origin))
            self.people[name] = person
        for one, other in self.pairs:
            address = self.people[other].client.address
            if doors and other in doors:
                address = address.partition("@")[0] + "@" + doors[other]
            self.people[one].client.run("contact", "add", other, address)

    async def restart_relay(self, *patches: str) -> None:
        """Start it again, with these patches besides its own."""
        self.relay._command = command("relay", *self.relay_patches, *patches)
        await asyncio.to_thread(self.relay.start)

    async def relay_life(self, within: float, *patches: str) -> int:
        """A whole life of the relay, which ends by itself; its exit code. Raises TimeoutError."""
        self.relay._command = command("relay", *self.relay_patches, *patches)
        process = self.relay.spawn()
        async with asyncio.timeout(within):
            while (code := process.poll()) is None:
                await asyncio.sleep(0.02)
        return code

    @property
    def arrived(self) -> int:
        """How many different messages have been handed over."""
        return sum(each.received.total() for each in self.people.values())

    def more(self) -> None:
        """Everybody writes, as far as the others keep up."""
        for one, other in self.pairs:
            sender, recipient = self.people[one], self.people[other]
            flow = sender.flows.get(other)
            ahead = 0 if flow is None else flow.next - recipient.received[one]
            room = AHEAD - ahead if self.is_flowing and one not in self.resting else 0
            if self.limit is not None:
                room = min(room, self.limit - self.sent)
            self.sent += sender.send_more(other, max(0, room))

    async def keep_flowing(self) -> None:
        """Write whenever there is room, until cancelled."""
        while True:
            self.more()
            await asyncio.sleep(0.01)

    async def rest(self) -> None:
        """Until all that was sent has been handed over and receipted; then everybody ends.

        Raises nothing for what is missing: the account will say it.
        """
        self.is_flowing = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REST_WITHIN):
                for person in self.people.values():
                    await person.settled(REST_WITHIN)
                await self._all_arrived()
                for person in self.people.values():
                    await self._receipted(person)
        self.is_ending = True
        for person in self.people.values():
            if (code := await person.stop()) != 0:
                self.problems.append(f"{person.name} ended with {code} at the end of its input")

    async def _all_arrived(self) -> None:
        """Raises TimeoutError when nothing comes any more."""
        arrived, since = self.arrived, time.monotonic()
        while arrived < self.sent:
            await asyncio.sleep(0.05)
            if self.arrived > arrived:
                arrived, since = self.arrived, time.monotonic()
            elif time.monotonic() - since > QUIET:
                raise TimeoutError

    async def _receipted(self, person: Person) -> None:
        for flow in person.flows.values():
            for number in list(flow.queued)[-3:]:
                await person.call(
                    "status", id=flow.queued[number], wait="delivered", timeout=30.0, within=60.0
                )

    def account(self, *, may_mend: bool = False) -> Result:
        """What became of every message; all processes must have ended."""
        result = settle_all(list(self.people.values()), may_mend=may_mend)
        result.problems += self.problems
        if "Traceback" in self.relay.log:
            result.problems.append(f"the relay printed a traceback: {self.relay.log_path}")
        store = self.relay.data_dir.glob("relay.db*")
        result.largest_store = max(result.largest_store, sum(path.stat().st_size for path in store))
        return result


@contextlib.asynccontextmanager
async def flowing(town: Town) -> AsyncIterator[None]:
    """Messages flow inside; nothing runs any more afterwards."""
    writing = asyncio.create_task(town.keep_flowing())
    try:
        yield
    finally:
        writing.cancel()
        ended = await asyncio.gather(writing, return_exceptions=True)
        for person in town.people.values():
            if person.is_alive:
                await person.kill()
        if town.relay.running and (code := await asyncio.to_thread(town.relay.terminate)) != 0:
            town.problems.append(f"the relay ended with {code} when asked to stop")
    for problem in ended:
        if isinstance(problem, Exception):
            raise problem
