"""Somebody who uses the real client: a profile of its own, and `blindpost serve` as a process.

Owns the process, its calls and what it hands over. Knows nothing of canaries, and nothing of a relay but the
URL that the client is given.
"""

import asyncio
import contextlib
import itertools
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clients.config import PASSPHRASE_VARIABLE
from clients.config import environment as own_environment

ANSWER_WITHIN: Final = 60.0  # seconds
STOP_WITHIN: Final = 20.0
LINE_MAX: Final = 4 * 1024 * 1024  # bytes
CLIENT: Final = (sys.executable, "-P", "-m", "clients")

Json = dict[str, Any]


class PersonError(Exception):
    """A client did not do what it was asked to; the text says what it said."""


class Person:
    """One person. `program`: what runs the client; a control runs another one."""

    def __init__(
        self,
        profile: Path,
        program: Sequence[str] = CLIENT,
        *,
        passphrase: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.profile, self.passphrase = profile, passphrase
        variables = {} if passphrase is None else {PASSPHRASE_VARIABLE: passphrase}
        self._environment = own_environment({**variables, **(environment or {})})
        self._program = (*program, "--profile", str(profile), "--json")
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._refs = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Json]] = {}
        self.events: asyncio.Queue[Json] = asyncio.Queue(10_000)

    async def run(self, *arguments: str, stdin: bytes = b"", codes: Sequence[int] = (0,)) -> list[Json]:
        """One command from start to end: its lines. Raises PersonError for another exit code."""
        process = await asyncio.create_subprocess_exec(
            *self._program, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self._environment
        )
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                out, errors = await process.communicate(stdin)
        except BaseException:
            await _ended(process)
            raise
        if process.returncode not in codes:
            raise PersonError(
                f"{arguments[0]} ended with {process.returncode}: {errors.decode(errors='replace')}"
            )
        return [json.loads(line) for line in out.splitlines()]

    async def start(self, *options: str) -> None:
        """Begin to serve; `listen` is asked for at once, and what comes is dealt with."""
        self._process = await asyncio.create_subprocess_exec(
            *self._program,
            *options,
            "serve",
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_MAX,
            env=self._environment,
        )
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
        self._process.stdin.write(json.dumps(call).encode() + b"\n")

    async def ask(self, call: str, /, **arguments: Any) -> Json:
        """One call: its answer as it came, `result` or `error`. Raises PersonError for none."""
        ref = next(self._refs)
        answer = asyncio.get_running_loop().create_future()
        self._calls[ref] = answer
        self._say({"call": call, "ref": ref, **arguments})
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return dict(await answer)
        except TimeoutError:
            raise PersonError(f"{call} was not answered within {ANSWER_WITHIN:.0f} s") from None
        finally:
            self._calls.pop(ref, None)

    async def call(self, call: str, /, **arguments: Any) -> Any:
        """One call: its result. Raises PersonError for an error, with its sentence."""
        answer = await self.ask(call, **arguments)
        if "error" in answer:
            raise PersonError(f"{call}: {answer['error'].get('message')}")
        return answer["result"]

    async def message(self) -> Json:
        """The next message that was handed over. Raises PersonError if none comes."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                while True:
                    event = await self.events.get()
                    if event["event"] == "message" and "ref" in event:
                        return dict(event["message"])
        except TimeoutError:
            raise PersonError(f"no message came within {ANSWER_WITHIN:.0f} s") from None

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            if "event" not in said:
                waiting = self._calls.get(said.get("ref", 0))
                if waiting is not None and not waiting.done():
                    waiting.set_result(said)
                continue
            with contextlib.suppress(asyncio.QueueFull):
                self.events.put_nowait(said)
            if said["event"] == "message" and "ref" in said:
                self._say({"call": "done", "ref": 0, "id": said["message"]["id"]})
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
            await _ended(self._process)
            raise
        finally:
            self._process = None


async def _ended(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
