"""`blindpost serve`: calls on standard input, answers and events on standard output.

Owns the way between the two and a line of `clients.local.access`, and going on with another line when the
owner of the profile ends.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from clients.config import ClientConfig
from clients.errors import ClientError, InUseError
from clients.local.access import Line, access
from clients.local.calls import Call, Listen, Watch, parse_call, ref_of
from clients.local.failures import LineLost, failure_json
from clients.local.framing import TooLong, decode, is_blank
from clients.local.lasting import may_be_asked_again
from clients.local.socket_server import CALLS_MAX, hello
from clients.model import Json
from clients.tasks import end

LAST_WORDS: Final = 2.0  # seconds for what is queued to go out when there are no more calls

Lines = AsyncIterator[bytes | TooLong]
Say = Callable[[Json], Awaitable[None]]


class Serving:
    """One run of `serve`. `say` writes one object, and may wait until somebody reads."""

    def __init__(self, config: ClientConfig, lines: Lines, say: Say) -> None:
        self._config = config
        self._lines = lines
        self._say = say
        self._line: Line | None = None
        self._connected = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._room = asyncio.Semaphore(CALLS_MAX)
        self._calls: set[asyncio.Task[None]] = set()
        self._watches: dict[str | None, Json] = {}  # the calls that began them, as they were given
        self._listen: Json | None = None
        self._backup: Json | None = None  # until it is written
        self._unsaid: BaseException | None = None
        self._refs: dict[
            int, int
        ] = {}  # of the line's watches and its listener: the ref they were given here

    async def run(self) -> None:
        """Until the last line is answered. Raises ClientError if the profile cannot be used."""
        reading = asyncio.create_task(self._read())
        is_new = True
        try:
            while True:
                try:
                    async with access(self._config) as line:
                        if is_new:
                            await self._say(hello())
                        else:
                            await self._resume(line)
                        is_new = False
                        await self._forward(line, reading)
                        if line.is_owner:
                            await line.call("flush", timeout=LAST_WORDS)
                        return
                except LineLost:
                    continue
                except InUseError:
                    if is_new:
                        raise
                    # Somebody keeps it without taking calls; what was asked here waits for its end.
        finally:
            await end(reading, *self._calls)

    async def _forward(self, line: Line, reading: asyncio.Task[None]) -> None:
        """Carry out calls and say events until the calls have ended. Raises LineLost."""
        events = asyncio.create_task(self._say_events(line))
        self._line = line
        self._disconnected.clear()
        self._connected.set()
        try:
            await asyncio.wait([events, reading], return_when=asyncio.FIRST_COMPLETED)
            (reading if reading.done() else events).result()
        finally:
            self._connected.clear()
            self._line = None
            self._disconnected.set()
            await end(events)

    async def _say_events(self, line: Line) -> None:
        while True:
            event = await line.next_said()
            ref = event.get("ref")
            if isinstance(ref, int):
                event = {**event, "ref": self._refs.get(ref, ref)}
                if self._backup is not None and event["ref"] == self._backup["ref"]:
                    self._backup = None if event.get("written", True) else self._backup
            await self._say(event)

    async def _resume(self, line: Line) -> None:
        """Watch, listen and back up as before, at another owner."""
        self._refs.clear()
        begun = [call for call in (self._listen, self._backup) if call is not None]
        for call in (*self._watches.values(), *begun):
            try:
                await self._begin(line, call)
            except LineLost:
                raise
            except ClientError as error:
                await self._say({"event": "failed", "ref": call["ref"], "error": failure_json(error)})
        if self._watches:
            await self._say({"event": "resync"})

    async def _begin(self, line: Line, value: Json) -> object:
        """Carry out a call on a line under a ref of the line's own."""
        arguments = {name: argument for name, argument in value.items() if name not in ("call", "ref")}
        ref = line.new_ref()
        if value["call"] == "backup":
            self._backup = value
        if value["call"] in ("watch", "listen", "backup"):
            self._refs[ref] = int(str(value["ref"]))
        return await line.ask(ref, str(value["call"]), arguments)

    async def _read(self) -> None:
        await self._connected.wait()
        async for line in self._lines:
            if is_blank(line):
                continue
            value: Json = {}
            try:
                value = decode(line)
                call = parse_call(value)
            except ClientError as error:
                await self._say({"ref": ref_of(value), "error": failure_json(error)})
                continue
            await self._room.acquire()
            task = asyncio.create_task(self._answer(call, value))
            self._calls.add(task)
            task.add_done_callback(self._answered)
            self._check()
        while self._calls:
            await asyncio.wait(self._calls)
        self._check()

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        self._room.release()
        failure = None if task.cancelled() else task.exception()
        self._unsaid = self._unsaid or failure

    def _check(self) -> None:
        """An answer that could not be written ends it all."""
        if self._unsaid is not None:
            raise self._unsaid

    async def _answer(self, call: Call, value: Json) -> None:
        result: object = None
        while True:
            await self._connected.wait()
            line = self._line
            assert line is not None
            try:
                result = await self._begin(line, value)
                break
            except Exception as error:  # whatever it is, it is the answer, unless the next owner can give one
                if not isinstance(error, LineLost) or not may_be_asked_again(error, value):
                    await self._say({"ref": call.ref, "error": failure_json(error)})
                    return
            if self._line is line:
                await self._disconnected.wait()
        if isinstance(call, Watch):
            self._watches[call.name] = value
        elif isinstance(call, Listen):
            self._listen = value
        await self._say({"ref": call.ref, "result": result})
