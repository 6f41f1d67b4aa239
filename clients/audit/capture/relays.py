"""The relay that is looked at, and everything of it that can be read from outside.

Owns the process that the audit starts itself. Knows nothing of canaries.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from ssl import SSLContext
from typing import Final, Protocol
from urllib.parse import urlsplit

from clients.audit.capture.evidence import Place, Source
from clients.audit.capture.processes import begun_with, dialled_by, family, ports_of
from clients.audit.capture.rows import rows
from clients.audit.capture.sight import Sight, files, memory, open_files
from clients.config import environment

START_WITHIN: Final = 30.0  # seconds
STOP_WITHIN: Final = 30.0
HTTP_WITHIN: Final = 10.0
LOOK_AGAIN: Final = 0.02
ANSWER_MAX: Final = 1024 * 1024  # bytes of a body
PROGRAM: Final = (sys.executable, "-P", "-m", "relay")

# Everything comes from one address here, as nothing in the world does. Named in the report.
RAISED: Final = dict.fromkeys(
    ("put-rate-per-prefix", "put-rate-per-token", "request-rate", "take-rate", "take-rate-per-account",
     "fetch-rate", "watch-rate", "device-rate", "register-rate", "list-rate", "socket-rate", "http-rate"),
    "1000000+1000000/s",
)  # fmt: skip

# Plain requests: what is served, and what is not there.
REQUESTS: Final = (
    ("GET", "/v1/info"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/nowhere"),
    ("POST", "/v1/info"), ("GET", "/v1/ws"),
)  # fmt: skip


class RelayError(Exception):
    """The relay cannot be looked at; the text says why."""


class Relay(Protocol):
    """Any relay under audit: `url` as clients dial it, and what of it can be read now.

    `not_looked_at`: what cannot be seen of it, however the audit goes; for the report.
    """

    not_looked_at: Sequence[str]

    @property
    def url(self) -> str:
        """As clients dial it."""

    def sources(self) -> Sequence[Source]:
        """What can be read of it now."""


class OwnRelay:
    """A relay in a process that the audit starts; `program` is what runs it, which a control changes."""

    not_looked_at: Sequence[str] = (
        "files outside its own directories that it had closed again before a look",
    )

    def __init__(
        self, directory: Path, program: Sequence[str] = PROGRAM, variables: dict[str, str] | None = None
    ) -> None:
        self._directory = directory
        self._program = program
        self._variables = variables or {}
        self._process: Process | None = None
        self.data, self._temporary = directory / "relay-data", directory / "relay-tmp"
        self._log = directory / "relay-log"
        self.working = directory / "relay-cwd"  # where a relay would write what has no other place
        self.url = ""

    async def start(self) -> None:
        """Return once it listens, on the port it had before if it had one. Raises RelayError."""
        for path in (self._temporary, self._log, self.working):
            path.mkdir(exist_ok=True)
        port = urlsplit(self.url).port or 0
        settings = {"port": port, "data-directory": self.data, "log-level": "debug", **RAISED}
        with (self._log / "stderr").open("ab") as errors, (self._log / "stdout").open("ab") as words:
            said_before = words.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._program,
                "--json",
                *(part for name, value in settings.items() for part in (f"--{name}", str(value))),
                stdin=DEVNULL,
                stdout=words,
                stderr=errors,
                cwd=self.working,
                env=environment({**self._variables, "TMPDIR": str(self._temporary)}),
            )
        try:
            async with asyncio.timeout(START_WITHIN):
                line = await self._first_line(self._process, said_before)
            self.url = str(json.loads(line)["url"])
        except (TimeoutError, ValueError):
            await self.kill()
            said = (self._log / "stderr").read_text("utf-8", "replace").strip()
            raise RelayError(f"the relay did not start: {said[-2000:] or 'it said nothing'}") from None

    async def _first_line(self, process: Process, said_before: int) -> bytes:
        """What it says on stdout behind what was said before; b"" if it ends without.

        A file takes all of stdout, because a pipe that nobody reads hides what is written, and stops it.
        """
        while True:
            has_ended = process.returncode is not None
            line, end, _ = (self._log / "stdout").read_bytes()[said_before:].partition(b"\n")
            if end or has_ended:
                return line
            await asyncio.sleep(LOOK_AGAIN)

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def sources(self) -> Sequence[Source]:
        """Everything there is of it: what it listens to, its files, its words, its memory."""
        return (
            Source(Place.WIRE, "connections of its own", self._connections),
            Source(Place.HTTP, "answers", lambda sight: http_answers(self.url, sight)),
            Source(Place.LOGS, "stdout and stderr", lambda sight: files(self._log, sight)),
            Source(Place.STORE, "data directory", self._store),
            Source(Place.TEMPORARY, "temporary files", self._temporary_files),
            Source(Place.MEMORY, "memory", self._memory),
        )

    def _connections(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        return connections_of(self._family(), self.url, sight)

    def _store(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        yield from files(self.data, sight)
        yield from rows(self.data, sight)

    def _memory(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        yield from memory(self.pid, sight)
        for child in self._family()[1:]:
            yield from ((f"{where} of a child", data) for where, data in memory(child, sight))

    def _temporary_files(self, sight: Sight) -> Iterable[tuple[str, bytes]]:
        yield from files(self._temporary, sight)
        yield from files(self.working, sight)
        for pid in self._family():
            yield from open_files(pid, self._directory, sight)

    def _family(self) -> list[int]:
        """The relay and all that came from it, also what outlives its parent: by a variable."""
        found = family(self.pid)
        return found + sorted(set(begun_with(f"TMPDIR={self._temporary}".encode())) - set(found))

    async def stop(self) -> int:
        """SIGTERM; its exit code. Raises RelayError."""
        return await self.end(signal.SIGTERM)

    async def end(self, number: signal.Signals) -> int:
        """Any signal that ends it; its exit code. Raises RelayError."""
        assert self._process is not None
        _send(self._process, number)
        try:
            async with asyncio.timeout(STOP_WITHIN):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise RelayError("the relay did not stop") from None

    async def kill(self) -> None:
        """SIGKILL, whatever it does."""
        if self._process is not None:
            _send(self._process, signal.SIGKILL)
            await self._process.wait()


def _send(process: Process, number: signal.Signals) -> None:
    """A signal, past asyncio: its own way may swallow the exit code of what has just ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def connections_of(pids: Sequence[int], door: str, sight: Sight) -> Iterable[tuple[str, bytes]]:
    """Nothing: what a relay says on a way that it opened itself is not seen, so that each is unread.

    Also to whom it listens beside `door`, the URL at which it is asked.
    """
    try:
        ports = {port for pid in pids for port in ports_of(pid)}
        for port in sorted(ports - {urlsplit(door).port}):
            sight.unread.append(f"it listens on port {port}, too, and what it says there was not asked for")
        for pid in pids:
            for way in dialled_by(pid, ports):
                sight.unread.append(f"process {pid} has {way}, and what goes there cannot be read")
        sight.was_there = True
    except OSError as error:
        sight.unread.append(f"sockets: {error.strerror}")
    return ()


def http_answers(url: str, sight: Sight, trust: SSLContext | None = None) -> Iterable[tuple[str, bytes]]:
    """Heads and bodies of plain requests to a relay; `trust` is for one that speaks TLS."""
    for method, path in REQUESTS:
        try:
            _, data = http_answer(url, method, path, trust)
        except (OSError, HTTPException) as error:
            sight.unread.append(f"{method} {path}: {type(error).__name__}")
            continue
        sight.bytes_read += len(data)
        sight.was_there = True
        yield f"{method} {path}", data


def http_answer(url: str, method: str, path: str, trust: SSLContext | None = None) -> tuple[bytes, bytes]:
    """One plain request: the body, and all of the answer. Raises OSError, HTTPException."""
    parts = urlsplit(url)
    place = (parts.hostname or "", parts.port)
    connection = (
        HTTPSConnection(*place, timeout=HTTP_WITHIN, context=trust)
        if parts.scheme in ("wss", "https")
        else HTTPConnection(*place, timeout=HTTP_WITHIN)
    )
    try:
        connection.request(method, parts.path.rstrip("/") + path)
        answer = connection.getresponse()
        body = answer.read(ANSWER_MAX)
    finally:
        connection.close()
    return body, f"{answer.status} {answer.reason}\r\n{answer.headers.as_string()}".encode() + body
