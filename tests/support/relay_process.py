"""A real relay in a process of its own, for tests.

Owns starting, stopping and killing it, with its data directory and its log. Knows the relay by its command
line and its listening line only. Every relay runs behind tripwires: whatever could open a message ends it.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Self

from clients.audit.proving.tripwires import program

RELAY: Final = tuple(program())
START_WITHIN = 20.0
STOP_WITHIN = 15.0


# Below the range from which systems give out ports of outgoing connections, one of which could get it else.
_BLOCKS: Final = range(20_000, 32_000, 50)


def _ports() -> Iterator[int]:
    """Ports of blocks that no other process of tests has: each holds the first of its own until it ends.

    Beginning at different places is not enough: the one that is behind may overtake the other.
    """
    mine = os.getpid() % len(_BLOCKS)
    for first in (*_BLOCKS[mine:], *_BLOCKS[:mine]):
        held = socket.socket()
        try:
            held.bind(("127.0.0.1", first))
        except OSError:
            held.close()
            continue
        atexit.register(held.close)
        yield from range(first + 1, first + _BLOCKS.step)


_next_port = _ports()


def free_port() -> int:
    """A port that nobody takes while a killed relay is away."""
    for port in _next_port:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


# What the relays of tests run on: `make test-uvloop` sets the other one.
LOOP: Final = os.environ.get("BLINDPOST_TEST_LOOP", "asyncio")

# All of a test comes from one address and often with one token, as nothing in the world does. Tests of a
# rate set it.
AMPLE: Final = dict.fromkeys(
    (
        "put-rate-per-prefix",
        "put-rate-per-token",
        "request-rate",
        "take-rate",
        "take-rate-per-account",
        "fetch-rate",
        "watch-rate",
        "device-rate",
        "register-rate",
        "list-rate",
        "socket-rate",
        "http-rate",
    ),
    "1000000+1000000/s",
)


class RelayProcess:
    """`python -m relay`, behind tripwires, on a free port of loopback.

    `directory` gets the data directory and the log (stdout and stderr of every run). After a restart the
    relay listens on the port it had before, so that a client finds it again. `settings` are flags without
    dashes; rates that are not among them are `AMPLE`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        command: tuple[str, ...] = RELAY,
        cwd: Path | None = None,
    ) -> None:
        self.data_dir = directory / "relay-data"
        self.log_path = directory / "relay.log"
        self.settings = dict(settings or {})
        self.relay_key = ""
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._cwd = cwd
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._scheme = "wss" if "tls-certificate" in self.settings else "ws"

    @property
    def port(self) -> int:
        """The port; chosen at construction, kept over restarts."""
        return self._port

    @property
    def place(self) -> str:
        """`127.0.0.1:PORT[/path]`: what stands behind the @ of an address."""
        return f"127.0.0.1:{self.port}{self.settings.get('root-path', '')}"

    @property
    def origin(self) -> str:
        """`ws://127.0.0.1:PORT[/path]`, as a hello names it."""
        return f"{self._scheme}://{self.place}"

    @property
    def url(self) -> str:
        """The URL of the WebSocket."""
        return f"{self.origin}/v1/ws"

    @property
    def http_url(self) -> str:
        """The same origin over HTTP."""
        return "http" + self.origin.removeprefix("ws")

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "not started yet"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything it wrote so far."""
        return self.log_path.read_text("utf-8", "replace")

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for anything."""
        assert not self.running, "still running"
        usual = {"port": self._port, "data-directory": self.data_dir, "loop": LOOP, **AMPLE}
        flags = [
            part for name, value in (usual | self.settings).items() for part in (f"--{name}", str(value))
        ]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--json", *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._cwd,
            )
        return self._process

    def start(self) -> Self:
        """Start it and return once it listens."""
        self.log_path.touch()
        with self.log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            process = self.spawn()
            line = self._listening_line(log, process)
        self._port = int(line["port"])  # a test may have set another one
        self.relay_key = str(line["relay_key"])
        return self

    def _listening_line(self, log: IO[bytes], process: subprocess.Popen[bytes]) -> dict[str, str]:
        deadline = time.monotonic() + START_WITHIN
        text = b""
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            text += log.read()
            for line in text.split(b"\n")[:-1]:
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if isinstance(said, dict) and said.get("event") == "listening":
                        return said
            if ended:
                break
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"the relay did not start:\n{text.decode('utf-8', 'replace')}")

    def kill(self) -> None:
        """SIGKILL: no last words, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_WITHIN)

    def send_sigterm(self) -> None:
        """Ask it to stop, without waiting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code, once it ended."""
        assert self._process is not None
        return self._process.wait(STOP_WITHIN)

    def terminate(self) -> int:
        """SIGTERM, then the exit code."""
        self.send_sigterm()
        return self.wait()

    def restart(self) -> Self:
        """Stop it in order if it runs, and start it on the same data and port."""
        if self.running:
            self.terminate()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.terminate()
        self.kill()


@contextlib.contextmanager
def running_relay(directory: Path, **settings: object) -> Iterator[RelayProcess]:
    """A relay for the length of a `with`; settings with underscores, such as `mailbox_frames=2`."""
    flags = {name.replace("_", "-"): value for name, value in settings.items()}
    with RelayProcess(directory, settings=flags) as relay:
        yield relay
