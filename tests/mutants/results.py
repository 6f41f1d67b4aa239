"""What became of each mutant, remembered between runs, and the list of survivors that are accepted.

Owns .mutants/results/, with one line per trial, so that an interrupted run goes on where it stopped, and
accepted.toml, in which each survivor has a reason. Knows no tests.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.plan import WORK, Mutant, Name

ACCEPTED = Path(__file__).parent / "accepted.toml"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant, by the digest of it and of the tests that it survived."""

    mutant: str
    verdict: str  # killed, survived, timed out
    by: str  # the test that failed first
    tests: str


class Results:
    """Those of one module. A killed mutant stays killed; `forget` removes all of it."""

    def __init__(self, module: str) -> None:
        self._path = WORK / "results" / f"{module}.jsonl"
        self._known: dict[str, Result] = {}
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                if line.endswith("}"):  # one may have been cut off
                    result = Result(**json.loads(line))
                    self._known[result.mutant] = result

    def of(self, mutant: Mutant, tests: str) -> Result | None:
        """What is known of a mutant. One that survived must have survived these tests, as they are now."""
        known = self._known.get(mutant.digest)
        return known if known and (known.verdict != "survived" or known.tests == tests) else None

    def last(self, mutant: Mutant) -> Result | None:
        """What was found of a mutant last, whatever tests have changed since."""
        return self._known.get(mutant.digest)

    def add(self, result: Result) -> None:
        """Remember one."""
        self._known[result.mutant] = result
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write("\n" + json.dumps(asdict(result)))

    def forget(self) -> None:
        """Begin anew."""
        self._path.unlink(missing_ok=True)
        self._known = {}


def accepted(path: Path = ACCEPTED) -> dict[Name, str]:
    """The reason of each survivor that is accepted. Raises ValueError for one without, or listed twice."""
    found: dict[Name, str] = {}
    for module, groups in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for group in groups:
            if len(group["why"].split()) < 3:
                raise ValueError(f"{path.name}: a reason of {module} says nothing: {group['why']!r}")
            for function, was, becomes in group["mutants"]:
                name = Name(module, function, was, becomes)
                if name in found:
                    raise ValueError(f"{path.name}: listed twice: {name}")
                found[name] = group["why"]
    return found


@dataclass(frozen=True, slots=True)
class Score:
    """The figures of a module, or of all."""

    made: int
    killed: int
    timed_out: int
    listed: int
    survived: int

    @property
    def percent(self) -> float:
        """How many of those made were noticed, by a test that failed or one that did not end."""
        return 100 * (self.killed + self.timed_out) / self.made if self.made else 100.0

    def __str__(self) -> str:
        alone = f", {self.survived} survived unlisted" if self.survived else ""
        return (
            f"{self.made} made, {self.killed} killed, {self.listed} survived and listed{alone}, "
            f"{self.timed_out} timed out, score {self.percent:.1f} %"
        )


def score(outcomes: Iterable[tuple[Name, str]], reasons: dict[Name, str]) -> Score:
    """The figures of mutants with their verdicts."""
    counts = Counter(
        "listed" if verdict == "survived" and name in reasons else verdict for name, verdict in outcomes
    )
    return Score(counts.total(), counts["killed"], counts["timed out"], counts["listed"], counts["survived"])
