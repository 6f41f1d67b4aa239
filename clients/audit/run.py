"""A whole audit, from the first proof to the facts of its report.

Owns the order of its parts, and what happens when one fails: that is a failure in the report, and the others
are still done. Knows nothing of options, terminals or signatures.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from clients.audit.canaries.search import Canary
from clients.audit.canaries.searching import Searched, search
from clients.audit.capture.attached import AttachedRelay, StrangeRelay
from clients.audit.capture.dumping import core_dump
from clients.audit.capture.evidence import Place
from clients.audit.capture.relays import OwnRelay, RelayError
from clients.audit.controls.catalogue import CONTROLS, Control
from clients.audit.controls.playing import Fired, play
from clients.audit.driving.completeness import missing
from clients.audit.driving.drive import drive
from clients.audit.driving.people import PersonError
from clients.audit.driving.stage import Stage, open_stage
from clients.audit.driving.talk import leave, talk
from clients.audit.proving.proof import Proof, static_proof
from clients.audit.proving.tripwired import Tripwired, tripwired

TOGETHER: Final = 2  # controls that are played at the same time
LONGEST: Final = 900.0  # seconds of a part, which would not end else
SAY_EVERY: Final = 50_000_000  # bytes searched

_Part = TypeVar("_Part")
OtherRelay = AttachedRelay | StrangeRelay


@dataclass(slots=True)
class Course:
    """What an audit has seen so far. Parts that were not reached are None or empty."""

    directory: Path
    say: Callable[[str], None]
    failures: list[str] = field(default_factory=list)
    stage: Stage | None = None
    searched: Searched | None = None
    core: str | None = None  # why there is no core dump
    fired: list[Fired] = field(default_factory=list)
    proof: Proof | None = None
    tripwired: Tripwired | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def canaries(self) -> list[Canary]:
        """All that were searched for."""
        return [] if self.stage is None else self.stage.canaries

    async def part(self, what: str, work: Awaitable[_Part]) -> _Part | None:
        """Do one part; what hinders it is a failure of the audit, and no end of it."""
        self.say(what)
        try:
            async with asyncio.timeout(LONGEST):
                return await work
        except TimeoutError:
            self.failures.append(f"{what}: it did not end within {LONGEST:.0f} s")
        except (PersonError, RelayError, OSError) as error:
            self.failures.append(f"{what}: {error}")
        self.say(f"FAILED: {self.failures[-1]}")
        return None


async def audit_own(directory: Path, say: Callable[[str], None]) -> Course:
    """Audit the relay that is installed here, as a process of its own, with all that a client can do."""
    course = Course(directory, say)
    course.proof = await course.part("reading what the relay's code names", asyncio.to_thread(static_proof))
    course.tripwired = await course.part(
        "running a relay behind tripwires, without keys/ and clients/",
        tripwired(_room(directory, "tripwired"), lambda stage: talk(stage, is_quick=True)),
    )
    await course.part("driving every feature of a real relay and real clients", _drive_own(course))
    await _search_and_controls(course)
    return course


async def audit_other(
    directory: Path, relay: OtherRelay, say: Callable[[str], None], **options: Any
) -> Course:
    """Audit a relay that somebody else started, by a talk of two new users. `options` are the stage's."""
    course = Course(directory, say)
    await course.part("talking through the relay", _drive_other(course, relay, options))
    await _search_and_controls(course)
    return course


async def _drive_own(course: Course) -> None:
    relay = OwnRelay(course.directory)
    try:
        await relay.start()
        async with open_stage(course.directory, relay, say=course.say) as stage:
            course.stage = stage
            await drive(stage)
        course.missing = missing(stage)
        dumped = await core_dump(relay)
        if isinstance(dumped, str):
            course.core = dumped
        else:
            await asyncio.to_thread(stage.evidence.take, dumped, "at the end")
    finally:
        await relay.kill()


async def _drive_other(course: Course, relay: OtherRelay, options: dict[str, Any]) -> None:
    async with open_stage(course.directory, relay, say=course.say, **options) as stage:
        course.stage = stage
        try:
            await talk(stage)
        finally:
            await leave(stage)


async def _search_and_controls(course: Course) -> None:
    if course.stage is not None:
        if course.stage.tap.overflowed:
            course.failures.append("more passed on the wire than was kept: not all of it was looked at")
        course.searched = await course.part(
            "searching everything that was captured", _searched(course, course.stage)
        )
    course.fired = await _play_all(CONTROLS, course)


async def _searched(course: Course, stage: Stage) -> Searched:
    """The search in a thread, which ends soon where nobody waits for it any more."""
    is_over = threading.Event()
    try:
        return await asyncio.to_thread(_search, course, stage, is_over)
    finally:
        is_over.set()


def _search(course: Course, stage: Stage, is_over: threading.Event) -> Searched:
    told = 0

    def progress(scanned: int) -> None:
        nonlocal told
        if is_over.is_set():
            raise CancelledError
        if scanned - told >= SAY_EVERY:
            told = scanned
            course.say(f"{scanned / 1e6:,.0f} MB searched")

    return search(stage.evidence, stage.canaries, tuple(Place), progress)


async def _play_all(controls: Sequence[Control], course: Course) -> list[Fired]:
    course.say(f"playing {len(controls)} controls, each of which must turn the audit red")
    turn = asyncio.Semaphore(TOGETHER)

    async def played(control: Control) -> Fired | None:
        async with turn:
            directory = _room(course.directory, f"control-{control.name}")
            return await course.part(f"control: {control.what}", play(control, directory, course.say))

    async with asyncio.TaskGroup() as together:
        playing = [together.create_task(played(control)) for control in controls]
    return [fired for task in playing if (fired := task.result()) is not None]


def _room(directory: Path, name: str) -> Path:
    room = directory / name
    room.mkdir(mode=0o700)
    return room
