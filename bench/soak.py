"""`make soak`: hours in minutes. Does anything grow, slow down or get lost while people talk?

Finds the rate that this machine bears (the knee), then lets real clients write at a third of it, come and go,
and measures every process every few seconds. Verdict by slope: Theil-Sen over all that follows the warm-up,
against bounds that are declared here. Every sample is a JSON line in the file that is named at the start.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from bench.processes import Look, look
from bench.raw_peer import Closed, RawPeer
from bench.relay_load import make_pairs, put_all, register, relay_with_pid
from wire.addresses import RelayUrl
from wire.control import Pull
from wire.limits import DEAD_AFTER

PROCESSES, PAIRS = 2, 3
SAMPLE_EVERY: Final = 5.0  # seconds
WARM_UP: Final = 0.3  # of the whole time; caches, allocators and stores reach their size
RAMP: Final = (10, 20, 40, 80, 120, 160, 240, 320, 480, 640)  # messages a second, over all processes
STEP: Final = 6.0  # seconds
KNEE_P99: Final = 0.5  # seconds: beyond it, or below 9 of 10 messages, a rate is too much
MEGABYTE: Final = 1_000_000
# What may grow, in an hour; what an hour shows may be less than a sample's noise in ten minutes.
RELAY_MEMORY: Final = 30 * MEGABYTE
CLIENTS_MEMORY: Final = 60 * MEGABYTE  # of a process with six clients
RELAY_STORE: Final = 2 * MEGABYTE
WAL_MOST: Final = 24 * MEGABYTE
LAG_MOST: Final = 1.0  # seconds that a relay's answer to /healthz may take
CUT_WITHIN: Final = DEAD_AFTER + 10  # seconds for a device that pulls and never reads


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs of points (Theil-Sen): outliers do not move it."""
    steps = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 != x1]
    return statistics.median(steps) if steps else 0.0


class People:
    """A process of `bench.soak_people`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.last: dict[str, Any] = {}
        self.p99: list[float] = []
        self.lag = 0.0

    @classmethod
    async def start(cls, url: RelayUrl, directory: Path) -> "People":
        """Start and wait for its first report."""
        command = [sys.executable, "-m", "bench.soak_people", url.text, str(directory), str(PAIRS)]
        pipe = subprocess.PIPE
        people = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
        await people.hear()
        return people

    async def hear(self) -> None:
        """Take its next report."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise EOFError("a process of clients ended")
        self.last = json.loads(line)
        self.p99.append(self.last["p99"])
        self.lag = max(self.lag, self.last["lag"])

    async def hear_all(self) -> None:
        """Take every report until it ends."""
        with contextlib.suppress(EOFError):
            while True:
                await self.hear()

    def kill(self) -> None:
        """End it, if it runs."""
        if self.process.returncode is None:
            self.process.kill()

    def wish(self, rate: float, *, leave: bool) -> None:
        """Set the rate, in messages a second."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"rate": rate, "leave": leave}).encode() + b"\n")

    async def end(self) -> dict[str, Any]:
        """Let everything arrive, and take the last report."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"end\n")
        await self.process.wait()
        return self.last


async def find_knee(people: Sequence[People]) -> float:
    """The highest rate of the ramp that is borne."""
    knee = RAMP[0]
    print("soak: looking for the knee", flush=True)
    for rate in RAMP:
        before = [(one.last["sent"], one.last["received"]) for one in people]
        for one in people:
            one.wish(rate / len(people), leave=False)
            one.p99.clear()
        await asyncio.sleep(STEP)
        sent = sum(one.last["sent"] - was[0] for one, was in zip(people, before, strict=True))
        received = sum(one.last["received"] - was[1] for one, was in zip(people, before, strict=True))
        p99 = max(max(one.p99, default=0.0) for one in people)
        borne = received >= 0.9 * sent and sent >= 0.7 * rate * STEP and p99 <= KNEE_P99
        print(f"  {rate:4} messages/s: {received} of {sent} received, p99 {p99 * 1000:.0f} ms", flush=True)
        if not borne:
            break
        knee = rate
    for one in people:
        one.wish(0, leave=False)
    await asyncio.sleep(STEP)
    print(f"soak: the knee is {knee} messages/s", flush=True)
    return float(knee)


async def health(url: RelayUrl) -> float:
    """Seconds that the relay takes to say that it lives: its event loop's turn, and ours."""
    start = time.monotonic()
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(60):
        await reader.read()
    took = time.monotonic() - start
    writer.close()
    return took


async def stay_deaf(url: RelayUrl) -> float:
    """Seconds until a device that pulls two megabytes and reads nothing is cut."""
    pair = make_pairs(1, 32, 65_536)[0]
    await register(url, pair)
    await put_all(url, pair)
    peer = await RawPeer.open(url)
    await peer.log_in(pair.device)
    peer.send(Pull())
    start = time.monotonic()
    while True:
        await asyncio.sleep(0.5)
        try:
            peer.probe()
        except Closed:
            await peer.close()
            return time.monotonic() - start


def _memory_of(sample: dict[str, Any], number: int) -> float:
    """Without what SQLite holds: its caches, bounded for each store, fill for as long as histories grow."""
    people = sample["people"][number]
    return float(people["memory"] - people["sqlite"])


class Soak:
    """One run."""

    def __init__(self, directory: Path, output: Path, seconds: float, rate: float | None) -> None:
        self._directory = directory
        self._rate = rate
        self._output = output
        self._seconds = seconds
        self.samples: list[dict[str, Any]] = []

    async def run(self) -> bool:
        """Everything; False when a bound is broken."""
        async with AsyncExitStack() as stack:
            data = self._directory / "relay"
            flags = ("--sockets-per-prefix=200", "--submit-per-prefix=400")
            url, pid = await stack.enter_async_context(relay_with_pid(data, *flags))
            crowd = [
                await People.start(url, self._directory / f"people-{number}") for number in range(PROCESSES)
            ]
            for one in crowd:
                stack.callback(one.kill)
            hearing = [asyncio.create_task(one.hear_all()) for one in crowd]
            print(f"soak: {PROCESSES} processes with {2 * PAIRS} clients each", flush=True)
            rate = self._rate or (await find_knee(crowd)) / 3
            print(f"soak: {self._seconds / 60:.0f} min at {rate:.0f} messages/s", flush=True)
            for one in crowd:
                one.wish(rate / len(crowd), leave=True)
            deaf = asyncio.create_task(stay_deaf(url))
            await self._sample(url, pid, data, crowd)
            last = [await one.end() for one in crowd]
            await asyncio.gather(*hearing, return_exceptions=True)
            still = look(pid)
            return self._judge(rate, last, await deaf, still)

    async def _sample(self, url: RelayUrl, pid: int, data: Path, crowd: Sequence[People]) -> None:
        start = time.monotonic()
        with self._output.open("w") as output:
            while (at := time.monotonic() - start) < self._seconds:
                sample: dict[str, Any] = {"at": round(at, 1), "relay": look(pid)._asdict()}
                sample["people"] = [look(one.process.pid)._asdict() | one.last for one in crowd]
                sample["store"] = (data / "relay.db").stat().st_size
                sample["wal"] = (data / "relay.db-wal").stat().st_size
                sample["health"] = await health(url)
                self.samples.append(sample)
                output.write(json.dumps(sample) + "\n")
                output.flush()
                await asyncio.sleep(SAMPLE_EVERY)

    def _per_hour(self, value: Callable[[dict[str, Any]], float]) -> float:
        settled = [sample for sample in self.samples if sample["at"] >= WARM_UP * self._seconds]
        return slope([(sample["at"], value(sample)) for sample in settled]) * 3600

    def _judge(self, rate: float, last: Sequence[dict[str, Any]], deaf: float, still: Look) -> bool:
        total = {name: sum(one[name] for one in last) for name in last[0]}
        relay = self._per_hour(lambda sample: float(sample["relay"]["memory"]))
        people = max(self._per_hour(partial(_memory_of, number=number)) for number in range(PROCESSES))
        store = self._per_hour(lambda sample: float(sample["store"]))
        files = self._per_hour(lambda sample: float(sample["relay"]["files"]))
        threads = {sample["relay"]["threads"] for sample in self.samples}
        wal = max(sample["wal"] for sample in self.samples)
        slowest = max(sample["health"] for sample in self.samples)
        lag = max(sample["people"][number]["lag"] for sample in self.samples for number in range(PROCESSES))
        broken = [
            name
            for name, is_broken in {
                "relay's memory grows": relay > RELAY_MEMORY,
                "clients' memory grows": people > CLIENTS_MEMORY,
                "relay's store grows": store > RELAY_STORE,
                "relay's descriptors grow": files > 30,
                "relay's threads grow": max(threads) - min(threads) > 4,
                "the WAL is large": wal > WAL_MOST,
                "the relay stalled": slowest > LAG_MOST,
                "a deaf device was kept": deaf > CUT_WITHIN,
                "a message was lost, repeated or out of order": bool(
                    total["lost"] + total["duplicated"] + total["out_of_order"]
                    or total["sent"] != total["received"]
                ),
            }.items()
            if is_broken
        ]
        memory = self.samples[-1]["relay"]["memory"] / MEGABYTE
        print(
            f"soak: {'RED: ' + ', '.join(broken) if broken else 'ok'}; {self._seconds / 60:.0f} min at"
            f" {rate:.0f}/s, {total['sent']} messages, lost {total['lost']},"
            f" duplicated {total['duplicated']}, out of order {total['out_of_order']};"
            f" {total['left']} leaves, {total['presence']} presence events;"
            f" relay {memory:.0f} MB {relay / MEGABYTE:+.1f} MB/h, clients {people / MEGABYTE:+.1f} MB/h,"
            f" store {store / MEGABYTE:+.2f} MB/h, WAL at most {wal / MEGABYTE:.1f} MB,"
            f" descriptors {still.files} at the end, health at most {slowest * 1000:.0f} ms,"
            f" clients' loops at most {lag * 1000:.0f} ms late, deaf device cut after {deaf:.0f} s"
        )
        return not broken


def main() -> int:
    """0 unless a bound was broken."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=...", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="after the knee is found (default: 20)")
    parser.add_argument("--rate", type=float, help="messages a second, in place of a third of the knee")
    parser.add_argument("--output", type=Path, default=Path("soak.jsonl"), help="samples, as JSON lines")
    arguments = parser.parse_args()
    print(
        f"soak: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; samples in {arguments.output}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="blindpost-soak-") as directory:
        soak = Soak(Path(directory), arguments.output, arguments.minutes * 60, arguments.rate)
        return 0 if asyncio.run(soak.run()) else 1


if __name__ == "__main__":
    sys.exit(main())
