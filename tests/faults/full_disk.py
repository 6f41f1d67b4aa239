"""A disk that fills up and has room again: refused in words, nothing accepted lost, no restart needed.

Owns both scenarios: one on a real file system of a few megabytes, which only root can mount, and one where
SQLite may not add a page. In both the relay runs on, and whoever reads gets what is there.
"""

import asyncio
import contextlib
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from relay.store.room import RESERVE
from tests.faults.child import command
from tests.faults.frames import Lane, account_for, look_at_log, store_size, until
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.support.relay_process import RelayProcess
from wire.errors import ErrorCode

SIZE = RESERVE + 24 * 1024 * 1024
READY_WITHIN = 5.0


class NeedsRoot(Exception):
    """The system does not let this process mount a file system."""


@contextlib.contextmanager
def small_disk(place: Path, size: int = SIZE) -> Iterator[Path]:
    """A file system of `size` bytes mounted at `place`."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "blindpost-faults", str(place)],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise NeedsRoot(
            f"no small file system can be mounted ({done.stderr.decode().strip()}): run this as root"
        )
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(file: Path) -> None:
    """Take all room of the disk."""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
    finally:
        os.close(descriptor)


def readiness(relay: RelayProcess, path: str = "/readyz") -> int:
    """The status that a health check gets."""
    try:
        with urllib.request.urlopen(relay.http_url + path, timeout=5) as answer:  # noqa: S310 - a URL of ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def _ready_is(relay: RelayProcess, status: int) -> float:
    """Seconds until /readyz answers so. Raises TimeoutError."""
    began = time.monotonic()
    while (seen := await asyncio.to_thread(readiness, relay)) != status:
        if time.monotonic() - began > READY_WITHIN:
            raise TimeoutError(f"/readyz says {seen} instead of {status}")
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def _check_refusals(lanes: list[Lane], result: Result) -> None:
    for lane in lanes:
        other = set(lane.ledger.refusals) - {ErrorCode.STORAGE_FULL, ErrorCode.GO_BACK}
        if other or not lane.ledger.refusals[ErrorCode.STORAGE_FULL]:
            result.problems.append(f"a full disk was told as {dict(lane.ledger.refusals)}")
        if not all(lane.ledger.retry_afters):
            result.problems.append("STORAGE_FULL without retry_after")


async def _open_lanes(relay: RelayProcess, count: int, frames: int) -> list[Lane]:
    lanes = [Lane(relay.url, source=f"127.0.4.{number + 1}") for number in range(count)]
    for lane in lanes:
        await lane.open()
        lane.ledger.add(frames, 4096)
    return lanes


def _more(lanes: list[Lane], count: int) -> Callable[[], bool]:
    """Whether more than `count` frames were accepted since this was asked for."""

    def accepted() -> int:
        return sum(len(lane.ledger.accepted) for lane in lanes)

    before = accepted()
    return lambda: accepted() > before + count


async def _all_full(lanes: list[Lane]) -> None:
    """Wait until every sender has been refused again and again."""
    seen = [lane.ledger.refusals[ErrorCode.STORAGE_FULL] for lane in lanes]
    await until(
        lambda: all(
            lane.ledger.refusals[ErrorCode.STORAGE_FULL] > before + 1
            for lane, before in zip(lanes, seen, strict=True)
        ),
        "STORAGE_FULL for everybody",
    )


async def _settle(lanes: list[Lane], putting: list[asyncio.Task[None]], result: Result) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*putting, *(lane.receive_all() for lane in lanes))
    account_for(result, (lane.ledger for lane in lanes))


async def _real_disk(run: Run, disk: Path, result: Result) -> None:
    relay = RelayProcess(run.directory)
    assert relay.data_dir == disk
    filler = disk / "filler"
    with relay:
        lanes = await _open_lanes(relay, 4, 4000)
        putting = [asyncio.create_task(lane.put_all()) for lane in lanes]
        await _all_full(lanes)
        result.faults["disk filled by frames"] += 1
        await _ready_is(relay, 503)
        # What devices acknowledge makes room by itself, because the relay has kept enough to delete it.
        more = _more(lanes, 100)
        receiving = [asyncio.create_task(lane.receive_until(more)) for lane in lanes]
        await until(more, "room by what was acknowledged", 20)
        for task in receiving:
            task.cancel()
        await asyncio.wait(receiving)
        fill(filler)
        result.faults["disk full"] += 1
        await _all_full(lanes)
        result.figures["unready after, s"] = round(await _ready_is(relay, 503), 1)
        if await asyncio.to_thread(readiness, relay, "/healthz") != 200:
            result.problems.append("/healthz fails on a full disk")
        # Reading needs no room: whoever comes now gets what was accepted.
        async with asyncio.timeout(30):
            await asyncio.gather(*(lane.receive_until(lane.ledger.nothing_lost) for lane in lanes))
        _check_refusals(lanes, result)
        result.largest_store = store_size(disk)
        filler.unlink()
        began = time.monotonic()
        # Read at once, or what waits to be put fills the disk again before anybody has looked.
        settling = asyncio.create_task(_settle(lanes, putting, result))
        await _ready_is(relay, 200)
        await until(_more(lanes, 0), "frames are taken again")
        result.figures["takes frames again after, s"] = round(time.monotonic() - began, 1)
        await settling
    look_at_log(result, relay)
    await _starts(relay, filler, lanes, result)


async def _starts(relay: RelayProcess, filler: Path, lanes: list[Lane], result: Result) -> None:
    """A start on a disk without a byte left, after an orderly end and a kill: a sentence, or it serves."""
    for end in ("SIGTERM", "SIGKILL"):
        await asyncio.to_thread(relay.start)
        for lane in lanes:
            lane.ledger.add(50, 4096)
        async with asyncio.timeout(60):
            await asyncio.gather(*(lane.put_all() for lane in lanes))
        if end == "SIGTERM":
            relay.terminate()
        else:
            relay.kill()
        fill(filler)
        result.faults["start on a full disk"] += 1
        before = len(relay.log)
        process = relay.spawn()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 3.0)
        said = relay.log[before:]
        if process.poll() is None:
            result.figures[f"start on a full disk after {end}"] = "serves"
            relay.terminate()
        elif process.returncode == 2 and "full" in said:
            result.figures[f"start on a full disk after {end}"] = "says so, ends with 2"
        else:
            result.problems.append(f"start on a full disk: {process.returncode}, {said[-500:]}")
        filler.unlink()
        await asyncio.to_thread(relay.start)
        async with asyncio.timeout(60):
            await asyncio.gather(*(lane.receive_all() for lane in lanes))
        relay.terminate()
    look_at_log(result, relay)


def full_disk(run: Run) -> Result:
    """The scenario on a real file system."""
    result = Result()
    with small_disk(run.directory / "relay-data") as disk:
        asyncio.run(_real_disk(run, disk, result))
    return result


async def _page_limit(run: Run, result: Result) -> None:
    limit = run.directory / "limit"
    relay = RelayProcess(run.directory, command=command("relay", f"pages={limit}"))
    with relay:
        lanes = await _open_lanes(relay, 4, 3000)
        putting = [asyncio.create_task(lane.put_all()) for lane in lanes]
        receiving = asyncio.create_task(lanes[0].receive_all())
        for turn in range(5 if run.is_long else 2):
            await until(_more(lanes, 300), "the load")
            limit.touch()
            result.faults["page limit"] += 1
            await _all_full(lanes[1:])
            if turn == 0:
                # What is deleted makes room by itself: pages that are free may be used.
                async with asyncio.timeout(90):
                    await lanes[1].receive_until(_more(lanes[1:2], 0))
            limit.unlink()
        _check_refusals(lanes[1:], result)
        receiving.cancel()
        await asyncio.wait((receiving,))
        await _settle(lanes, putting, result)
        result.largest_store = store_size(relay.data_dir)
    look_at_log(result, relay)


def page_limit(run: Run) -> Result:
    """The scenario inside SQLite."""
    result = Result()
    asyncio.run(_page_limit(run, result))
    return result


FULL_DISK = Scenario(
    "full-disk",
    "a file system that fills up and has room again: STORAGE_FULL, 503, no restart (needs root to mount it)",
    full_disk,
)
PAGE_LIMIT = Scenario(
    "page-limit",
    "a database that may not grow: STORAGE_FULL, then room by what is acknowledged",
    page_limit,
)
