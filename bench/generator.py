"""The load generator in C (bench/load), seen from here: sockets go in, figures come out.

Owns the process, the lines spoken with it, and the rule that a lost, doubled, altered or disordered frame
ends the bench. Knows no protocol.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bench.verdict import BrokenHarness, BrokenPromise

ROOT: Final = Path(__file__).resolve().parent.parent
BUILT: Final = ROOT / ".bench"
FULL: Final = 0.9  # of its core: above, the generator may be what bounds a figure


@dataclass(frozen=True, slots=True)
class Flow:
    """Frames from one connection to another, by their places; -1 for nobody. `sent` wait already."""

    sender: int
    receiver: int
    key: bytes = bytes(32)
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave. Rates are frames per second, latencies microseconds, `cpu` the generator's share."""

    finished: int
    seconds: float
    rate: float
    p50_us: float
    p99_us: float
    cpu: float
    lost: int
    twice: int
    disordered: int
    altered: int
    all: int  # also what was finished after the time was over


def build() -> None:
    """Bring the programs in .bench/ up to date."""
    if shutil.which("cc") is None:
        raise BrokenHarness(
            "the bench needs a C compiler: install gcc or clang (Debian: apt-get install gcc libc6-dev)"
        )
    done = subprocess.run(
        ["make", "-s", "bench-programs"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise BrokenHarness(f"the load generator could not be built:\n{done.stderr}")


def last_core() -> int:
    """The core of the generator; servers have the first."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1]


class Generator:
    """One generator over a set of sockets, which it keeps until it is closed.

    With `tunnels`, one for each socket, it speaks TLS on the sockets from the start, and what is said before
    the steady state passes through the tunnels until `begin`.
    """

    def __init__(
        self,
        dialect: str,
        size: int,
        sockets: Sequence[socket.socket],
        flows: Sequence[Flow],
        *,
        base: int = 0,
        patience: float = 10.0,
        tunnels: Sequence[socket.socket] = (),
    ) -> None:
        core = last_core()
        self._what = f"{dialect}, {size} B"
        self._process = subprocess.Popen(
            [BUILT / "load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[each.fileno() for each in (*sockets, *tunnels)],
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            text=True,
        )
        lines = [f"dialect {dialect}", f"size {size}", f"base {base}", f"patience {patience}"]
        ends = [f" tls {each.fileno()}" for each in tunnels] or [""] * len(sockets)
        lines += [f"conn {each.fileno()}{end}" for each, end in zip(sockets, ends, strict=True)]
        lines += [f"flow {flow.sender} {flow.receiver} {flow.key.hex()} {flow.sent}" for flow in flows]
        self._say("\n".join(lines))
        for each in (*sockets, *tunnels):
            each.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise BrokenHarness(f"the load generator ended with {self._process.wait()}")
        fields: dict[str, Any] = json.loads(answer)
        if "fault" in fields:
            raise BrokenHarness(f"the load generator says of {self._what}: {fields['fault']}")
        return fields

    def _hear(self) -> Figures:
        figures = Figures(**self._answer())
        if figures.lost or figures.twice or figures.disordered or figures.altered:
            raise BrokenPromise(
                f"{self._what}: of {figures.all} frames {figures.lost} were lost, "
                f"{figures.twice} came twice, {figures.disordered} out of order, {figures.altered} altered"
            )
        return figures

    def begin(self) -> None:
        """All has been said through the tunnels."""
        self._say("begin")
        self._answer()

    def run(self, seconds: float, window: int) -> Figures:
        """Send for so long with so many in flight on each flow; what was finished by then counts."""
        self._say(f"run {seconds} {window}")
        return self._hear()

    def put(self, each: int, window: int) -> Figures:
        """Each sender puts so many, until all are accepted; nobody takes them."""
        self._say(f"put {each} {window}")
        return self._hear()

    def drain(self) -> Figures:
        """Pull everything that waits."""
        self._say("drain")
        return self._hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
