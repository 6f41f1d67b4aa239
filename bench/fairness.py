"""What others cost an ordinary pair: its waits alone and beside each disturber, in turns.

`make bench ARGS=fairness`. Red when the ratio of the 99th percentiles is over 3 on the median of the rounds,
or a frame is lost or repeated; everything else is reported.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.ordinary import Ordinary, Waits, ordinary, percentile
from bench.processes import look
from bench.relay_load import Pair, make_pairs, register, relay_with_pid
from clients.connection import dial
from keys.prekeys import generate_prekey
from wire.addresses import RelayUrl
from wire.control import Publish, Published
from wire.login import Mode
from wire.prekeys import PrekeyKind

ROUNDS: Final = 3
SECONDS: Final = 2.5
SETTLING: Final = 1.0  # after a disturber began: many who connect at once are another matter
PAIRS: Final = 20
RATE: Final = 200.0  # ordinary frames a second
RED: Final = 3.0
MEMORY_RED: Final = 200 * 524_288  # bytes more of the relay's memory: half a megabyte for each deaf reader
LOGIN_RED: Final = 1.0  # seconds more, beside 500 silent sockets
KINDS: Final = {
    "deaf": "200 readers that never read",
    "slow": "50 readers at 1 KB/s",
    "hot": "1,000 senders to one mailbox",
    "flood": "400 frames of 64 KiB a second",
    "storm": "64 KiB frames, as fast as it takes",
    "silent": "500 silent or dripping sockets",
}
# Takes all that the relay has: its figures tell how that is shared, and are not judged.
REPORTED: Final = {"storm"}
# All of the load comes from one address, which the relay would bound.
CAPS: Final = ("sockets-per-prefix", "sockets-before-login", "submit-per-prefix")
FLAGS: Final = ("--submit-idle=3600", *(f"--{cap}=4000" for cap in CAPS))


class Disturbance:
    """A process of `bench.disturbers`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, word: str) -> None:
        """Ask for `on` or `off`, and wait until it is so."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        await self.heard()

    async def heard(self) -> None:
        """Wait for its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(120):
            if not await self._process.stdout.readline():
                raise RuntimeError("a disturber ended by itself")


@asynccontextmanager
async def disturbance(kind: str, relay: RelayUrl) -> AsyncIterator[Disturbance]:
    """The disturber of that kind, prepared."""
    command = [sys.executable, "-m", "bench.disturbers", kind, relay.origin]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    disturber = Disturbance(process)
    try:
        await disturber.heard()
        yield disturber
    finally:
        process.kill()
        await process.wait()


@dataclass(slots=True)
class Control:
    """Seconds that each control request took."""

    login: list[float] = field(default_factory=list)
    fetch: list[float] = field(default_factory=list)
    publish: list[float] = field(default_factory=list)


class ControlLoad:
    """A login, a fetch and a publish now and then, timed from when they were due."""

    def __init__(self, relay: RelayUrl, pair: Pair) -> None:
        self._relay = relay
        self._pair = pair
        self._device = pair.device
        self._id = 0

    async def run(self, seconds: float, every: float = 0.1) -> Control:
        """Ask in turn."""
        waits, loop = Control(), asyncio.get_running_loop()
        due = loop.time()
        until = due + seconds
        while due < until:
            await asyncio.sleep(due - loop.time())
            async with dial(self._relay, Mode.DEVICE, None, os.urandom) as connection:
                await connection.log_in(self._device)
                waits.login.append(loop.time() - due)
                start = loop.time()
                self._id += 1
                prekey = generate_prekey(self._device, PrekeyKind.SIGNED, self._id, 1_800_000_000, os.urandom)
                await connection.send(Publish(ref=1, prekeys=[prekey.public.encode()]))
                await connection.expect(Published)
                waits.publish.append(loop.time() - start)
            due += every
        return waits


@dataclass(slots=True)
class Round:
    """The figures of one kind in one round."""

    alone: Waits
    beside: Waits
    control_alone: Control
    control_beside: Control


async def measure(load: Ordinary, control: ControlLoad) -> tuple[Waits, Control]:
    """One turn."""
    waits, asked = await asyncio.gather(load.run(SECONDS, RATE), control.run(SECONDS))
    return waits, asked


def ratio(rounds: list[Round], part: Callable[[Round], tuple[list[float], list[float]]]) -> tuple[float, ...]:
    """Medians over the rounds: p50 and p99 alone, p50 and p99 beside, ratio of the p99s."""
    rows = []
    for one in rounds:
        alone, beside = part(one)
        rows.append(
            (
                percentile(alone, 0.5),
                percentile(alone, 0.99),
                percentile(beside, 0.5),
                percentile(beside, 0.99),
                percentile(beside, 0.99) / percentile(alone, 0.99),
            )
        )
    return tuple(statistics.median(column) for column in zip(*rows, strict=True))


PARTS: Final[dict[str, Callable[[Round], tuple[list[float], list[float]]]]] = {
    "accepted": lambda one: (one.alone.accepted, one.beside.accepted),
    "delivered": lambda one: (one.alone.delivered, one.beside.delivered),
    "login": lambda one: (one.control_alone.login, one.control_beside.login),
    "publish": lambda one: (one.control_alone.publish, one.control_beside.publish),
}


async def fairness(directory: Path, kinds: dict[str, str]) -> bool:
    """Measure and print; False when something is red."""
    rounds: dict[str, list[Round]] = {kind: [] for kind in kinds}
    async with AsyncExitStack() as stack:
        relay, pid = await stack.enter_async_context(relay_with_pid(directory, *FLAGS))
        load = await stack.enter_async_context(ordinary(relay, PAIRS))
        pair = make_pairs(1, 1, 1024)[0]
        await register(relay, pair)
        control = ControlLoad(relay, pair)
        disturbers = {kind: await stack.enter_async_context(disturbance(kind, relay)) for kind in kinds}
        before = look(pid).memory
        most = before
        await load.run(1, RATE)
        for _ in range(ROUNDS):
            for kind, disturber in disturbers.items():
                alone, control_alone = await measure(load, control)
                await disturber.say("on")
                await asyncio.sleep(SETTLING)
                beside, control_beside = await measure(load, control)
                most = max(most, look(pid).memory)
                await disturber.say("off")
                rounds[kind].append(Round(alone, beside, control_alone, control_beside))
    print(f"fairness: {PAIRS} pairs, {RATE:.0f} frames/s, {ROUNDS} rounds of {SECONDS:.0f} s; milliseconds")
    print(f"{'beside':35} {'':9} {'alone p50':>9} {'p99':>7} {'beside p50':>10} {'p99':>7} {'ratio':>6}")
    red = []
    for kind, name in kinds.items():
        for part, pick in PARTS.items():
            alone_50, alone_99, beside_50, beside_99, times = ratio(rounds[kind], pick)
            print(
                f"{name:35} {part:9} {alone_50 * 1000:9.1f} {alone_99 * 1000:7.1f} {beside_50 * 1000:10.1f}"
                f" {beside_99 * 1000:7.1f} {times:6.2f}"
            )
            spared = kind in REPORTED or (part == "login" and beside_99 - alone_99 < LOGIN_RED)
            if times > RED and not spared:
                red.append(f"{part} beside {name}")
    print(f"relay's memory: {before / 1e6:.0f} MB before, {most / 1e6:.0f} MB at most")
    if most - before > MEMORY_RED:
        red.append("the relay's memory")
    print(f"fairness: {'RED: ' + ', '.join(red) if red else 'ok'}")
    return not red


async def main(kinds: list[str]) -> int:
    """0 unless red."""
    chosen = {kind: KINDS[kind] for kind in kinds or KINDS}
    with tempfile.TemporaryDirectory(prefix="blindpost-fairness-") as directory:
        return 0 if await fairness(Path(directory), chosen) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
