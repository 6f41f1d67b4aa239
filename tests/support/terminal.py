"""A program in a pseudo-terminal, and what a person would see of it.

Owns the terminal and the process in it. Knows no program of ours.
"""

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pyte
from pyte import modes
from wcwidth import wcwidth

SEEN_WITHIN = 20.0
ENDED_WITHIN = 20.0

# The terminal of the child's session, which is what signals and `SIGHUP` at its end go by.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


class PersonsScreen(pyte.Screen):
    """pyte's screen; besides, what has no width joins the cell before it."""

    def draw(self, data: str) -> None:
        run = ""
        for char in data:
            if wcwidth(char) == 0 and not unicodedata.combining(char):
                super().draw(run)
                run = ""
                self._join(char)
            else:
                run += char
        super().draw(run)

    def _join(self, char: str) -> None:
        line = self.buffer[self.cursor.y]
        column = self.cursor.x - 1
        if column > 0 and line[column].data == "":
            column -= 1
        if column >= 0:
            line[column] = line[column]._replace(data=line[column].data + char)


class Terminal:
    """`argv` in a terminal of `rows` and `columns`. `screen` is a pyte screen of what it shows."""

    def __init__(
        self, argv: Sequence[str], rows: int = 24, columns: int = 80, env: Mapping[str, str] | None = None
    ) -> None:
        self.rows, self.columns = rows, columns
        self.screen = PersonsScreen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.said = b""  # all that it has written
        self._master, slave = os.openpty()
        self._resize_terminal(rows, columns)
        self.modes_before = termios.tcgetattr(slave)
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def _resize_terminal(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # --- what a person does ---------------------------------------------------------------------------

    def type(self, text: str) -> Self:
        """Press keys; `\\r` is Enter."""
        data = text.encode()
        while data:
            _, ready, _ = select.select([], [self._master], [], SEEN_WITHIN)
            assert ready, "the terminal takes no more keys"
            data = data[os.write(self._master, data) :]
            self.read(0)
        return self

    def resize(self, rows: int, columns: int) -> None:
        """Drag the window's corner."""
        self.rows, self.columns = rows, columns
        self.screen.resize(rows, columns)
        self._resize_terminal(rows, columns)

    def read(self, patience: float) -> bool:
        """Take in what it writes, waiting `patience` seconds for the first byte; False if nothing came."""
        ready, _, _ = select.select([self._master], [], [], patience)
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.said += data
        self._stream.feed(data)
        return bool(data)

    def until(self, what: str | Callable[[], object], deadline: float = SEEN_WITHIN) -> Self:
        """Wait until the screen contains a text, or a condition holds."""
        end = time.monotonic() + deadline
        while not (what in self.text if isinstance(what, str) else what()):
            left = end - time.monotonic()
            ended = self.process.poll() is not None
            if not self.read(min(0.05, max(0.0, left))):
                is_hopeless = left <= 0 or ended
                assert not is_hopeless, f"not seen: {what!r} (ended: {ended})\n{self.picture}"
        return self

    # --- what a person sees ---------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        """The rows of the screen, without the blanks at their ends."""
        found = []
        for y in range(self.rows):
            line = self.screen.buffer[y]
            found.append("".join(line[x].data for x in range(self.columns)).rstrip())
        return found

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    @property
    def picture(self) -> str:
        """The screen in a frame, for a failed assertion."""
        border = "+" + "-" * self.columns + "+"
        rows = "\n".join(f"|{line}" for line in self.lines)
        return f"{border}\n{rows}\n{border}\ncursor {self.screen.cursor.x},{self.screen.cursor.y}"

    def line_with(self, text: str) -> str:
        """The row that contains a text."""
        return next((line for line in self.lines if text in line), "")

    @property
    def is_cursor_shown(self) -> bool:
        return modes.DECTCEM in self.screen.mode

    @property
    def is_alternate(self) -> bool:
        """Whether it has switched to the alternate screen and not back."""
        return self.said.rfind(b"\x1b[?1049h") > self.said.rfind(b"\x1b[?1049l")

    @property
    def terminal_modes(self) -> list[Any]:
        """Echo and the like, as they are now."""
        return termios.tcgetattr(self._master)

    # --- the end --------------------------------------------------------------------------------------

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        end = time.monotonic() + ENDED_WITHIN
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end\n{self.picture}"
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.ended()

    def hang_up(self) -> int:
        """Close the terminal, as when its window is closed; the exit code."""
        os.close(self._master)
        self._master = -1
        return self.process.wait(ENDED_WITHIN)

    def close(self) -> None:
        """End it if it runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(ENDED_WITHIN)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
