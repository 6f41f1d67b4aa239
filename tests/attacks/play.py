"""One attack, played twice: what becomes of it, as a row of the table.

Owns the two plays, their places and their deadline. Knows no attack.
"""

import asyncio
import shutil
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.attacks.attack import Attack, Caught, Outcome, Succeeded
from tests.attacks.stage import Stage

DEADLINE: Final = 60.0  # seconds for one play, on a busy machine; most take half a second
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - its own directory is made in it
ROOM: Final = 2**30  # bytes


def _place() -> Path | None:
    """Where plays have their stores: in memory, as nothing outlives one and fsyncs would take most of it."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if has_room else None


@dataclass
class Row:
    """What became of one attack. `problems` are sentences; one is enough to be red."""

    name: str
    caught: bool = False
    control: bool = False
    who: str = ""
    how: str = ""
    after: int = 0
    says: str = ""
    gained: str = ""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the attack was caught, and the control shows by what."""
        return self.caught and self.control and not self.problems

    def line(self) -> str:
        """What is printed as soon as it is done."""
        if self.problems:
            return "\n".join(f"{self.name}: FAILED: {problem}" for problem in self.problems)
        return f"{self.name}: caught by {self.who}; without the defence: {self.gained} ({self.seconds:.1f} s)"

    def to_json(self) -> dict[str, Any]:
        """One object."""
        return asdict(self)


async def _staged(attack: Attack) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="blindpost-attack-", dir=_place()) as directory:
        async with asyncio.timeout(DEADLINE), Stage(Path(directory)) as stage:
            return await attack.play(stage)


def _outcome(attack: Attack, row: Row, *, defended: bool) -> Outcome | None:
    which = "with every defence" if defended else "in the control"
    try:
        with nullcontext() if defended else attack.defenceless():
            return asyncio.run(_staged(attack))
    except Exception as error:  # a scene that breaks is a red row, and no reason to stop
        row.problems.append(f"{which}: {type(error).__name__}: {error}")
        return None


def play(attack: Attack) -> Row:
    """Play it with every defence, and without the one that it names."""
    row, began = Row(attack.name), time.monotonic()
    match _outcome(attack, row, defended=True):
        case Caught(who, how, after, says):
            row.caught, row.who, row.how, row.after, row.says = True, who, how, after, says
        case Succeeded(what):
            row.problems.append(f"it succeeds: {what}")
    match _outcome(attack, row, defended=False):
        case Succeeded(what):
            row.control, row.gained = True, what
        case Caught(who, how):
            row.problems.append(
                f"the control proves nothing: without the defence, {who} notices it too ({how})"
            )
    row.seconds = round(time.monotonic() - began, 2)
    return row


def verdict(rows: list[Row]) -> str:
    """The last line: tried, caught, and how many controls succeeded."""
    caught, succeeded = sum(row.caught for row in rows), sum(row.control for row in rows)
    state = "ok" if rows and all(row.is_good for row in rows) else "FAILED"
    return f"attacks: {state}: {len(rows)} tried, {caught} caught, {succeeded} controls succeeded"
