"""A command in a terminal, and somebody who types there.

Owns the pseudo-terminal and the process in it. Knows nothing of canaries, nor what a screen looks like: it
waits for words in what is printed.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

SHOWN_WITHIN: Final = 60.0  # seconds
ENDED_WITHIN: Final = 20.0
ROWS, COLUMNS = 24, 120
READ: Final = 65_536
ENTER: Final = "\r"

# The terminal becomes that of the session, where passphrases are asked for.
_TAKE_IT: Final = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class TerminalError(Exception):
    """What was waited for was not shown; the text says what it was."""


class Terminal:
    """One command. `typed` are (the words that were waited for, the line behind them)."""

    def __init__(self, master: int, process: Process) -> None:
        self._master, self._process = master, process
        self._shown = b""
        self._seen = 0  # how far the words that were waited for have been
        self._news = asyncio.Event()
        self._is_open = True
        self.typed: list[tuple[str, str]] = []
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, READ)
        except OSError:  # the other side is closed
            data = b""
        if not data:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self._master)
        self._shown += data
        self._news.set()

    async def shows(self, words: str) -> None:
        """Wait until it prints these words, behind those that were waited for before.

        Raises TerminalError.
        """
        try:
            async with asyncio.timeout(SHOWN_WITHIN):
                while (found := self._shown.find(words.encode(), self._seen)) < 0:
                    if not self._is_open:
                        raise TerminalError(f"it ended, and had not shown {words!r}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TerminalError(f"it did not show {words!r} within {SHOWN_WITHIN:.0f} s") from None
        self._seen = found + len(words.encode())

    async def answer(self, words: str, line: str) -> None:
        """Wait for these words, and type a line. Raises TerminalError."""
        await self.shows(words)
        self.typed.append((words, line))
        os.write(self._master, (line + ENTER).encode())

    def type(self, line: str) -> None:
        """Type a line, whatever is shown."""
        self.typed.append(("", line))
        os.write(self._master, (line + ENTER).encode())

    async def ends(self) -> int:
        """Its exit code, once it has ended. Raises TerminalError."""
        try:
            async with asyncio.timeout(ENDED_WITHIN):
                return await self._process.wait()
        except TimeoutError:
            raise TerminalError(f"it did not end within {ENDED_WITHIN:.0f} s") from None

    async def close(self) -> None:
        """End it, if it has not ended."""
        asyncio.get_running_loop().remove_reader(self._master)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@contextlib.asynccontextmanager
async def open_terminal(program: Sequence[str], variables: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A program in a terminal of its own; `program[0]` is a whole path."""
    master, slave = os.openpty()
    try:
        try:
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _TAKE_IT, *program, stdin=slave, stdout=slave, stderr=slave,
                start_new_session=True, env={**variables, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
            )  # fmt: skip
        finally:
            os.close(slave)
        terminal = Terminal(master, process)
        try:
            yield terminal
        finally:
            await terminal.close()
    finally:
        os.close(master)
