"""Lines to standard output, without holding up anything else while nobody reads them.

Owns waiting for a descriptor that another program empties. Its flags are left alone, because a terminal
shares them with standard input.
"""

import asyncio
import io
import os
from typing import BinaryIO, Final

# Where there is room at all, a pipe has room for as much (POSIX, PIPE_BUF of Linux; others promise 512 and
# hold more).
CHUNK: Final = 4096


class Writer:
    """Writes whole lines, one after the other."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._in_turn = asyncio.Lock()

    async def write(self, line: bytes) -> None:
        """Write a line, once there is room. Raises OSError; BrokenPipeError if the reader is gone."""
        async with self._in_turn:
            try:
                descriptor = self._stream.fileno()
            except (OSError, io.UnsupportedOperation):
                self._stream.write(line)  # no descriptor stands behind it, so it cannot block
                return
            while line:
                await _writable(descriptor)
                line = line[os.write(descriptor, line[:CHUNK]) :]


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_writer(descriptor, ready.set)
    except (OSError, NotImplementedError):
        await asyncio.sleep(0)  # a plain file is always ready, and cannot be waited for
        return
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
