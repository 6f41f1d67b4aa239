"""What can be replaced in a relay: its disk, its patience, its sockets; and a look at its event loop.

Owns the relay's part of `tests.faults.patches`.
"""

import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

LAG_EVERY: Final = 0.02  # seconds between two looks at the event loop


def _send_buffer(size: str) -> None:
    """The kernel holds at most about so many bytes for a peer that does not read: the relay feels it."""
    import socket

    from relay import listening

    real = listening.listen

    def listen(host: str, port: int) -> socket.socket:
        listener = real(host, port)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(size))  # accepted sockets inherit it
        return listener

    listening.listen = listen


def _pages(path: str) -> None:
    """A file that exists allows the relay's database no more growth: whatever needs a new page fails."""
    from relay.store import writer

    real = writer.Writer._transaction
    limited = False

    def transaction(self: writer.Writer, *arguments: Any) -> Any:
        nonlocal limited
        if os.path.exists(path) != limited:
            limited = not limited
            # The limit is never set below the present size.
            self._connection.pragma("max_page_count", 1 if limited else 0x3FFFFFFE)
        return real(self, *arguments)

    writer.Writer._transaction = transaction  # type: ignore[method-assign, assignment]  # that is the patch


def _busy_timeout(milliseconds: str) -> None:
    """The relay waits so long for a database that another process holds."""
    from relay.store import schema

    schema.BUSY_TIMEOUT_MS = int(milliseconds)  # type: ignore[misc]  # that is the patch


def _waited_for_cpu() -> float:
    """Seconds that this thread has waited for a processor (Linux, 0 elsewhere)."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


def _lag(path: str) -> None:
    """The relay writes into this file how late its event loop was at worst, in seconds."""
    import asyncio

    from relay import server

    real = server.Server.main_loop
    make_lag(Path(path))
    with open(path, "r+b") as file:
        worst = mmap.mmap(file.fileno(), 8)

    async def probe(worst: mmap.mmap) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, waited = loop.time() + LAG_EVERY, _waited_for_cpu()
            await asyncio.sleep(LAG_EVERY)
            # What other programs had of the processor meanwhile is not the relay's doing.
            late = loop.time() - due - (_waited_for_cpu() - waited)
            if late > struct.unpack_from("d", worst)[0]:
                struct.pack_into("d", worst, 0, late)

    async def main_loop(self: server.Server) -> None:
        task = asyncio.create_task(probe(worst))
        await real(self)
        task.cancel()

    server.Server.main_loop = main_loop  # type: ignore[method-assign]  # that is the patch


def make_lag(path: Path) -> None:
    """A file for the patch `lag`, or forget what stands in it."""
    if path.exists():
        with path.open("r+b") as file:
            file.write(bytes(8))
    else:
        path.write_bytes(bytes(8))


def read_lag(path: Path) -> float:
    """How late the loop was at worst since the file was made, in seconds."""
    return float(struct.unpack("d", path.read_bytes())[0])


RELAY_PATCHES: Final[dict[str, Callable[[str], None]]] = {
    "busy_timeout": _busy_timeout,
    "lag": _lag,
    "pages": _pages,
    "send_buffer": _send_buffer,
}
