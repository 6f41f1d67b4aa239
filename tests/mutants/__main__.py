"""`make mutants`: change keys/ and wire/ in one place at a time, and see whether a test notices.

    python -m tests.mutants [--only keys.ratchet,wire.frames] [--again] [--report]

An interrupted run goes on where it stopped: what is known lies in .mutants/. A mutant that survived is
tried again when a test that could notice it has changed; `--again` tries everything again. Ends with 1
where one survived that tests/mutants/accepted.toml does not list with a reason, or where that lists one
that is noticed or gone by now. `--report` writes docs/mutants.md from what is known, and tries nothing.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass, field

from tests.mutants import page, trial
from tests.mutants.plan import MODULES, Mutant, Name, applied, path_of, plan
from tests.mutants.results import Result, Results, Score, accepted, score
from tests.mutants.suite import BrokenSuiteError, Suite, try_out
from tests.mutants.trial import Changed

NICE = 19  # long work that nobody waits for
EVERY = 10  # seconds between two lines of progress


@dataclass
class Module:
    """What came of one module."""

    name: str
    outcomes: list[tuple[Name, str]] = field(default_factory=list)

    def missed(self, reasons: dict[Name, str]) -> list[Name]:
        """What survived and is not listed."""
        return sorted(
            {n for n, verdict in self.outcomes if verdict == "survived" and n not in reasons}, key=str
        )

    def stale(self, reasons: dict[Name, str]) -> list[Name]:
        """What is listed and did not survive."""
        survived = {name for name, verdict in self.outcomes if verdict == "survived"}
        return [name for name in reasons if name.module == self.name and name not in survived]


class _Progress:
    """One line that is overwritten on a terminal; elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self._told = 0.0

    def tell(self, words: str) -> None:
        """Say how far it is."""
        if sys.stderr.isatty():
            print(f"\r\033[Kmutants: {words}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            print(f"mutants: {words}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line to what is printed next."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _try(suite: Suite, text: str, mutant: Mutant, tests: str) -> Result:
    changed = Changed(mutant.name.module, applied(text, mutant.edit))
    for selection in suite.select(mutant):
        verdict, by = try_out(suite, selection, changed)
        if verdict != "survived":
            return Result(mutant.digest, verdict, by, tests)
    return Result(mutant.digest, "survived", "", tests)


def _run(suite: Suite, name: str, progress: _Progress, *, again: bool, reasons: dict[Name, str]) -> Module:
    """Try all mutants of a module that are not known yet."""
    module, results, mutants = Module(name), Results(name), plan(name)
    if again:
        results.forget()
    text = path_of(name).read_text(encoding="utf-8")
    for number, mutant in enumerate(mutants, 1):
        tests = "".join(selection.digest for selection in suite.select(mutant))
        result = results.of(mutant, tests)
        if result is None:
            result = _try(suite, text, mutant, tests)
            results.add(result)
        module.outcomes.append((mutant.name, result.verdict))
        progress.tell(f"{name}, {number} of {len(mutants)}, {len(module.missed(reasons))} survived unlisted")
    progress.clear()
    return module


def _known(name: str) -> list[tuple[Name, str]] | None:
    """What is known of a module without trying anything; None where that is not all."""
    results = Results(name)
    found = [(mutant.name, results.last(mutant)) for mutant in plan(name)]
    return [(name, last.verdict) for name, last in found if last] if all(last for _, last in found) else None


def _show(module: Module, reasons: dict[Name, str]) -> bool:
    """Print what came of a module; whether it is as it should be."""
    missed, stale = module.missed(reasons), module.stale(reasons)
    print(f"{module.name}: {score(module.outcomes, reasons)}", flush=True)
    for name in missed:
        print(f"  survived: {name}", flush=True)
    for name in stale:
        print(f"  listed, but noticed or gone: {name}", flush=True)
    return not missed and not stale


def main() -> None:
    """Parse the command line, try, and print the verdict."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default=",".join(MODULES), help="modules, with commas between them")
    parser.add_argument("--again", action="store_true", help="forget what is known of these modules")
    parser.add_argument("--report", action="store_true", help="write docs/mutants.md, try nothing")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(MODULES):
        parser.error(f"no such module: {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    reasons = accepted()
    if options.report:
        page.write({name: _known(name) for name in MODULES}, reasons)
        return
    os.nice(NICE)
    trial.preload()
    progress = _Progress()
    try:
        suite = Suite(progress.tell)
        modules, is_right = [], True
        for name in names:
            modules.append(_run(suite, name, progress, again=options.again, reasons=reasons))
            is_right &= _show(modules[-1], reasons)
    except BrokenSuiteError as error:
        sys.exit(f"mutants: {error}")
    except KeyboardInterrupt:
        sys.exit("\nmutants: interrupted; the same command goes on from here")
    total: Score = score((outcome for module in modules for outcome in module.outcomes), reasons)
    print(f"mutants: {total}")
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
