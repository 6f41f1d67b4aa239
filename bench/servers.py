"""A server under measurement: a process pinned to the first core, with its CPU time and memory from /proc.

Owns the process; knows nothing of what it serves.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from bench.verdict import BrokenHarness

PATIENCE: Final = 20.0


def first_core() -> int:
    """The core of the servers; the generator has the last."""
    return min(os.sched_getaffinity(0))


def pinned_to_first() -> None:
    """In a child, before it becomes a server."""
    os.sched_setaffinity(0, {first_core()})


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have used so far, to the microsecond and better."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Server:
    """One process on the first core; use as a context."""

    def __init__(self, command: Sequence[object], *, speaks: bool = False, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE if speaks else subprocess.DEVNULL,
            stderr=None if speaks else subprocess.DEVNULL,
            preexec_fn=pinned_to_first,
            text=True,
            cwd=cwd,
        )

    def first_line(self) -> str:
        """What a server that speaks says first; usually its port."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BrokenHarness(f"a server ended at once: {self.process.args!r}")
        return line

    @property
    def pid(self) -> int:
        """Its number."""
        return int(self.process.pid)

    def listens_on(self, port: int) -> None:
        """Wait until it does: such a server listens before long, and says so to nobody."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise BrokenHarness(f"a server did not start: {self.process.args!r}") from None
                time.sleep(0.02)

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        raise BrokenHarness("the server has ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
