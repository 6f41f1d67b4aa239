"""What a scenario is given, and what it is: a name, what it shows, and a function that returns a Result.

Owns the run's limits, its seed, its directory and its record. A scenario raises, or notes a problem, when a
promise is broken; it counts every fault that it really caused.
"""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.result import Result


@dataclass(frozen=True)
class Run:
    """One scenario's surroundings. `directory` is its own and empty."""

    name: str
    directory: Path
    seed: int
    is_long: bool
    record: Path
    messages: int | None = None
    faults: int | None = None
    minutes: float | None = None
    resumes: bool = False  # what the record holds of this seed already is not done again
    mutations: tuple[str, ...] = ()  # what is broken on purpose in the children, see `tests.faults.mutations`

    def random(self, purpose: str = "") -> random.Random:
        """A source of chances that the seed repeats."""
        return random.Random(f"{self.seed}/{self.name}/{purpose}")

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{self.name}] {text}", flush=True)

    def note(self, event: str, **values: Any) -> None:
        """A line of the record, which outlives the run."""
        line = {"at": round(time.time(), 3), "scenario": self.name, "event": event, **values}
        with self.record.open("a") as record:
            record.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Scenario:
    """One thing that goes wrong, and what must hold then."""

    name: str
    shows: str
    run: Callable[[Run], Result]
    by_default: bool = True  # else only with --long, or by name
