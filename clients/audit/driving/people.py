"""Somebody who uses the real client: a profile of its own, and `blindpost serve` as a process.

Owns the process, its calls and what it hands over, and the record of all that it was given to do. Knows
nothing of canaries, and nothing of a relay but the URL that the client is given.
"""

import asyncio
import itertools
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clients.audit.driving.command_line import ANSWER_WITHIN, CommandLine, Json, ended
from clients.audit.driving.command_line import CLIENT as CLIENT
from clients.audit.driving.command_line import PersonError as PersonError
from clients.config import environment as own_environment

STOP_WITHIN: Final = 20.0
LINE_MAX: Final = 4 * 1024 * 1024  # bytes
DONE: Final = 0  # the ref of every `done`, whose answer nobody waits for


class Person(CommandLine):
    """One person. `asked`: calls, `carried_out`: those that had a result, `heard`: events that came."""

    def __init__(
        self,
        profile: Path,
        program: Sequence[str] = CLIENT,
        *,
        passphrase: str | None = None,
        environment: Mapping[str, str] | None = None,
        by_variable: bool = False,
    ) -> None:
        super().__init__(
            profile, program, passphrase=passphrase, variables=environment, by_variable=by_variable
        )
        self.asked: list[Json] = []
        self.carried_out: set[str] = set()
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._refs = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Json]] = {}
        self.heard: list[Json] = []
        self._news = asyncio.Event()
        self._has_ended = False
        self.dawdles = False  # whether a message stays in hand until `go_on`
        self._in_hand: str | None = None
        self._handed_over = 0  # how far `message` has looked in `heard`

    async def start(self, *options: str) -> None:
        """Begin to serve; `listen` is asked for at once, and what comes is dealt with."""
        command = self._command(("--json", *options, "serve"))
        self.commands.append(command)
        self._process = await asyncio.create_subprocess_exec(
            *self._program,
            *command.arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_MAX,
            env=own_environment(command.variables),
        )
        self._has_ended = False
        self._reading = asyncio.create_task(self._read(self._process))
        await self.call("listen")
        await self.call("watch")

    @property
    def is_running(self) -> bool:
        """Whether it serves."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        return self._process.pid

    def _say(self, call: Json) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self.asked.append(call)
        self._process.stdin.write(json.dumps(call).encode() + b"\n")

    async def mumble(self, line: bytes) -> None:
        """Say something that may be no call, and go on when what came before it is answered."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        await self.call("me")

    async def ask(self, call: str, /, **arguments: Any) -> Json:
        """One call: its answer as it came, `result` or `error`. Raises PersonError for none."""
        ref = next(self._refs)
        answer = asyncio.get_running_loop().create_future()
        self._calls[ref] = answer
        self._say({"call": call, "ref": ref, **arguments})
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                said: Json = await answer
        except TimeoutError:
            raise PersonError(f"{call} was not answered within {ANSWER_WITHIN:.0f} s") from None
        finally:
            self._calls.pop(ref, None)
        if "result" in said:
            self.carried_out.add(call)
        return said

    async def call(self, call: str, /, **arguments: Any) -> Any:
        """One call: its result. Raises PersonError for an error, with its sentence."""
        answer = await self.ask(call, **arguments)
        if "error" in answer:
            raise PersonError(f"{call}: {answer['error'].get('message')}")
        return answer["result"]

    async def event(self, is_it: Callable[[Json], bool], since: int = 0) -> Json:
        """The first event that is it, of those behind the first `since`, as soon as it is there.

        Raises PersonError if none comes.
        """
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                while True:
                    for event in self.heard[since:]:
                        if is_it(event):
                            return event
                    since = len(self.heard)
                    if self._has_ended:
                        raise PersonError("the client has ended")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise PersonError(f"what was waited for did not come within {ANSWER_WITHIN:.0f} s") from None

    async def message(self) -> Json:
        """The next message that was handed over. Raises PersonError if none comes."""
        event = await self.event(is_handed_over, self._handed_over)
        self._handed_over = self.heard.index(event, self._handed_over) + 1
        return dict(event["message"])

    async def hears(self, words: str, since: int = 0) -> Json:
        """The message with these words, as soon as it is handed over. Raises PersonError for none."""
        event = await self.event(
            lambda event: is_handed_over(event) and words in event["message"].get("text", ""), since
        )
        return dict(event["message"])

    def go_on(self) -> None:
        """The message in hand has been dealt with, and so will those behind it at once."""
        self.dawdles = False
        if self._in_hand is not None:
            self._say({"call": "done", "ref": DONE, "id": self._in_hand})
            self._in_hand = None

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            if "event" not in said:
                if said.get("ref") == DONE and "result" in said:
                    self.carried_out.add("done")
                waiting = self._calls.get(said.get("ref", DONE))
                if waiting is not None and not waiting.done():
                    waiting.set_result(said)
                continue
            self.heard.append(said)
            self._news.set()
            if is_handed_over(said):
                self._in_hand = said["message"]["id"]
                if not self.dawdles:
                    self.go_on()
        self._has_ended = True
        self._news.set()
        for waiting in self._calls.values():
            if not waiting.done():
                waiting.set_exception(PersonError("the client has ended"))

    async def stop(self) -> int:
        """Let it finish; its exit code. Nothing to do where it does not run."""
        if self._process is None or self._reading is None:
            return 0
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await self._reading
                return await self._process.wait()
        except BaseException:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            await ended(self._process)
            raise
        finally:
            self._process = None


def is_handed_over(event: Json) -> bool:
    """Whether it is a message of `listen`, which waits for `done`; others are of `watch`."""
    return event["event"] == "message" and "ref" in event
