"""The other client of the end-to-end measurement, in a process of its own: it checks every message it gets.

Owns both halves: what runs as `python -m bench.receiving_client DIRECTORY RELAY ADDRESS ROUNDS FEW`, and what
starts that. It takes FEW messages in hand at once, at most. It prints its address, then a line for each
round: `all`, or what is wrong.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.verdict import BrokenHarness
from clients.messenger import Messenger

MESSAGES: Final = 1000  # in a round
PATIENCE: Final = 60.0  # seconds for one line, or one message


@dataclass(frozen=True, slots=True)
class Receiving:
    """The process."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    async def hear(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE + MESSAGES / 10):
            line = await self.process.stdout.readline()
        if not line:
            raise BrokenHarness("the receiving client ended; its own words are above")
        return line.decode().strip()


@asynccontextmanager
async def receiving(
    directory: Path, relay: str, writer: str, rounds: int, few: int
) -> AsyncIterator[Receiving]:
    """Start it; it ends with this context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.receiving_client", str(directory), relay, writer),
        *(str(rounds), str(few)),
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    try:
        yield Receiving(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def receive(directory: Path, relay: str, writer: str, rounds: int, few: int) -> None:
    """Take every round, then wait to be ended: receipts are still on their way."""
    async with Messenger.open(directory, relay=relay) as me:
        if not await me.connected(PATIENCE):
            sys.exit("the receiving client did not connect")
        me.contacts.add("writer", writer)
        print(me.address, flush=True)
        for _ in range(rounds):
            print(await _round(me, few), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _round(me: Messenger, few: int) -> str:
    number = 0
    while number < MESSAGES:
        messages = await me.receive_few(few, PATIENCE)
        if not messages:
            return f"message {number} did not come"
        for message in messages:
            if message.text != f"message {number}":
                return f"message {number} was due, and {message.text!r} came"
            number += 1
    return "all"


if __name__ == "__main__":
    asyncio.run(receive(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
