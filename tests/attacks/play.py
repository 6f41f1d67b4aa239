"""One attack, played twice: what becomes of it, as a row of the table.

Owns the two plays, their places and their deadline. Knows no attack by name.
"""

import asyncio
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.attacks.attack import Attack, Caught, Outcome, Succeeded
from tests.attacks.catalogue import ATTACKS
from tests.attacks.stage import Stage

DEADLINE = 60.0  # seconds for one play, on a busy machine; most take half a second


@dataclass
class Row:
    """What became of one attack. `problems` are sentences; one is enough to be red."""

    name: str
    caught: bool = False
    control: bool = False
    who: str = ""
    how: str = ""
    after: int = 0
    gained: str = ""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """What is printed as soon as it is done."""
        if self.problems:
            return "\n".join(f"{self.name}: FAILED: {problem}" for problem in self.problems)
        return f"{self.name}: caught by {self.who}; without the defence: {self.gained} ({self.seconds:.1f} s)"

    def to_json(self) -> dict[str, Any]:
        """One object."""
        return asdict(self)


async def _staged(attack: Attack) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="blindpost-attack-") as directory:
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


def play(name: str) -> Row:
    """Play it with every defence, and without the one that it names."""
    attack = next(each for each in ATTACKS if each.name == name)
    row, began = Row(name), time.monotonic()
    match _outcome(attack, row, defended=True):
        case Caught(who, how, after):
            row.caught, row.who, row.how, row.after = True, who, how, after
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
