"""The real `blindpost` in processes of its own, for tests.

Owns starting, reading, signalling and killing them, each with its profile in a directory of its own. Knows
the client by its command line only.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

RUN_WITHIN = 40.0
LINE_WITHIN = 20.0

Json = dict[str, Any]


class Running:
    """A client that runs: its output line by line, as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self) -> bytes | None:
        """The next line of stdout, or None after the last one."""
        return self.lines.get(timeout=LINE_WITHIN)

    def json(self) -> Json:
        """The next line of stdout as an object."""
        line = self.line()
        assert line is not None, f"ended with {self.process.wait(RUN_WITHIN)}"
        return dict(json.loads(line))

    def rest(self) -> list[Json]:
        """What has been printed in all, once it has ended. The last line may be cut by a kill."""
        self.process.wait(RUN_WITHIN)
        found = []
        while (line := self.line()) is not None:
            if line.endswith(b"\n"):
                found.append(dict(json.loads(line)))
        return found

    def kill(self) -> None:
        """SIGKILL: no last words, nothing flushed."""
        self.process.kill()
        self.process.wait(RUN_WITHIN)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(RUN_WITHIN)

    def close(self) -> None:
        """End it if it runs, and let go of its pipes."""
        if self.process.poll() is None:
            self.kill()
        self._reader.join(RUN_WITHIN)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class ClientProcess:
    """One person at a terminal: a profile in `directory`/`name`."""

    def __init__(self, directory: Path, name: str, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.profile = directory / name
        self.environment = {**os.environ, "BLINDPOST_PROFILE": str(self.profile), **(environment or {})}
        self.stderr_path = directory / f"{name}.stderr"
        self.address = ""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "clients", *arguments]

    def run(
        self, *arguments: str, code: int | None = 0, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, which must be this exit code (None: any)."""
        done = subprocess.run(
            self.command(*arguments),
            input=b"" if stdin is None else stdin,
            env=self.environment,
            capture_output=True,
            timeout=RUN_WITHIN,
            check=False,
        )
        out, errors = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        said = f"{arguments}: {done.returncode}\n{out}\n{errors}"
        assert code is None or done.returncode == code, said
        assert b"Traceback" not in done.stderr, said
        return done

    def json(self, *arguments: str, code: int = 0, stdin: bytes | None = None) -> list[Json]:
        """The objects that a command prints with --json."""
        done = self.run("--json", *arguments, code=code, stdin=stdin)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self, *arguments: str, stdin: bytes | None = None) -> Running:
        """Start a command; `stdin` is what it can read, then end of file."""
        source: Any = subprocess.DEVNULL
        if stdin is not None:
            path = self.profile.with_name(f"{self.name}.stdin")
            path.write_bytes(stdin)
            source = path.open("rb")
        with self.stderr_path.open("ab") as errors:
            process = subprocess.Popen(
                self.command(*arguments),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self.environment,
            )
        if stdin is not None:
            source.close()
        return Running(process)

    def init(self, place: str, *options: str) -> str:
        """Make the profile at a relay; its address."""
        (made,) = self.json("init", "--relay", place, *options)
        self.address = str(made["address"])
        return self.address

    def add(self, other: "ClientProcess") -> None:
        """Add the other under its own name."""
        self.run("contact", "add", other.name, other.address)

    @property
    def errors(self) -> str:
        """What started commands said on stderr."""
        return self.stderr_path.read_text() if self.stderr_path.exists() else ""


class Deadline:
    """A bound for looking again and again at another process's traces."""

    def __init__(self, what: str, seconds: float = LINE_WITHIN) -> None:
        self._what = what
        self._end = time.monotonic() + seconds

    def turn(self) -> None:
        """Wait a moment before the next look; fails when it took too long."""
        assert time.monotonic() < self._end, f"not in time: {self._what}"
        time.sleep(0.01)
