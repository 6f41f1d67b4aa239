"""The socket in a profile: other processes of the same user have their calls carried out here.

Owns the lines: at most 32, each with its reader, its writer and what it has under way. A line that does not
read what it is sent is closed, and holds up nobody else. Everything ends with `close`.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from clients.errors import ClientError, LockedError
from clients.local import place
from clients.local.calls import Call, parse_call, ref_of
from clients.local.failures import failure_json
from clients.local.framing import PROTOCOL, Splitter, TooLong, decode, encode, is_blank
from clients.local.session import Session, answer
from clients.messenger import Messenger
from clients.model import Json
from clients.tasks import end
from clients.version import package_version

LINES_MAX: Final = 32
CALLS_MAX: Final = 64  # of one line that are not answered yet; more are not read before
UNWRITTEN_MAX: Final = 64  # answers and events of one line that wait to be written
READS_WITHIN: Final = 10.0  # seconds for the other side to read on
ANYBODY_THERE: Final = 10.0  # seconds between two blank lines to somebody who is not read from
LAST_ANSWERS: Final = 2.0  # seconds for what is under way when the other side has said all
CHUNK: Final = 64 * 1024


def hello() -> Json:
    """What is said first."""
    return {"blindpost": package_version(), "protocol": PROTOCOL}


class LocalServer:
    """Serves one profile's socket while its messenger is open.

    `start` it once the profile is locked and the messenger runs, `close` it before either ends. `problem`
    says why there is no socket, if there is none: everything else works without.
    """

    def __init__(self, me: Messenger, profile: Path) -> None:
        self._me = me
        self._profile = profile
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], _Line] = {}
        self.problem: str | None = None

    async def start(self) -> None:
        """Listen. Where no socket can be made, say so in `problem`."""
        try:
            listening = place.listen_in(self._profile)
        except OSError as error:
            self.problem = (
                f"Other commands cannot use the profile {self._profile.name} while this one runs: no socket "
                f"can be made in it ({error.strerror})."
            )
            return
        self._server = await asyncio.start_unix_server(self._accept, sock=listening)

    async def close(self) -> None:
        """Answer what has been carried out, end every line, and take the socket away."""
        if self._server is not None:
            place.remove_from(self._profile)
            self._server.close()
            self._server = None
        for line in self._lines.values():
            line.end_in_order()
        if self._lines:
            await asyncio.wait(self._lines, timeout=LAST_ANSWERS)
        await end(*self._lines)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal: ClientError | None = None
        if not place.is_ours(writer.get_extra_info("socket")):
            refusal = LockedError("This profile belongs to another user.")
        elif len(self._lines) >= LINES_MAX:
            refusal = LockedError(f"{LINES_MAX} commands use this profile already. Stop one of them.")
        if refusal is not None or self._server is None:
            if refusal is not None:
                writer.write(encode({"error": failure_json(refusal)}))
            writer.close()
            return
        line = _Line(self._me, reader, writer)
        task = asyncio.create_task(line.run())
        self._lines[task] = line
        task.add_done_callback(self._lines.pop)


class _Line:
    """One connection."""

    def __init__(self, me: Messenger, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._unwritten: asyncio.Queue[bytes | None] = asyncio.Queue(UNWRITTEN_MAX)
        self._session = Session(me, self._say)
        self._room = asyncio.Semaphore(CALLS_MAX)
        self._calls: set[asyncio.Task[None]] = set()
        self._performing: set[asyncio.Task[None]] = set()  # those of them that have no answer yet
        self._asked = asyncio.Event()

    def end_in_order(self) -> None:
        """Carry out nothing more; say what is to be said, and that this was all."""
        self._asked.set()

    async def run(self) -> None:
        """Until the other side ends it, does not read, or `end_in_order` was asked for."""
        reading, writing, asked = (
            asyncio.create_task(work) for work in (self._read(), self._write(), self._until_asked())
        )
        try:
            await asyncio.wait([reading, writing, asked], return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                await self._last_words(reading)
            await asyncio.wait([writing], timeout=LAST_ANSWERS)
        finally:
            await end(reading, writing, asked, *self._calls)
            await self._session.close()
            await _closed(self._writer, at_once=not writing.done() or _has_failed(writing))

    async def _until_asked(self) -> None:
        await self._asked.wait()

    async def _last_words(self, reading: asyncio.Task[None]) -> None:
        """What is under way ends here: by the other side's wish with its answers, by ours without."""
        if reading.done():
            if self._calls:
                await asyncio.wait(self._calls, timeout=LAST_ANSWERS)
        else:
            # A call that has no answer yet waits for something; what it changes is one step at the end.
            await end(reading, *self._performing)
            await self._session.close()
            if self._calls:
                await asyncio.wait(self._calls, timeout=LAST_ANSWERS)
            await self._say({"closing": True})
        await self._unwritten.put(None)

    async def _say(self, value: Json) -> None:
        await self._unwritten.put(encode(value))

    async def _write(self) -> None:
        await self._write_line(encode(hello()))
        while (line := await self._unwritten.get()) is not None:
            await self._write_line(line)

    async def _write_line(self, line: bytes) -> None:
        self._writer.write(line)
        async with asyncio.timeout(READS_WITHIN):
            await self._writer.drain()

    async def _read(self) -> None:
        splitter = Splitter()
        while data := await self._reader.read(CHUNK):
            for line in splitter.feed(data):
                await self._take(line)
        for line in splitter.rest():
            await self._take(line)

    async def _take(self, line: bytes | TooLong) -> None:
        if is_blank(line):
            return
        value: Json = {}
        try:
            value = decode(line)
            call = parse_call(value)
        except ClientError as error:
            await self._say({"ref": ref_of(value), "error": failure_json(error)})
            return
        await self._acquire_room()
        task = asyncio.create_task(self._answer(call))
        self._calls.add(task)
        self._performing.add(task)
        task.add_done_callback(self._answered)

    async def _acquire_room(self) -> None:
        """Wait until fewer calls are under way. Nothing is read then: blank lines ask who is still there."""
        while True:
            try:
                async with asyncio.timeout(ANYBODY_THERE):
                    await self._room.acquire()
                    return
            except TimeoutError:
                await self._unwritten.put(b"\n")

    async def _answer(self, call: Call) -> None:
        said = await answer(self._session, call)
        task = asyncio.current_task()
        assert task is not None
        self._performing.discard(task)
        await self._say(said)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._performing.discard(task)
        self._room.release()


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None


async def _closed(writer: asyncio.StreamWriter, *, at_once: bool) -> None:
    """Close a connection; with a moment for what is still in its buffer, unless nobody reads it."""
    if at_once:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(OSError):
        try:
            async with asyncio.timeout(LAST_ANSWERS):
                await writer.wait_closed()
        except TimeoutError:
            writer.transport.abort()
