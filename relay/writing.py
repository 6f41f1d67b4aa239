"""Who writes to a socket: one task, taking turns with everybody else's.

Owns the order `Outbound` gives and the pauses between. Knows no message.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from relay.outbound import Farewell, Outbound
from relay.sockets import Socket, SocketClosed

SHARE: Final = 8  # messages written before the other connections have their turn


async def write(outbound: Outbound, socket: Socket, has_room: Callable[[], None]) -> None:
    """Write what is queued until the farewell or the socket's end; `has_room`: more frames are wanted."""
    written = 0
    with contextlib.suppress(SocketClosed):
        while not isinstance(item := await outbound.next(), Farewell):
            if isinstance(item, str):
                await socket.send_text(item)
            else:
                await socket.send_bytes(item)
                if outbound.has_room_again():
                    has_room()
            written += 1
            if written % SHARE == 0:
                await asyncio.sleep(0)  # a socket that takes everything suspends nobody
        await socket.close(item.code)
