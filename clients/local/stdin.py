"""Lines from standard input, without holding up anything else while nobody types.

Owns waiting for a descriptor that another program fills. Its flags are left alone, because a terminal shares
them with standard output.
"""

import asyncio
import io
import os
from collections.abc import AsyncIterator
from typing import BinaryIO, Final

from clients.local.framing import Splitter, TooLong

CHUNK: Final = 64 * 1024


async def lines(stream: BinaryIO, limit: int) -> AsyncIterator[bytes | TooLong]:
    """Each line of a stream, without its line feed; one of `limit` bytes or more is skipped and marked."""
    splitter = Splitter(limit)
    while data := await _some(stream):
        for line in splitter.feed(data):
            yield line
    for line in splitter.rest():
        yield line


async def _some(stream: BinaryIO) -> bytes:
    """The next bytes, or none at the end."""
    try:
        descriptor = stream.fileno()
    except (OSError, io.UnsupportedOperation):
        return stream.read(CHUNK)  # no descriptor stands behind it, so it cannot block
    await _readable(descriptor)
    return os.read(descriptor, CHUNK)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except (OSError, NotImplementedError):
        await asyncio.sleep(0)  # a plain file is always ready, and cannot be waited for
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
