"""What a scenario found: how many faults of which kind, how many messages, and what became of them.

Owns the counts and the last line of a run. Knows no process and no proxy.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Result:
    """The account of one scenario, or of all of them. `problems` are sentences; one is enough to be red."""

    faults: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    largest_store: int = 0  # bytes, of any one database with its WAL
    figures: dict[str, float | int | str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every promise held."""
        return not (self.lost or self.duplicated or self.out_of_order or self.problems)

    def add(self, other: "Result") -> None:
        """Count another account in. Figures stay with their scenario."""
        self.faults.update(other.faults)
        self.messages += other.messages
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.out_of_order += other.out_of_order
        self.largest_store = max(self.largest_store, other.largest_store)
        self.problems += other.problems

    def to_json(self) -> dict[str, Any]:
        """For the record of a run."""
        return {
            "faults": dict(sorted(self.faults.items())),
            "messages": self.messages,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out_of_order": self.out_of_order,
            "largest_store": self.largest_store,
            "figures": self.figures,
            "problems": self.problems,
        }

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> "Result":
        """From a line of the record."""
        names = (each.name for each in fields(cls))
        return cls(**{**{name: line[name] for name in names}, "faults": Counter(line["faults"])})


def verdict(total: Result, seed: int) -> str:
    """The last line of a run: faults per kind, messages, largest store, lost, duplicated, out of order."""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(total.faults.items()))
    state = "ok" if total.is_good else "FAILED"
    return (
        f"faults: {state}: {total.faults.total():,} faults ({kinds}), {total.messages:,} messages, "
        f"largest store {total.largest_store / 1_000_000:.1f} MB, lost {total.lost}, "
        f"duplicated {total.duplicated}, out of order {total.out_of_order} (seed {seed})"
    )


def out_of_place(got: Iterable[object], wanted: Iterable[object]) -> int:
    """How many neighbours in `got` stand the other way round in `wanted`. Both have each thing once."""
    place = {thing: number for number, thing in enumerate(wanted)}
    places = [place[thing] for thing in got if thing in place]
    return sum(after < before for before, after in itertools.pairwise(places))
