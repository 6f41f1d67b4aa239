"""`make fuzz`: every target for a bounded time, two at once; or one input again.

    python -m tests.fuzz [--seconds 20] [--only put,content] [--keep]
    python -m tests.fuzz --machine 200
    python -m tests.fuzz TARGET FILE

What was found lies in .fuzz/findings/, and the command that runs it again is printed. What reaches further
than the corpus is remembered in .fuzz/corpus/ for the next run; `--keep` puts the least of it that reaches
as far into the repository.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import machine
from tests.fuzz.campaign import MISSING
from tests.fuzz.catalogue import CORPUS, TARGETS, inputs
from tests.fuzz.target import Target

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".fuzz"
WORKERS = 2
ONE_INPUT = 20  # seconds that one input may take on a busy machine; most take microseconds
MEMORY = 1024  # MB of a whole process
START = 120  # seconds for a process to import and instrument everything, on a busy machine
KEPT_MAX = 2200  # bytes of an input that goes into the repository: larger ones are mostly padding


@dataclass
class Outcome:
    """What came of one target."""

    name: str
    executions: int = 0
    new: int = 0
    found: list[Path] = field(default_factory=list)
    trouble: str = ""


def _dictionary(target: Target) -> list[str]:
    if not target.words:
        return []
    path = WORK / "words" / target.name
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    path.write_text("".join(f'"{word}"\n' for word in words))
    return [f"-dict={path}"]


def _known(target: Target) -> Path:
    """A folder with the seeds and the repository's corpus."""
    folder = WORK / "known" / target.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in inputs(target):
        (folder / name.replace(" ", "-")).write_bytes(data)
    return folder


def _fuzz(target: Target, *flags: str | Path) -> tuple[int, str]:
    """Exit code and output of libFuzzer, whose output also goes to .fuzz/logs/."""
    command = [sys.executable, "-m", "tests.fuzz.campaign", target.name, *map(str, flags)]
    log = WORK / "logs" / target.name
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        try:
            limit = START + sum(
                int(str(flag)[16:]) for flag in flags if str(flag).startswith("-max_total_time=")
            )
            code = subprocess.run(
                command, cwd=ROOT, stdout=output, stderr=output, timeout=limit, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    return code, log.read_text("utf-8", "replace")


def run(name: str, seconds: int) -> Outcome:
    """One target for so long."""
    target, outcome = TARGETS[name], Outcome(name)
    found, grown = WORK / "findings", WORK / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    grown.mkdir(parents=True, exist_ok=True)
    known, before, old = _known(target), {*grown.iterdir()}, {*found.iterdir()}
    code, output = _fuzz(
        target,
        *(f"-max_total_time={seconds}", f"-max_len={target.max_input}", f"-timeout={ONE_INPUT}"),
        *(f"-rss_limit_mb={MEMORY}", "-print_final_stats=1", f"-artifact_prefix={found}/{name}-"),
        *_dictionary(target),
        *(grown, known),
    )
    counted = re.findall(r"^stat::number_of_executed_units: (\d+)", output, re.MULTILINE)
    counted = counted or re.findall(r"^#(\d+)\t", output, re.MULTILINE)
    outcome.executions = int(counted[-1]) if counted else 0
    outcome.new = len({*grown.iterdir()} - before)
    outcome.found = sorted(path for path in {*found.iterdir()} - old if path.name.startswith(f"{name}-"))
    if code != 0 and not outcome.found:
        outcome.trouble = f"ended with {code}: see {WORK / 'logs' / name}"
    elif outcome.executions == 0:
        outcome.trouble = f"executed nothing: see {WORK / 'logs' / name}"
    return outcome


def keep(name: str) -> int:
    """Put the least of what reaches further into the repository; returns how many inputs are there."""
    target = TARGETS[name]
    least, grown = WORK / "least" / name, WORK / "corpus" / name
    shutil.rmtree(least, ignore_errors=True)
    least.mkdir(parents=True)
    if not grown.exists():
        return 0
    seeds = WORK / "known" / name
    shutil.rmtree(seeds, ignore_errors=True)
    seeds.mkdir(parents=True)
    for number, data in enumerate(target.seeds()):
        (seeds / f"seed-{number}").write_bytes(data)
    for path in grown.iterdir():
        if path.stat().st_size <= KEPT_MAX:
            shutil.copy(path, seeds / path.name)
    _fuzz(target, "-merge=1", f"-max_len={target.max_input}", f"-timeout={ONE_INPUT}", least, seeds)
    ours = {data for _, data in inputs(target)}
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    for path in least.iterdir():
        if path.read_bytes() not in ours:
            shutil.copy(path, CORPUS / name / path.name[:12])
    return len([*(CORPUS / name).iterdir()])


def replay(name: str, path: str) -> None:
    """One input again, with the whole traceback of what it breaks."""
    if name not in TARGETS:
        sys.exit(f"fuzz: there is no target {name}. There are: {', '.join(TARGETS)}")
    TARGETS[name].run(Path(path).read_bytes())
    print(f"fuzz: {name} holds for {path}")


def main() -> None:
    """Run what was asked for; exit 1 where something was found or could not be run."""
    if len(sys.argv) == 3 and not sys.argv[1].startswith("-"):
        return replay(sys.argv[1], sys.argv[2])
    flags = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz every decoder for a bounded time."
    )
    flags.add_argument("--seconds", type=int, default=20, help="for each target (default: 20)")
    flags.add_argument("--only", help="some targets, separated by commas")
    flags.add_argument("--keep", action="store_true", help="put what reaches further into the repository")
    flags.add_argument(
        "--machine", type=int, metavar="SCENES", help="in place of targets: many WebSockets at once"
    )
    asked = flags.parse_args()
    if asked.machine:
        holds, verdict = machine.run(asked.machine)
        print(verdict)
        sys.exit(not holds)
    names = asked.only.split(",") if asked.only else [*TARGETS]
    if unknown := {*names} - {*TARGETS}:
        flags.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        sys.exit(MISSING)
    outcomes = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for outcome in pool.map(lambda name: run(name, asked.seconds), names):
            print(
                f"{outcome.name:18} {outcome.executions:>10,} executions {outcome.new:>5} new inputs",
                flush=True,
            )
            for path in outcome.found:
                shown = path.relative_to(ROOT)
                print(f"  FOUND {shown}: python -m tests.fuzz {outcome.name} {shown}", flush=True)
            if outcome.trouble:
                print(f"  FAILED {outcome.trouble}", flush=True)
            outcomes.append(outcome)
    if asked.keep:
        for name in names:
            print(f"{name:18} {keep(name):>4} inputs kept in {(CORPUS / name).relative_to(ROOT)}", flush=True)
    executions, new = sum(item.executions for item in outcomes), sum(item.new for item in outcomes)
    findings, failed = sum(len(item.found) for item in outcomes), sum(bool(item.trouble) for item in outcomes)
    verdict = "ok" if not findings and not failed else "FAILED"
    rest = f", {failed} could not be run" if failed else ""
    print(
        f"fuzz: {verdict}: {len(outcomes)} targets, {executions:,} executions, {new:,} new corpus entries, "
        f"{findings} findings{rest}"
    )
    sys.exit(verdict != "ok")


if __name__ == "__main__":
    main()
