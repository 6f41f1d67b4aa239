"""A store that may not be written: held by another process or read-only, at the start and while it runs.

Owns the scenario. A start says what is wrong in a sentence and ends with 2; a running relay refuses frames
with a code and a time to come back, serves who reads, and goes on by itself once it may write again.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.child import command
from tests.faults.frames import Lane, account_for, look_at_log, store_size, until
from tests.faults.full_disk import readiness
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.support.relay_process import RelayProcess
from wire.errors import ErrorCode

HOLDER = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(10000)
connection.execute(sys.argv[2]).fetchall()
print("held", flush=True)
sys.stdin.read()
"""
# Root may write whatever a mode says, unless this is taken from it.
NO_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")


@contextlib.contextmanager
def held(database: Path, how: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Another process that holds the database until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        yield
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def _refused_start(relay: RelayProcess, word: str, result: Result) -> None:
    """The start ends with 2 and one sentence that has this word."""
    before = len(relay.log) if relay.log_path.exists() else 0
    code = relay.spawn().wait(20)
    said = relay.log[before:]
    result.faults["start refused"] += 1
    if code != 2 or word not in said or "Traceback" in said or len(said.splitlines()) != 1:
        result.problems.append(f"a start that must be refused ended with {code} and said: {said[-500:]}")


def _starts(relay: RelayProcess, result: Result) -> None:
    """Starts on a store that is held, or may not be written by whoever the relay runs as."""
    database = relay.data_dir / "relay.db"
    with held(database):
        # Reading is possible, so it serves: unready, until the other lets go.
        with relay:
            if readiness(relay) != 503:
                result.problems.append("/readyz is fine at a start on a locked store")
        result.faults["start on a locked store"] += 1
    with held(database, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"):
        _refused_start(relay, "another program holds it", result)
    bound = RelayProcess(
        relay.log_path.parent,
        command=(*(NO_OVERRIDE if os.geteuid() == 0 else ()), sys.executable, "-m", "relay"),
    )
    for path, mode in ((database, 0o400), (relay.data_dir, 0o500), (relay.data_dir / "relay.key", 0o000)):
        usual = path.stat().st_mode
        path.chmod(mode)
        (relay.data_dir / "relay.lock").chmod(0o400 if path == relay.data_dir else 0o600)
        try:
            _refused_start(bound, str(path), result)
        finally:
            path.chmod(usual)
            (relay.data_dir / "relay.lock").chmod(0o600)


async def _while_it_runs(relay: RelayProcess, lanes: list[Lane], result: Result) -> None:
    for lane in lanes:
        lane.ledger.add(1500, 2048)
    putting = [asyncio.create_task(lane.put_all()) for lane in lanes]
    await until(lambda: sum(len(lane.ledger.accepted) for lane in lanes) > 300, "the load")
    with held(relay.data_dir / "relay.db"):
        result.faults["locked while it runs"] += 1
        # Longer than the relay waits for a lock, so that it must answer.
        await until(lambda: all(lane.ledger.refusals for lane in lanes), "a refusal for everybody", 12)
        if await asyncio.to_thread(readiness, relay) != 503:
            result.problems.append("/readyz is fine while nothing can be written")
        # Reading goes on.
        async with asyncio.timeout(10):
            await lanes[0].receive_until(lanes[0].ledger.nothing_lost)
    for lane in lanes:
        unexpected = set(lane.ledger.refusals) - {
            ErrorCode.INTERNAL,
            ErrorCode.GO_BACK,
            ErrorCode.RATE_LIMITED,
        }
        if unexpected or not all(lane.ledger.retry_afters):
            result.problems.append(f"a locked store was told as {dict(lane.ledger.refusals)}")
    async with asyncio.timeout(60):
        await asyncio.gather(*putting, *(lane.receive_all() for lane in lanes))


def held_store(run: Run) -> Result:
    """The scenario."""
    result = Result()

    async def while_it_runs() -> list[Lane]:
        with relay:
            lanes = [Lane(relay.url, source=f"127.0.5.{number + 1}") for number in range(3)]
            for lane in lanes:
                await lane.open()
            await _while_it_runs(relay, lanes, result)
            for lane in lanes:
                lane.ledger.add(20)
                await lane.put_all()
        return lanes

    async def after(lanes: list[Lane]) -> None:
        with relay:
            async with asyncio.timeout(30):
                await asyncio.gather(*(lane.receive_all() for lane in lanes))

    relay = RelayProcess(
        run.directory, command=command("relay", *(() if run.is_long else ("busy_timeout=500",)))
    )
    lanes = asyncio.run(while_it_runs())
    _starts(relay, result)
    asyncio.run(after(lanes))
    result.largest_store = store_size(relay.data_dir)
    account_for(result, (lane.ledger for lane in lanes))
    look_at_log(result, relay)
    return result


HELD_STORE = Scenario(
    "held-store",
    "a store that is locked or read-only, at the start and in mid-run: refused in words, then it goes on",
    held_store,
)
