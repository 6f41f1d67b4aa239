"""What the process that has the profile open says of itself, through the profile's socket.

Owns one question. No answer in time is None.
"""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.local.place import dial

ANSWERS_WITHIN: Final = 2.0
LINE_MAX: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class Owner:
    """Where it is connected to, and what does not work there."""

    relay: str
    connected: bool
    problems: tuple[str, ...]


async def ask_owner(profile: Path) -> Owner | None:
    """Ask `me`. None if there is no socket, or nobody answers as expected."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            line = dial(profile)
            if line is None:
                return None
            reader, writer = await asyncio.open_unix_connection(sock=line, limit=LINE_MAX)
            try:
                await reader.readline()
                writer.write(b'{"call": "me", "ref": 1}\n')
                await writer.drain()
                said = json.loads(await reader.readline())["result"]
                problems = tuple(str(problem) for problem in said["problems"])
                return Owner(str(said["relay"]), bool(said["connected"]), problems)
            finally:
                writer.transport.abort()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
