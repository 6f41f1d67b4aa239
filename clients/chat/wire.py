"""The way to a terminal that may be slow, or may have stopped taking anything: a laptop that was closed.

Owns the bytes on their way. Whoever writes never waits: this program may own the profile, and other commands
rely on it. `is_busy` tells to draw nothing more for now; then the screen is drawn as it is, not as it became.
"""

import asyncio
import contextlib
import io
import os
import select
import time
from collections.abc import Callable
from typing import Final, TextIO

from prompt_toolkit.output.base import Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.output.vt100 import Vt100_Output

DRAIN_WITHIN: Final = 2.0  # seconds that a slow terminal is given at the end


class Wire:
    """A stream for prompt_toolkit's output, on a descriptor that does not block."""

    def __init__(self, descriptor: int, encoding: str, drained: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._drained = drained
        self._bytes = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that tells when there is room again
        self.encoding = encoding

    @property
    def is_busy(self) -> bool:
        """Whether the terminal has not taken yet what was written."""
        return bool(self._bytes)

    def fileno(self) -> int:
        """None that others may have: prompt_toolkit would make it block."""
        raise io.UnsupportedOperation

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Take a text; it is on its way after `flush`."""
        self._bytes += text.encode(self.encoding, "replace")
        return len(text)

    def flush(self) -> None:
        """Write what the terminal takes now, and the rest as it takes it."""
        if self._loop is None and not self._push():
            with contextlib.suppress(RuntimeError):  # no loop: `drain` does it
                loop = asyncio.get_running_loop()
                loop.add_writer(self._descriptor, self._writable)
                self._loop = loop

    def _push(self) -> bool:
        """Write what can be written; whether that was all."""
        try:
            while self._bytes:
                del self._bytes[: os.write(self._descriptor, self._bytes)]
        except BlockingIOError:
            return False
        except OSError:
            self._bytes.clear()  # it is gone, which its input tells
        return True

    def _writable(self) -> None:
        if self._push():
            self._unhook()
            self._drained()

    def _unhook(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self._descriptor)
            self._loop = None

    def drain(self) -> None:
        """Wait until all is written; what a terminal that stands still has not taken by then is dropped."""
        self._unhook()
        end = time.monotonic() + DRAIN_WITHIN
        while not self._push() and (left := end - time.monotonic()) > 0:
            select.select([], [self._descriptor], [], left)
        self._bytes.clear()

    def close(self) -> None:
        """Write the last, and let go of the terminal."""
        self.drain()
        os.close(self._descriptor)


def open_output(stream: TextIO, drained: Callable[[], None]) -> tuple[Output, Wire | None]:
    """The output on a terminal, and its wire; none where the terminal cannot be opened once more.

    Opened once more, because whether a descriptor blocks is shared with the shell and with all its children.
    """
    output = create_output(stdout=stream)
    if not isinstance(output, Vt100_Output):
        return output, None
    try:
        descriptor = os.open(
            os.ttyname(stream.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except OSError:
        return output, None
    wire = Wire(descriptor, stream.encoding or "utf-8", drained)
    output.stdout = wire  # type: ignore[assignment]  # all of a TextIO that is used
    return output, wire
