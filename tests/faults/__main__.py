"""`make faults`: real processes, real faults, and an account of every message.

    python -m tests.faults [--long] [--only NAME ...] [--seed N] [--messages N] [--faults N] [--minutes M]

Exits 0 only if nothing was lost, doubled or out of order and no scenario found anything else to say.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.catalogue import SCENARIOS
from tests.faults.result import Result, verdict
from tests.faults.scenario import Run, Scenario


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Break things while messages flow, then account for every message.",
        epilog="Scenarios:\n" + "\n".join(f"  {each.name:18} {each.shows}" for each in SCENARIOS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [each.name for each in SCENARIOS]
    parser.add_argument("--long", action="store_true", help="every scenario at its full size: hours")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="this one; repeatable")
    parser.add_argument("--seed", type=int, help="repeat the choices of a run before")
    parser.add_argument("--messages", type=int, help="how many messages the combined run sends")
    parser.add_argument("--faults", type=int, help="how many faults the combined run causes")
    parser.add_argument("--minutes", type=float, help="how long the combined run goes on at most")
    parser.add_argument("--record", type=Path, help="append what happens to this file, as JSON lines")
    parser.add_argument("--resume", action="store_true", help="go on where --record and --seed stopped")
    parser.add_argument(
        "--mutate", action="append", default=[], metavar="NAME",
        help="break the children on purpose, to see it found (tests/faults/mutations.py)",
    )  # fmt: skip
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Scenario]:
    if arguments.only:
        return [each for each in SCENARIOS if each.name in arguments.only]
    return [each for each in SCENARIOS if each.by_default or arguments.long]


def _run(scenario: Scenario, run: Run) -> Result:
    began = time.monotonic()
    run.say(f"{scenario.shows} (seed {run.seed})")
    run.note("begin", seed=run.seed, long=run.is_long, mutations=run.mutations)
    try:
        result = scenario.run(run)
    except Exception as error:
        traceback.print_exc()
        result = Result(problems=[f"{type(error).__name__}: {error}"])
    result.problems = [f"{scenario.name}: {problem}" for problem in result.problems]
    for problem in result.problems:
        print(problem, flush=True)
    took = round(time.monotonic() - began, 1)
    run.note("end", seconds=took, **result.to_json())
    figures = "".join(f", {what} {figure}" for what, figure in result.figures.items())
    run.say(f"{'ok' if result.is_good else 'FAILED'} in {took} s{figures}")
    return result


def main() -> int:
    """Run what was asked for; the exit code."""
    arguments = _arguments()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    directory = Path(tempfile.mkdtemp(prefix="blindpost-faults-"))
    record = arguments.record or directory / "record.jsonl"
    total = Result()
    for scenario in _chosen(arguments):
        place = directory / scenario.name
        place.mkdir()
        run = Run(
            scenario.name, place, seed, arguments.long, record, arguments.messages, arguments.faults,
            arguments.minutes, arguments.resume, tuple(arguments.mutate),
        )  # fmt: skip
        result = _run(scenario, run)
        total.add(result)
        if result.is_good:
            shutil.rmtree(place)
    if total.is_good and arguments.record is not None:
        shutil.rmtree(directory)
    else:
        print(f"What the processes wrote is in {directory}", flush=True)
    print(verdict(total, seed), flush=True)
    return 0 if total.is_good and total.faults else 1


if __name__ == "__main__":
    sys.exit(main())
