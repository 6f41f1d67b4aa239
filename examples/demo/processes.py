"""The processes of the demonstration: a relay, and clients started through the command line.

Owns starting, watching and killing them. Knows nothing of what they say.
"""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any, Self

DEADLINE = 60.0

Line = dict[str, Any]


class DemoFailure(Exception):
    """The demonstration cannot go on; the text says at what."""


class Client:
    """A running `blindpost` command of one profile whose JSON lines are collected as they come."""

    def __init__(self, profile: Path, *arguments: str, stdin: bytes | None = None) -> None:
        self._arguments = arguments
        self.lines: list[Line] = []
        self._arrived = threading.Condition()
        self._errors = b""
        command = [sys.executable, "-P", "-m", "clients", "--profile", str(profile), "--json", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._read_lines, self._read_errors, lambda: self._feed(stdin))
        ]
        for thread in self._threads:
            thread.start()

    def _feed(self, stdin: bytes | None) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            if stdin:
                pipe.write(stdin)

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._arrived:
                self.lines.append(json.loads(line))
                self._arrived.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors = self.process.stderr.read()

    def wait_for_lines(self, count: int) -> None:
        """Until `count` lines have come. Raises DemoFailure after a minute."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.lines) >= count, DEADLINE):
                raise DemoFailure(f"{self} printed {len(self.lines)} of {count} lines in {DEADLINE:.0f} s")

    def must_run(self, seconds: float) -> None:
        """Let it run for so long. Raises DemoFailure if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            raise DemoFailure(f"{self} ended too early: {self._errors.decode(errors='replace').strip()}")

    def finish(self, *, expect: int = 0) -> list[Line]:
        """Wait for the end; all lines. Raises DemoFailure for another exit code."""
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise DemoFailure(f"{self} did not end within {DEADLINE:.0f} s") from None
        for thread in self._threads:
            thread.join()
        if code != expect:
            raise DemoFailure(
                f"{self} ended with exit code {code}: {self._errors.decode(errors='replace').strip()}"
            )
        return self.lines

    def terminate(self) -> list[Line]:
        """SIGTERM, and wait for the orderly end."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish(expect=128 + signal.SIGTERM)

    def kill(self) -> list[Line]:
        """kill -9. What it had printed by then is still here."""
        self.process.kill()
        return self.finish(expect=-signal.SIGKILL)

    def __str__(self) -> str:
        return f"blindpost {self._arguments[0]}"


def run_client(profile: Path, *arguments: str, stdin: bytes | None = None) -> list[Line]:
    """A command from start to end."""
    return Client(profile, *arguments, stdin=stdin).finish()


class Relay:
    """The relay process; its standard output and error go to files that are searched later."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True)
        self._port = 0
        self._starts = 0
        self.url = ""

    def start(self) -> Self:
        """Start it, on the same port as before, and wait until it listens."""
        self._starts += 1
        out, err = (self.logs / f"{self._starts}.{name}" for name in ("out", "err"))
        command = [sys.executable, "-P", "-m", "relay", "--json", "--port", str(self._port)]
        # A thousand messages in a few seconds, and whoever counts them, are more than a relay takes from one
        # address by itself.
        for rate in ("put-rate-per-token", "put-rate-per-prefix", "socket-rate", "http-rate"):
            command += [f"--{rate}", "9000+9000/s"]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*command, "--data-directory", str(self.data)], stdout=stdout, stderr=stderr
            )
        line = self._first_line(out, err)
        self.url, self._port = line["url"], line["port"]
        return self

    def _first_line(self, out: Path, err: Path) -> Line:
        """The relay says on one line where it listens."""
        for _ in range(600):
            if b"\n" in (text := out.read_bytes()):
                line: Line = json.loads(text.splitlines()[0])
                return line
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
                break
        raise DemoFailure(f"the relay did not start: {err.read_text(errors='replace').strip()}")

    def accepted(self) -> int:
        """How many frames it has accepted since it was started, by its own count."""
        url = self.url.replace("ws:", "http:") + "/metrics"
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:  # noqa: S310 our own relay, on loopback
            lines = answer.read().decode().splitlines()
        counts = [line.split()[1] for line in lines if line.startswith("blindpost_frames_accepted_total ")]
        return int(float(counts[0]))

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """SIGTERM, and wait for the orderly end."""
        self.process.terminate()
        if self.process.wait(DEADLINE) != 0:
            raise DemoFailure("the relay did not end in order")
