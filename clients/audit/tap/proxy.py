"""Stands between any client and any relay, writes down what passes, and judges it as it passes.

Owns the run from listening to the verdict. Knows nothing of a terminal.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from clients.audit.canaries.search import Canary
from clients.audit.judging.complaints import Complaint
from clients.audit.judging.figures import Verdict
from clients.audit.judging.judge import Judge
from clients.audit.tap.interception import Upstream
from clients.audit.tap.transcript import Event, Recorded, TranscriptError, TranscriptFile
from clients.audit.tap.wiretap import open_tap
from clients.errors import StorageError, UsageError
from clients.route import DIRECT, Route
from wire.addresses import RelayUrl
from wire.errors import WireError

LOOK_EVERY: Final = 1.0  # seconds: canaries are searched for, complaints are told, the transcript is on disk
CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Asked:
    """What to stand before, where, and what to look for. `trust`: the file that clients are to trust."""

    relay: RelayUrl
    host: str
    port: int
    trust: Path
    route: Route = DIRECT
    canaries: tuple[Canary, ...] = ()
    transcript: Path | None = None


class Audience(Protocol):
    """Who is told while it goes on."""

    def listening(self, proxy: str, trust: Path | None) -> None:
        """Clients may come; with TLS they have to trust that file."""

    def complained(self, complaint: Complaint) -> None:
        """One of those that are kept."""

    def progress(self, judge: Judge) -> None:
        """Every LOOK_EVERY seconds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict, and the SHA-256 of the transcript, in hex, where one was written."""

    verdict: Verdict
    sha256: str | None = None


class _Writing:
    """The transcript of a run. A disk that takes no more ends it, and not the run."""

    def __init__(self, file: TranscriptFile | None) -> None:
        self._file = file
        self.lacks: list[str] = []

    def write(self, event: Event) -> None:
        with self._writable() as file:
            if file is not None:
                file.write(event)

    def flush(self) -> None:
        with self._writable() as file:
            if file is not None:
                file.flush()

    def end(self, at: float) -> str | None:
        """The SHA-256 of the file."""
        sha256 = None
        with self._writable() as file:
            if file is not None:
                if file.is_full:
                    self.lacks.append(f"The transcript was full after {file.size:,} bytes.")
                sha256 = file.end(at)
        return sha256

    @contextlib.contextmanager
    def _writable(self) -> Iterator[TranscriptFile | None]:
        try:
            yield None if self.lacks else self._file
        except TranscriptError as error:
            self.lacks.append(str(error))


async def stand_between(asked: Asked, audience: Audience, stop: asyncio.Event) -> Outcome:
    """Pass on, record and judge until `stop` is set. Raises UsageError or StorageError before it begins."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    upstream = Upstream.of(asked.relay, asked.route)
    judge = Judge(asked.canaries, asked.relay, began)
    with contextlib.ExitStack() as stack:
        writing = _Writing(_transcript(asked, began, stack))

        def hear(event: Event) -> None:
            writing.write(event)
            judge.hear(event)

        async with contextlib.AsyncExitStack() as tapping:
            try:
                opening = open_tap(upstream, hear, host=asked.host, port=asked.port)
                tap = await tapping.enter_async_context(opening)
            except OSError as error:
                where, why = f"{asked.host}:{asked.port}", error.strerror or "no such host"
                raise UsageError(
                    f"Nobody can listen at {where}: {why}. Name another place with --listen."
                ) from None
            audience.listening(tap.proxy, _trusted(asked, upstream))
            await _look(judge, writing, audience, stop)
        sha256 = writing.end(loop.time())
    told = len(judge.complaints)
    verdict = judge.verdict(writing.lacks)
    for complaint in verdict.complaints[told:]:
        audience.complained(complaint)
    return Outcome(verdict, sha256)


def _transcript(asked: Asked, began: float, stack: contextlib.ExitStack) -> TranscriptFile | None:
    if asked.transcript is None:
        return None
    try:
        return stack.enter_context(TranscriptFile(asked.transcript, asked.relay.origin, began))
    except TranscriptError as error:
        raise StorageError(str(error)) from None


def _trusted(asked: Asked, upstream: Upstream) -> Path | None:
    """The file that clients have to trust, once it is written: the tap's authority, and the relay's own."""
    if upstream.authority is None:
        return None
    try:
        if asked.trust.exists() and not asked.trust.read_bytes().startswith(CERTIFICATE):
            raise UsageError(f"The file {asked.trust} is no certificate. Name another with --trust.")
        asked.trust.write_bytes(upstream.authority + (asked.route.ca or b""))
    except OSError as error:
        raise StorageError(f"The file {asked.trust} cannot be written: {error.strerror}.") from None
    return asked.trust


async def _look(judge: Judge, writing: _Writing, audience: Audience, stop: asyncio.Event) -> None:
    """Look at what has come, again and again, until `stop` is set."""
    told = 0
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await stop.wait()
        judge.catch_up()
        writing.flush()
        for complaint in judge.complaints[told:]:
            audience.complained(complaint)
        told = len(judge.complaints)
        audience.progress(judge)


def judge_file(path: Path, canaries: tuple[Canary, ...] = ()) -> Outcome:
    """The verdict of a transcript, as it would have been when it was recorded. Raises UsageError."""
    recorded, judge = Recorded(path), None
    try:
        for event in recorded.events():
            judge = judge or Judge(canaries, _relay_of(recorded))
            judge.hear(event)
    except TranscriptError as error:
        raise UsageError(str(error)) from None
    verdict = (judge or Judge(canaries)).verdict(recorded.lacks)
    return Outcome(verdict, recorded.sha256)


def _relay_of(recorded: Recorded) -> RelayUrl:
    try:
        return RelayUrl.parse(recorded.relay)
    except WireError:
        raise TranscriptError("The first line of the transcript names no relay.") from None
