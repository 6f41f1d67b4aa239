"""Where a frame's time goes in the relay: its stacks, sampled by py-spy while lone and burst frames flow.

Owns the sampling and the sums. Runs beside no measurement: sampling costs the relay a little.
"""

import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.live import WARM_UP
from bench.peers.programs import ENVIRONMENT
from bench.systems import BURST, LONE, USERS, Blindpost

RATE: Final = 400  # samples per second
SHOWN: Final = 14  # functions
# A thread that sleeps here is counted as busy for want of knowing better.
WAITING: Final = ("_worker (", "Condition.wait (", "wait (threading")
Shares = dict[str, float]


def _shares(stacks: Sequence[str]) -> Shares:
    """The share of each function's own time, the largest first; `stacks` are `outer;inner count` lines."""
    own: Counter[str] = Counter()
    for stack in stacks:
        frames, _, count = stack.rpartition(" ")
        last = frames.rpartition(";")[2]
        if last.startswith(WAITING):
            continue
        name, _, place = last.partition(" (")
        file = place.rpartition(":")[0] or place
        own[f"{name} ({'/'.join(Path(file).parts[-2:])})"] += int(count)
    total = own.total() or 1
    shown = {name: count / total for name, count in own.most_common(SHOWN)}
    return shown | {"everything else": 1 - sum(shown.values())}


def measure(seconds: float) -> dict[str, Shares]:
    """Shares of the relay's own time by function, for each mode; nothing where py-spy may not look."""
    program = ENVIRONMENT / "bin" / "py-spy"
    if not program.exists():
        print("profile left out: make bench installs py-spy")
        return {}
    found = {}
    with (
        tempfile.TemporaryDirectory(prefix="blindpost-bench-") as temporary,
        Blindpost(Path(temporary)) as relay,
    ):
        for mode in (LONE, USERS, BURST):
            samples = Path(temporary) / f"{mode.name}.txt"
            with relay.open(mode) as generator:
                generator.run(WARM_UP, mode.window)
                options = ("--rate", RATE, "--format", "raw", "--duration", max(1, round(seconds)))
                command = [program, "record", "--pid", relay.relay.pid, *options, "--output", samples]
                spy = subprocess.Popen(
                    [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                generator.run(max(1, round(seconds)) + 0.5, mode.window)
                if spy.wait(60) != 0:
                    print("profile left out: py-spy may not look into the relay (it needs root)")
                    return {}
            found[mode.name] = _shares(samples.read_text().splitlines())
    return found


def show(found: dict[str, Shares]) -> None:
    """Print it."""
    for mode, shares in found.items():
        print(f"\n{mode}: share of the relay's own time")
        for name, share in shares.items():
            print(f"  {share:6.1%}  {name}")
