"""One line of calls, on the side of the process that owns the profile.

Owns what a line has under way: its watches, and the message that its listener has in hand. Ends all of it
with the line. Knows neither sockets nor terminals: events leave through `emit`, which may wait.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from clients.backup.making import back_up
from clients.backup.passphrases import check_passphrase
from clients.errors import LockedError, NotFoundError, UsageError
from clients.local import calls
from clients.local.failures import failure_json
from clients.local.performer import Performer
from clients.messenger import Messenger
from clients.model import Json
from clients.tasks import end
from clients.watching import MessageEvent, Watch

WATCHES_MAX: Final = 8

Emit = Callable[[Json], Awaitable[None]]


class _Watching:
    """One watch, and the task that tells its events."""

    def __init__(self, watch: Watch, task: asyncio.Task[None]) -> None:
        self._watch, self._task = watch, task

    async def end(self) -> None:
        """Tell no more."""
        await end(self._task)
        await self._watch.__aexit__(None, None, None)


class Session:
    """The calls of one line. `close` ends what they have begun."""

    def __init__(self, me: Messenger, emit: Emit) -> None:
        self._me = me
        self._emit = emit
        self._performer = Performer(me)
        self._watches: dict[str | None, _Watching] = {}
        self._listening: asyncio.Task[None] | None = None
        self._backing_up: asyncio.Task[None] | None = None
        self._done = asyncio.Event()
        self._in_turn = asyncio.Lock()
        self._changes_watches = asyncio.Lock()

    async def perform(self, call: calls.Call) -> Any:
        """The result of a call. Raises ClientError."""
        match call:
            case calls.Watch():
                async with self._changes_watches:
                    return await self._watch(call)
            case calls.Listen():
                return self._listen(call)
            case calls.Done():
                return self._finish(call)
            case calls.Backup():
                return self._back_up(call)
            case calls.Send():
                async with self._in_turn:  # what one line sends keeps its order, also where it waits for room
                    return await self._performer.perform(call)
            case calls.Flush():
                async with self._in_turn:
                    pass  # it covers what the line has sent before it
                return await self._performer.perform(call)
            case _:
                return await self._performer.perform(call)

    async def close(self) -> None:
        """End all of it: a message in hand stays undone, and comes again; of a backup nothing is left."""
        for watching in self._watches.values():
            await watching.end()
        self._watches.clear()
        for task in (self._listening, self._backing_up):
            if task is not None:
                await end(task)
        self._me.stream.release(self)

    async def _subscription(self, ref: int, work: Callable[[], Awaitable[None]]) -> None:
        """Events until they end; the line is told why they do."""
        try:
            await work()
        except Exception as error:  # whatever it is, the line is told: nothing dies unseen
            await self._emit({"event": "failed", "ref": ref, "error": failure_json(error)})

    # --- backup ---------------------------------------------------------------------------------------

    def _back_up(self, call: calls.Backup) -> Json:
        if self._backing_up is not None and not self._backing_up.done():
            raise LockedError("This line writes a backup already.")
        check_passphrase(call.passphrase)
        if not Path(call.file).is_absolute():
            raise UsageError("The call 'backup': the field 'file' is not a whole path.")

        async def tell(done: int, of: int, *, is_written: bool = False) -> None:
            counts = {"messages": done, "of": of, "written": is_written}
            await self._emit({"event": "backup", "ref": call.ref, "file": call.file, **counts})

        async def work() -> None:
            count = await back_up(self._me.config, Path(call.file), call.passphrase, tell)
            await tell(count, count, is_written=True)

        self._backing_up = asyncio.create_task(self._subscription(call.ref, work))
        return {}

    # --- watch ----------------------------------------------------------------------------------------

    async def _watch(self, call: calls.Watch) -> Json:
        watch = self._me.watch(call.name)
        before = self._watches.pop(call.name, None)
        if before is not None:
            await before.end()
        if len(self._watches) >= WATCHES_MAX:
            raise UsageError(f"A line can watch {WATCHES_MAX} things. End the line to watch others.")

        async def tell() -> None:
            async for event in watch:
                if call.messages or not isinstance(event, MessageEvent):
                    await self._emit(event.to_json())

        # Begun before the answer: whatever changes after it is told.
        await watch.__aenter__()
        task = asyncio.create_task(self._subscription(call.ref, tell))
        self._watches[call.name] = _Watching(watch, task)
        return {}

    # --- listen ---------------------------------------------------------------------------------------

    def _listen(self, call: calls.Listen) -> Json:
        if self._listening is not None and not self._listening.done():
            raise LockedError("This line listens already.")
        self._me.stream.claim(self)

        async def tell() -> None:
            await self._tell_messages(call.ref)

        self._listening = asyncio.create_task(self._subscription(call.ref, tell))
        return {"more": self._me.stream.has_more()}

    async def _tell_messages(self, ref: int) -> None:
        try:
            while True:
                message = await self._me.stream.next()
                assert message is not None
                self._done.clear()
                await self._emit({"event": "message", "ref": ref, "message": message.to_json()})
                await self._done.wait()
        finally:
            self._me.stream.release(self)

    def _finish(self, call: calls.Done) -> Json:
        is_listening = self._listening is not None and not self._listening.done()
        if not is_listening or not self._me.stream.is_in_hand(bytes.fromhex(call.id)):
            raise NotFoundError("This message is not in hand.")
        self._me.stream.done()
        self._done.set()
        return {"more": self._me.stream.has_more()}


async def answer(session: Session, call: calls.Call) -> Json:
    """The answer to a call, as it goes over the line: with its result or its error."""
    try:
        result = await session.perform(call)
    except Exception as error:  # a call that fails, for whatever reason, ends neither the line nor the owner
        return {"ref": call.ref, "error": failure_json(error)}
    return {"ref": call.ref, "result": result}
