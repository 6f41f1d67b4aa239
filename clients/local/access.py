"""One profile, several commands: whoever comes first owns it, whoever comes later hands its calls over.

    async with access(config) as line:
        contact = await line.call("contact", name="bob")

Owns the choice between the two, and the line to another process. What the calls are is in
`clients.local.calls`; a caller need not know who carries them out.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from clients.config import ClientConfig
from clients.errors import InUseError, LockedError, TooLargeError, UsageError
from clients.local import place
from clients.local.calls import parse_call
from clients.local.failures import LineLost, failure
from clients.local.framing import LINE_MAX, PROTOCOL, Splitter, TooLong, decode, encode, is_blank
from clients.model import Json
from clients.tasks import end

if TYPE_CHECKING:
    from clients.messenger import Messenger

PATIENCE: Final = 5.0  # seconds for the lock or the socket of another process that begins or ends
HELLO_WITHIN: Final = 5.0
ANSWER_WITHIN: Final = 30.0  # seconds for an answer, besides what the call itself waits for
SILENT: Final = (
    "The blindpost process that uses this profile does not answer. If it is suspended (Ctrl-Z), go on with "
    "it: fg"
)
EVENTS_MAX: Final = 1000  # that nobody has taken yet; more means "look at everything again"
CHUNK: Final = 64 * 1024

Said = dict[str, Any]  # an object as it came over a line


class Line(ABC):
    """Calls to whoever owns the profile, and the events that come back."""

    def __init__(self) -> None:
        self._refs = 0
        self._events: deque[Said] = deque()
        self._arrived = asyncio.Event()
        self._end: LineLost | None = None

    @property
    @abstractmethod
    def is_owner(self) -> bool:
        """Whether this process owns the profile."""

    def new_ref(self) -> int:
        """A number for a call. Events that belong to a `listen` carry it."""
        self._refs += 1
        return self._refs

    async def call(self, call: str, /, **arguments: object) -> Any:
        """The result of a call. Raises ClientError; LineLost if nobody can say whether it was carried out."""
        return await self.ask(self.new_ref(), call, arguments)

    @abstractmethod
    async def ask(self, ref: int, call: str, arguments: Json) -> Any:
        """As `call`, with a number from `new_ref`."""

    async def next_event(self) -> Said:
        """The next event. Raises LineLost when there will be none, and what ended a `watch` or `listen`."""
        event = await self.next_said()
        if event["event"] == "failed":
            raise failure(event["error"])
        return event

    async def next_said(self) -> Said:
        """The next event, `failed` ones included. Raises LineLost."""
        while not self._events:
            if self._end is not None:
                raise self._end
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    async def events(self) -> AsyncIterator[Said]:
        """The events, until the line is lost."""
        while True:
            yield await self.next_event()

    def _happened(self, event: Said) -> None:
        """Keep an event for the application; where it is too slow, forget them and say so."""
        if len(self._events) >= EVENTS_MAX and "ref" not in event:
            # What carries a ref is the message in hand, or an end: both are few, and neither may be lost.
            kept = [waiting for waiting in self._events if "ref" in waiting]
            self._events = deque([*kept, {"event": "resync"}])
        else:
            self._events.append(event)
        self._arrived.set()


class OwnLine(Line):
    """Calls carried out in this process."""

    def __init__(self, me: "Messenger") -> None:
        from clients.local.session import Session

        super().__init__()
        self._session = Session(me, self._emit)

    @property
    def is_owner(self) -> bool:
        """It does."""
        return True

    async def _emit(self, event: Json) -> None:
        self._happened(event)

    async def ask(self, ref: int, call: str, arguments: Json) -> Any:
        """Carry it out."""
        return await self._session.perform(parse_call({**arguments, "call": call, "ref": ref}))

    async def close(self) -> None:
        """End what was begun."""
        await self._session.close()


class RemoteLine(Line):
    """Calls carried out by the process that owns the profile."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self._reader, self._writer = reader, writer
        self._splitter = Splitter()
        self._said: deque[bytes | TooLong] = deque()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_closing = False  # all answers have come; what has none was not carried out

    @property
    def is_owner(self) -> bool:
        """Another one does."""
        return False

    async def greet(self) -> bool:
        """Hear the owner's first words; False if it is just ending. Raises LockedError."""
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                hello = await self._hear()
        except TimeoutError:
            raise LockedError(SILENT) from None
        except OSError:
            return False
        except (UsageError, TooLargeError):
            hello = {}
        if hello is None:
            return False
        if "error" in hello:
            raise failure(hello["error"])
        if hello.get("protocol") != PROTOCOL:
            raise LockedError("Another version of blindpost uses this profile. Stop it, then try again.")
        self._reading = asyncio.create_task(self._read())
        return True

    async def _hear(self) -> Said | None:
        """The next object, or None at the end."""
        while not self._said:
            data = await self._reader.read(CHUNK)
            if not data:
                return None
            self._said.extend(line for line in self._splitter.feed(data) if not is_blank(line))
        return decode(self._said.popleft())

    async def _read(self) -> None:
        try:
            with contextlib.suppress(OSError):
                while (said := await self._hear()) is not None:
                    self._take(said)
        finally:
            self._end = LineLost(is_unheard=self._is_closing)
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(self._end)
            self._arrived.set()

    def _take(self, said: Said) -> None:
        if "event" in said:
            self._happened(said)
            return
        if "closing" in said:
            self._is_closing = True
            return
        ref = said.get("ref")
        answer = self._answers.get(ref) if isinstance(ref, int) else None
        if answer is None or answer.done():
            return  # nobody waits for it any more
        if "error" in said:
            answer.set_exception(failure(said["error"]))
        else:
            answer.set_result(said.get("result"))

    async def ask(self, ref: int, call: str, arguments: Json) -> Any:
        """Hand it over and wait for the answer."""
        line = encode({**arguments, "call": call, "ref": ref})
        if len(line) > LINE_MAX:
            raise TooLargeError(f"A call has at most {LINE_MAX:,} bytes.")
        if self._end is not None:
            raise LineLost(is_unheard=True)
        answer = self._answers[ref] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(line)
            try:
                await self._writer.drain()
            except OSError:  # the line was not written whole
                raise LineLost(is_unheard=True) from None
            patience = ANSWER_WITHIN + sum(
                float(str(arguments.get(name) or 0)) for name in ("timeout", "settle")
            )
            try:
                async with asyncio.timeout(patience):
                    return await answer
            except TimeoutError:
                raise LockedError(SILENT) from None
        finally:
            answer.cancel()
            del self._answers[ref]

    async def close(self) -> None:
        """Hang up."""
        if self._reading is not None:
            await end(self._reading)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def access(config: ClientConfig, *, connect: bool = True) -> AsyncIterator[Line]:
    """A line to whoever owns the profile: this process, if nobody else does.

    Then, without `connect`, no network is touched. Raises NotFoundError, StorageError, or LockedError: also
    where another process keeps the profile for 5 s without taking calls.
    """
    async with contextlib.AsyncExitStack() as stack:
        yield await _line(stack, config, connect)


async def _line(stack: contextlib.AsyncExitStack, config: ClientConfig, connect: bool) -> Line:
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    while True:
        remote = await _dial(stack, config)
        if remote is not None:
            return remote
        from clients.messenger import Messenger  # not before it is needed: whoever hands over starts sooner

        try:
            me = await stack.enter_async_context(Messenger.from_config(config, connect=connect))
        except InUseError:
            if loop.time() >= until:
                raise
            await asyncio.sleep(0.05)
            continue
        own = OwnLine(me)
        stack.push_async_callback(own.close)
        return own


async def _dial(stack: contextlib.AsyncExitStack, config: ClientConfig) -> RemoteLine | None:
    connection = place.dial(config.profile)
    if connection is None:
        return None
    line = RemoteLine(*await asyncio.open_unix_connection(sock=connection))
    try:
        is_there = await line.greet()
    except BaseException:
        await line.close()
        raise
    if not is_there:
        await line.close()
        return None
    stack.push_async_callback(line.close)
    return line
