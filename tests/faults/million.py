"""A restart over 1,000,000 stored frames: ready in five seconds, from a cold disk as well, and all are right.

Owns the scenario. What is stored is known by its number (`tests.support.known_store`), so that all that is
drained can be compared without being kept.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from tests.faults.child import command
from tests.faults.crowd import Device
from tests.faults.frames import look_at_log, store_size
from tests.faults.full_disk import readiness
from tests.faults.light_socket import LightSocket
from tests.faults.relay_patches import read_lag
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.support.full_store import forget
from tests.support.known_store import account_of, fill, frame_of
from tests.support.relay_process import RelayProcess
from wire.control import Acknowledge, Pull
from wire.frames import Put, decode_deliver
from wire.limits import MAILBOX_FRAMES, UNACKNOWLEDGED_FRAMES

MAILBOXES = 100
FRAMES = 1_000_000
READY_WITHIN = 5.0
SAMPLES = 100
DRAINED = 10  # mailboxes that are drained by default


def _device(relay: RelayProcess, mailbox: int) -> Device:
    source = f"127.20.{mailbox // 250}.{mailbox % 250 + 1}"
    return Device(mailbox, relay.port, source, account=account_of(mailbox))


def _start(relay: RelayProcess, result: Result, what: str) -> None:
    """Start it and wait until /readyz says so; the clock starts with the process."""
    began = time.monotonic()
    relay.start()
    while readiness(relay) != 200:
        if time.monotonic() - began > 60:
            raise TimeoutError("never ready")
        time.sleep(0.02)
    took = time.monotonic() - began
    result.faults["start over a full store"] += 1
    result.figures[f"ready ({what}), s"] = round(took, 2)
    if took > READY_WITHIN:
        result.problems.append(f"ready ({what}) after {took:.1f} s; {READY_WITHIN:.0f} are promised")


async def _drain(relay: RelayProcess, mailbox: int, extra: list[bytes], result: Result) -> None:
    """Pull and acknowledge a whole mailbox; each frame is the one that belongs there, in order."""
    connection = await _device(relay, mailbox).log_in()
    connection.send(Pull().encode())
    expected = [frame_of(mailbox, number).frame_id for number in range(FRAMES // MAILBOXES)] + extra
    last = 0
    for number, frame_id in enumerate(expected):
        async with asyncio.timeout(20):
            message = await connection.receive()
        assert isinstance(message, bytes), message
        frame = decode_deliver(message)
        result.out_of_order += frame.sequence <= last
        last = frame.sequence
        if frame.frame_id != frame_id:
            result.lost += 1
        elif number < FRAMES // MAILBOXES and frame.envelope != frame_of(mailbox, number).envelope:
            result.duplicated += 1
        if (number + 1) % (UNACKNOWLEDGED_FRAMES // 2) == 0 or number + 1 == len(expected):
            connection.send(Acknowledge(through=last).encode())
        result.messages += 1
    connection.abort()


async def _timed(work: Callable[[int], Awaitable[None]]) -> str:
    """Half and 99 of 100, in milliseconds, one after the other."""
    times = []
    for number in range(SAMPLES):
        began = time.perf_counter()
        await work(number)
        times.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(times, n=100)
    return f"{cuts[49]:.1f} / {cuts[98]:.1f}"


async def _latencies(
    relay: RelayProcess, sender: LightSocket, extra: list[list[bytes]], result: Result
) -> None:
    async def log_in_and_pull(number: int) -> None:
        connection = await _device(relay, number).log_in()
        connection.send(Pull().encode())
        assert isinstance(await connection.receive(), bytes)
        connection.abort()

    async def put(number: int) -> None:
        frame = frame_of(1000 + number, 0)
        sender.send(Put(frame.frame_id, account_of(number).device.key, frame.envelope).encode())
        said = str(await sender.receive())
        # Without a token it is a request: in the same mailbox, behind the others.
        assert "queued_as_request" in said, said
        extra[number].append(frame.frame_id)

    result.figures["put, ms (p50 / p99)"] = await _timed(put)
    result.figures["login to first frame, ms (p50 / p99)"] = await _timed(log_in_and_pull)


async def _work(relay: RelayProcess, run: Run, result: Result) -> None:
    extra: list[list[bytes]] = [[] for _ in range(MAILBOXES)]
    await _latencies(relay, await _device(relay, MAILBOXES).submit(), extra, result)
    chosen = run.random("mailboxes").sample(range(MAILBOXES), MAILBOXES if run.is_long else DRAINED)
    before, began = result.messages, time.monotonic()
    for start in range(0, len(chosen), 4):
        await asyncio.gather(
            *(_drain(relay, mailbox, extra[mailbox], result) for mailbox in chosen[start : start + 4])
        )
    rate = (result.messages - before) / (time.monotonic() - began)
    result.figures["drained, frames/s"] = round(rate)


def million(run: Run) -> Result:
    """The scenario."""
    result, lag = Result(), run.directory / "lag"
    relay = RelayProcess(run.directory, command=command("relay", f"lag={lag}"))
    assert FRAMES // MAILBOXES == MAILBOX_FRAMES
    began = time.monotonic()
    asyncio.run(fill(relay.data_dir / "relay.db", MAILBOXES, FRAMES // MAILBOXES))
    run.say(f"{FRAMES:,} frames stored in {time.monotonic() - began:.1f} s")
    forget(relay.data_dir / "relay.db")
    try:
        _start(relay, result, "cold")
        asyncio.run(_work(relay, run, result))
        relay.kill()
        result.largest_store = store_size(relay.data_dir)
        _start(relay, result, "after a kill")
        result.figures["loop late by, s"] = round(read_lag(lag), 2)
        relay.terminate()
    finally:
        relay.kill()
    look_at_log(result, relay)
    return result


MILLION = Scenario(
    "million",
    f"a start over {FRAMES:,} stored frames: ready in {READY_WITHIN:.0f} s, and each frame is the right one",
    million,
)
