"""One relay, the tap before it, and people who talk through it: all that an audit drives and captures.

Owns their beginning and end, the canaries that were planted and the moments at which is looked. What the
people do is a drive's: `clients.audit.driving.drive`.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from clients.audit.canaries.private_values import private_values
from clients.audit.canaries.search import Canary
from clients.audit.capture.evidence import Evidence, Place, Source
from clients.audit.capture.processes import dialled_by
from clients.audit.capture.relays import Relay
from clients.audit.capture.sight import Sight, memory
from clients.audit.driving.people import CLIENT, Person
from clients.audit.tap.wiretap import Wiretap, open_tap
from clients.config import PROXY_VARIABLE, ClientConfig
from keys.content import Kind

if TYPE_CHECKING:
    from clients.audit.tap.interception import Upstream

MARK: Final = 24  # random characters of a canary
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(slots=True)
class Stage:
    """A drive's surroundings.

    `options`: of every `init` at this relay, and `invites` for it.
    `places`: where is looked. `reads_keys`: whether the users' keys are read, to be searched for as well.
    `planted`: each canary by the field that it was typed into first. `carried`: kinds of content that were
    seen to have reached somebody. `driven`: the features, as lines of the report.
    """

    directory: Path
    relay: Relay
    tap: Wiretap
    evidence: Evidence
    client: Sequence[str]
    say: Callable[[str], None]
    places: Container[Place] = frozenset(Place)
    reads_keys: bool = True
    options: Sequence[str] = ()
    invites: list[str] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    planted: dict[str, list[Canary]] = field(default_factory=dict)
    private: dict[bytes, Canary] = field(default_factory=dict)
    carried: set[Kind] = field(default_factory=set)
    driven: list[str] = field(default_factory=list)
    seen_running: set[str] = field(default_factory=set)  # whose client's memory was looked at

    def person(self, name: str, passphrase: str | None = None, *, by_variable: bool = False) -> Person:
        """Somebody new, with a profile directory of their own in which is nothing yet."""
        person = Person(
            self.directory / "people" / self.canary("--profile", f"{name}-{{}}"),
            self.client,
            passphrase=passphrase,
            environment={PROXY_VARIABLE: self.tap.proxy},
            by_variable=by_variable,
        )
        self.people[name] = person
        return person

    def init(self) -> list[str]:
        """The options with which somebody new comes to this relay."""
        invite = ["--invite", self.invites.pop()] if self.invites else []
        return ["--relay", self.relay.url, *self.options, *invite]

    def canary(self, typed_into: str, pattern: str = "{}", letters: str = LETTERS) -> str:
        """A fresh random text for a field; `pattern` says how it is typed, where more than letters are."""
        mark = "".join(secrets.choice(letters) for _ in range(MARK))
        self.plant(typed_into, mark.encode(), is_text=True)
        return pattern.format(mark)

    def plant(self, typed_into: str, value: bytes, *, is_text: bool = False) -> bytes:
        """A value that is random already, such as the id of a message, as a canary; the value."""
        marks = self.planted.setdefault(typed_into, [])
        marks.append(Canary(f"{typed_into} #{len(marks) + 1}", value, is_text))
        return value

    def did(self, what: str) -> None:
        """A feature was driven to its end: a line of the report."""
        self.driven.append(what)
        self.say(what)

    @property
    def canaries(self) -> list[Canary]:
        """All of them: what was typed, and the private values read so far."""
        return [*(mark for marks in self.planted.values() for mark in marks), *self.private.values()]

    async def look(self, moment: str) -> None:
        """Take all that can be read of the relay now, and the keys that its users hold now."""
        for name, person in self.people.items() if self.reads_keys else ():
            for canary in await asyncio.to_thread(self._keys_of, name, person):
                self.private.setdefault(canary.value, canary)
        sources = [*self.relay.sources()]
        for name, person in self.people.items():
            if person.is_running:
                self.seen_running.add(name)
                sources += [_own_memory(name, person.pid), _ways_out(name, person.pid, self.tap.proxy)]
        for source in sources:
            if source.place in self.places:
                await asyncio.to_thread(self.evidence.take, source, moment)
        self.say(f"looked at everything: {moment}")

    def _keys_of(self, name: str, person: Person) -> list[Canary]:
        if not (person.profile / "store.db").exists():
            return []
        return private_values(name, ClientConfig(person.profile, person.passphrase))


def _own_memory(name: str, pid: int) -> Source:
    return Source(Place.CLIENT, f"memory of {name}'s client", lambda sight: memory(pid, sight))


def _ways_out(name: str, pid: int, proxy: str) -> Source:
    return Source(
        Place.WIRE, f"connections of {name}'s client", lambda sight: past_the_tap(pid, proxy, sight)
    )


def past_the_tap(pid: int, proxy: str, sight: Sight) -> Iterable[tuple[str, bytes]]:
    """Nothing: where a client goes past the tap, what it says there is unread."""
    try:
        ways = dialled_by(pid, ())
        sight.was_there = True
    except OSError as error:
        sight.unread.append(f"sockets: {error.strerror}")
        return ()
    through = f"a connection to {urlsplit(proxy).netloc}"
    sight.unread += [f"it has {way}, past the tap" for way in ways if way != through]
    return ()


@contextlib.asynccontextmanager
async def open_stage(
    directory: Path,
    relay: Relay,
    client: Sequence[str] = CLIENT,
    say: Callable[[str], None] = lambda line: None,
    *,
    places: Container[Place] = frozenset(Place),
    reads_keys: bool = True,
    upstream: "Upstream | None" = None,
    options: Sequence[str] = (),
    invites: Sequence[str] = (),
) -> AsyncIterator[Stage]:
    """A stage before a relay that runs. At the end people are stopped, and what the tap heard is taken."""
    (directory / "people").mkdir(parents=True, exist_ok=True)
    evidence = Evidence(directory / "evidence")
    (directory / "evidence").mkdir(mode=0o700)
    async with open_tap(upstream) as tap:
        stage = Stage(
            directory, relay, tap, evidence, client, say, places, reads_keys, options, list(invites)
        )
        try:
            yield stage
        finally:
            await asyncio.gather(*(person.stop() for person in stage.people.values()))
    for where, data in tap.seen():
        evidence.add(Place.WIRE, where, data)
