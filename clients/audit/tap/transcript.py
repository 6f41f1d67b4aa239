"""What went through a tap, event by event, and the file that it is written to as it goes.

Owns the events and the form of the file. Knows nothing of what the bytes say.

A transcript is JSON lines in UTF-8, one event each, in the order in which they came; times are seconds since
the first line. Whoever has the file can judge it again, and its SHA-256 stands for all of it.

    {"transcript": 1, "relay": "wss://relay.example", "began": "2026-11-21T16:00:00Z"}   the first line
    {"at": 0.012, "connection": 0, "opened": "relay.example:443"}    a connection, and what was asked for
    {"at": 0.027, "connection": 0, "to": "relay", "bytes": "R0VU"}   to the relay, in base64 (RFC 4648, 4)
    {"at": 0.031, "connection": 0, "to": "client", "bytes": "SFRU"}  to the client
    {"at": 9.000, "connection": 0, "closed": ""}                     its end: in order, or why it was refused
    {"at": 9.000, "full": 268435456}   so many bytes had been written: nothing after this line was kept
    {"at": 9.500, "ended": 4}          the last line: so many events before it; without it, the file was cut

The bytes are what passed between the two after TLS: HTTP and WebSocket frames, those of a client masked. What
is sealed in it nobody can read without the recipients' keys, but delivery tokens show: keep it to yourself.
"""

import base64
import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

FORMAT: Final = 1
PIECE_MAX: Final = 64 * 1024  # bytes of one event
LINE_MAX: Final = 128 * 1024  # bytes: a piece in base64, and what stands around it
TARGET_MAX: Final = 300  # characters of what a client asked for
SIZE_MAX: Final = 256 * 1024 * 1024  # bytes of a file


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection began. `target` is what the client asked for, in our words where it is nothing usual."""

    at: float
    connection: int
    target: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that passed, PIECE_MAX at most."""

    at: float
    connection: int
    to_relay: bool
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection ended. `why` is empty, or a reason for which it was refused or given up."""

    at: float
    connection: int
    why: str = ""


Event: TypeAlias = Opened | Piece | Closed


class TranscriptError(Exception):
    """A file is no transcript, or cannot be written; the text says why."""


def _fields(event: Event) -> dict[str, object]:
    match event:
        case Opened(target=target):
            return {"opened": target[:TARGET_MAX]}
        case Piece(to_relay=to_relay, data=data):
            return {"to": "relay" if to_relay else "client", "bytes": base64.b64encode(data).decode()}
        case Closed(why=why):
            return {"closed": why[:TARGET_MAX]}


class TranscriptFile:
    """A transcript that is written. Use it with `with`; nobody else can read the file."""

    def __init__(self, path: Path, relay: str, began: float, size_max: int = SIZE_MAX) -> None:
        """`began` is the time that is 0 in the file. Raises TranscriptError, also if there is a file."""
        try:
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise TranscriptError(f"The transcript {path} cannot be made: {error.strerror}.") from None
        self._file = os.fdopen(opened, "wb")
        self._path, self._began, self._size_max = path, began, size_max
        self._digest = hashlib.sha256()
        self._events = 0
        self.size = 0  # bytes
        self.is_full = False
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._write({"transcript": FORMAT, "relay": relay, "began": now})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # what could not be written was said when it could not
            self._file.close()

    def write(self, event: Event) -> None:
        """An event, unless the file is full: then that is said once. Raises TranscriptError."""
        if self.is_full:
            return
        at = round(event.at - self._began, 6)
        if self.size > self._size_max - LINE_MAX:
            self.is_full = True
            self._write({"at": at, "full": self.size})
            return
        self._events += 1
        self._write({"at": at, "connection": event.connection, **_fields(event)})

    def flush(self) -> None:
        """What was written is in the file now. Raises TranscriptError."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._unwritten(error) from None

    def end(self, at: float) -> str:
        """The last line; the SHA-256 of the whole file, in hex. Raises TranscriptError."""
        self._write({"at": round(at - self._began, 6), "ended": self._events})
        try:
            self._file.close()
        except OSError as error:
            raise self._unwritten(error) from None
        return self._digest.hexdigest()

    def _write(self, line: dict[str, object]) -> None:
        data = json.dumps(line).encode() + b"\n"
        try:
            self._file.write(data)
        except OSError as error:
            raise self._unwritten(error) from None
        self._digest.update(data)
        self.size += len(data)

    def _unwritten(self, error: OSError) -> TranscriptError:
        return TranscriptError(f"The transcript {self._path} cannot be written: {error.strerror}.")


class Recorded:
    """A transcript that is read, event by event. What it lacks is known after the last one, in `lacks`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self.relay = self.began = ""
        self.lacks: list[str] = []

    @property
    def sha256(self) -> str:
        """Of all that was read, in hex."""
        return self._digest.hexdigest()

    def events(self) -> Iterator[Event]:
        """All of them. Raises TranscriptError for what is no transcript."""
        has_ended = False
        for number, line in self._lines():
            if number == 1:
                self._begin(line)
                continue
            if has_ended:
                raise TranscriptError(f"{self._path}, line {number}: something stands behind the end.")
            try:
                if "ended" in line:
                    has_ended = True
                    if line["ended"] != number - 2 - len(self.lacks):
                        self.lacks.append("The transcript's last line counts other events than there are.")
                elif "full" in line:
                    self.lacks.append(f"The transcript was full after {int(line['full']):,} bytes.")
                else:
                    yield _event(line)
            except (KeyError, TypeError, ValueError):
                raise TranscriptError(f"{self._path}, line {number}: this is no event.") from None
        if not self.relay:
            raise TranscriptError(f"{self._path} is no transcript: it is empty.")
        if not has_ended:
            self.lacks.append("The transcript was cut: its last line is missing.")

    def _begin(self, line: dict[str, Any]) -> None:
        if line.get("transcript") != FORMAT:
            raise TranscriptError(f"{self._path} is no transcript of a form that is known here.")
        self.relay, self.began = str(line.get("relay")), str(line.get("began"))

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            with self._path.open("rb") as file:
                number = 0
                while data := file.readline(LINE_MAX):
                    number += 1
                    self._digest.update(data)
                    if not data.endswith(b"\n"):
                        if len(data) < LINE_MAX:
                            return  # cut in the middle of a line
                        raise TranscriptError(f"{self._path}, line {number}: too long for a transcript.")
                    yield number, _object(data, self._path, number)
        except OSError as error:
            raise TranscriptError(f"The transcript {self._path} cannot be read: {error.strerror}.") from None


def _object(data: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TranscriptError(f"{path}, line {number}: this is no line of a transcript.")
    return found


def _event(line: dict[str, Any]) -> Event:
    """Raises KeyError, TypeError or ValueError."""
    at, connection = float(line["at"]), int(line["connection"])
    if not 0 <= at < math.inf:
        raise ValueError
    if "opened" in line:
        return Opened(at, connection, str(line["opened"]))
    if "closed" in line:
        return Closed(at, connection, str(line["closed"]))
    data = base64.b64decode(line["bytes"], validate=True)
    if line["to"] not in ("relay", "client") or len(data) > PIECE_MAX:
        raise ValueError
    return Piece(at, connection, line["to"] == "relay", data)
