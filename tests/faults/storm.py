"""The relay goes away under 2,000 devices and comes back: all of them are back and drained in half a minute.

Owns the scenario. The devices are in processes of their own (`tests.faults.crowd`), each at an address of its
own, with the client's own schedule of attempts; the relay has its default settings and looks at its own event
loop.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from tests.faults.child import command
from tests.faults.frames import look_at_log, store_size
from tests.faults.relay_patches import make_lag, read_lag
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.support.relay_process import RelayProcess

DEVICES, PROCESSES = 2000, 2
FRAMES = 5  # waiting in each mailbox
BACK_WITHIN = 30.0
LAG_MAX = 1.0
ANSWER_WITHIN = 180.0


class Part:
    """One process of the crowd."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, line: str) -> dict[str, Any]:
        """Send a command and wait for its report."""
        self.tell(line)
        return await self.hear()

    def tell(self, line: str) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """The next report."""
        assert self.process.stdout is not None
        async with asyncio.timeout(ANSWER_WITHIN):
            return dict(json.loads(await self.process.stdout.readline()))


@contextlib.asynccontextmanager
async def _crowd(port: int) -> AsyncIterator[list[Part]]:
    parts = []
    for number in range(PROCESSES):
        flags = ("--port", str(port), "--devices", str(DEVICES // PROCESSES), "--part", str(number))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.faults.crowd", *flags, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        parts.append(Part(process))
    try:
        yield parts
    finally:
        for part in parts:
            with contextlib.suppress(ProcessLookupError):
                part.process.kill()
            await part.process.wait()


async def _all(parts: list[Part], line: str) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(part.ask(line) for part in parts)))


async def _storm(relay: RelayProcess, parts: list[Part], run: Run, kind: str, result: Result) -> None:
    """One disappearance. The clock starts when the relay listens again."""
    lag = run.directory / "lag"
    await _all(parts, "hold")
    await _all(parts, f"put {FRAMES}")
    if kind == "kill":
        relay.kill()
    else:
        began = time.time()
        code = await asyncio.to_thread(relay.terminate)
        result.figures["SIGTERM with all connected, s"] = round(time.time() - began, 1)
        if code != 0:
            result.problems.append(f"ended with {code}")
    result.faults[f"storm after {kind}"] += 1
    result.largest_store = max(result.largest_store, store_size(relay.data_dir))
    make_lag(lag)
    for part in parts:
        part.tell("storm")
    await asyncio.to_thread(relay.start)
    listening = time.time()
    reports = await asyncio.gather(*(part.hear() for part in parts))
    back = max(report["last_login"] for report in reports) - listening
    drained = max(report["last_drained"] for report in reports) - listening
    worst = read_lag(lag)
    ends: Counter[str] = sum((Counter(report["ends"]) for report in reports), Counter())
    result.messages += sum(report["frames"] for report in reports)
    result.out_of_order += sum(report["unordered"] for report in reports)
    result.figures |= {
        f"after {kind}: all logged in, s": round(back, 1),
        f"after {kind}: all drained, s": round(drained, 1),
        f"after {kind}: loop late by, s": round(worst, 2),
        f"after {kind}: attempts": sum(report["attempts"] for report in reports),
    }
    run.say(f"after {kind}: connections that ended: {dict(ends)}")
    if drained > BACK_WITHIN:
        result.problems.append(f"after {kind}: the last was drained after {drained:.1f} s")
    if worst > LAG_MAX:
        result.problems.append(f"after {kind}: the event loop was late by {worst:.2f} s")


def storm(run: Run) -> Result:
    """The scenario."""
    result = Result()

    async def storms() -> None:
        relay = RelayProcess(run.directory, command=command("relay", f"lag={run.directory / 'lag'}"))
        with relay:
            async with _crowd(relay.port) as parts:
                began = time.monotonic()
                await _all(parts, "hold")
                run.say(f"{DEVICES} devices registered and connected in {time.monotonic() - began:.1f} s")
                for kind in ("kill", "SIGTERM") * (5 if run.is_long else 1):
                    await _storm(relay, parts, run, kind, result)
        look_at_log(result, relay)

    asyncio.run(storms())
    return result


STORM = Scenario(
    "storm",
    f"{DEVICES} devices lose the relay at once: all are back and drained in 30 s, no stall over 1 s",
    storm,
)
