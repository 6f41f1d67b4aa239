"""A person of a fault run: a profile, its `blindpost serve` in a process of its own, and what it said.

Owns the process through all its lives, what is to be sent (again under the same key until it is answered),
and every line that the process printed. It knows of messages what their sender numbered them.
"""

import asyncio
import contextlib
import itertools
import json
import signal
import subprocess
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.child import command
from tests.support.client_process import ClientProcess, Json

WINDOW: Final = 40  # sends without an answer; `serve` carries out 64 calls at a time
LINE_LIMIT: Final = 1024 * 1024
STOP_WITHIN: Final = 20.0


class PatchedClient(ClientProcess):
    """The real client, started through `tests.faults.child`."""

    patches: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        return [*command("clients", *self.patches), *arguments]


@dataclass
class Flow:
    """What one person sends to another: numbered from 0, in order."""

    to: str
    next: int = 0
    queued: dict[int, str] = field(default_factory=dict)  # number to message id, once it was answered

    def text(self, number: int) -> str:
        """A message's text: its number, and something to make sizes differ."""
        return f"{number} " + "." * (number * 37 % 300)


@dataclass(frozen=True)
class Given:
    """A message as `serve` handed it over."""

    contact: str
    id: str
    text: str
    redelivered: bool
    late: bool
    missing_before: int


class Person:
    """One person. All but `init` belongs to the event loop."""

    def __init__(self, directory: Path, name: str, patches: tuple[str, ...] = ()) -> None:
        self.name = name
        self.client = PatchedClient(directory, name)
        self.client.patches = patches
        self.patches = patches
        self.flows: dict[str, Flow] = {}
        self.given: list[Given] = []
        self.received: Counter[str] = Counter()  # different messages by contact
        self.refused: Counter[str] = Counter()  # answers to sends that were errors, by code
        self.lives = 0
        self.handed = asyncio.Event()
        self._seen: set[str] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._refs = itertools.count(10)
        self._calls: dict[int, asyncio.Future[Json]] = {}
        self._sending: dict[int, tuple[str, int]] = {}
        self._again: deque[tuple[str, int]] = deque()
        self._answered = asyncio.Event()

    # --- its process ----------------------------------------------------------------------------------

    async def start(self, *patches: str) -> None:
        """Begin a life; returns at once."""
        assert not self.is_alive
        self.lives += 1
        with self.client.stderr_path.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *command("clients", *self.patches, *patches), "serve",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=self.client.environment, limit=LINE_LIMIT,
            )  # fmt: skip
        self._again.extend(sorted(self._sending.values(), key=lambda sent: sent[1]))
        self._sending.clear()
        self._reading = asyncio.create_task(self._read(self._process))
        self._say({"call": "listen", "ref": 1})

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    async def ended(self, within: float) -> int:
        """The exit code of this life. Raises TimeoutError."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(within):
            code = await self._process.wait()
            await self._reading
        return code

    async def kill(self) -> None:
        """SIGKILL; everything it printed has been read when this returns."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.ended(STOP_WITHIN)

    async def stop(self) -> int:
        """Let it finish: the end of its input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self.ended(STOP_WITHIN)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    # --- its lines ------------------------------------------------------------------------------------

    def _say(self, call: Json) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(call).encode() + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if line.endswith(b"\n"):  # else it was killed while it wrote
                self._hear(json.loads(line))
        for call in self._calls.values():
            if not call.done():
                call.set_exception(ConnectionError("its process ended"))
        self._answered.set()

    def _hear(self, said: Json) -> None:
        if said.get("event") == "message":
            self._take(said["message"])
            return
        ref = said.get("ref")
        if ref in self._sending:
            self._settle(int(str(ref)), said)
        elif ref in self._calls and not self._calls[ref].done():
            self._calls[ref].set_result(said)

    def _take(self, message: Json) -> None:
        names = ("contact", "id", "text", "redelivered", "late", "missing_before")
        given = Given(*(message[name] for name in names))
        self.given.append(given)
        if given.id not in self._seen:
            self._seen.add(given.id)
            self.received[given.contact] += 1
        self.handed.set()
        self._say({"call": "done", "ref": 2, "id": given.id})

    def _settle(self, ref: int, said: Json) -> None:
        to, number = self._sending.pop(ref)
        if "error" in said:
            self.refused[said["error"]["code"]] += 1
            self._again.append((to, number))
        else:
            self.flows[to].queued[number] = said["result"]["id"]
        self._answered.set()

    # --- what it sends --------------------------------------------------------------------------------

    def send_more(self, to: str, count: int) -> int:
        """Send up to so many more to a contact, what had no answer first; returns how many were new."""
        new = 0
        if not self.is_alive:
            return 0
        while len(self._sending) < WINDOW and self._again:
            self._send(*self._again.popleft())
        flow = self.flows.setdefault(to, Flow(to))
        while new < count and len(self._sending) < WINDOW and not self._again:
            self._send(to, flow.next)
            flow.next += 1
            new += 1
        return new

    def _send(self, to: str, number: int) -> None:
        ref = next(self._refs)
        self._sending[ref] = (to, number)
        text = self.flows[to].text(number)
        self._say({"call": "send", "ref": ref, "to": to, "text": text, "key": f"{to}-{number}"})

    async def settled(self, within: float) -> None:
        """Until everything that was to be sent is queued by its process. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while self._sending or self._again:
                self._answered.clear()
                self.send_more(next(iter(self.flows)), 0)
                await asyncio.wait_for(self._answered.wait(), within)

    async def call(self, name: str, within: float = 60.0, **arguments: Any) -> Any:
        """Any other call. Raises ConnectionError when its process ends, TimeoutError."""
        ref = next(self._refs)
        answer = self._calls[ref] = asyncio.get_running_loop().create_future()
        self._say({"call": name, "ref": ref, **arguments})
        try:
            async with asyncio.timeout(within):
                said = await answer
        finally:
            del self._calls[ref]
        assert "error" not in said, said
        return said["result"]

    # --- what its store holds -------------------------------------------------------------------------

    def history(self, contact: str) -> list[Json]:
        """The whole conversation, by the command line; its process must have ended."""
        return self.client.json("history", "--limit", "10000000", contact)

    def store_bytes(self) -> int:
        """The size of its database with its WAL."""
        return sum(path.stat().st_size for path in self.client.profile.glob("*.db*"))
