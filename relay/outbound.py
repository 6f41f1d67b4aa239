"""What waits to be written to one socket.

Owns its bounded queues: control messages go before notices, notices before frames, and none is ever waited
for by another connection. Knows no socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wire.errors import CloseCode
from wire.limits import OUTBOUND_BUFFER

CONTROL_MESSAGES: Final = 1024  # answers that a peer may leave unread
# Frames are fetched from the store when this much or less waits to be written: who reads slowly leaves the
# rest of its window on the relay's disk and not in its memory.
FRAMES_LOW: Final = 128 * 1024
FRAMES_HIGH: Final = 2 * FRAMES_LOW


@dataclass(frozen=True, slots=True)
class Farewell:
    """The last thing written."""

    code: CloseCode


class Outbound:
    """The queues of one connection. Frames are fetched as `frame_room` allows.

    `counted` is told how many bytes wait whenever that changes.
    """

    def __init__(self, counted: Callable[[int], None] = lambda size: None) -> None:
        self._counted = counted
        self._control: deque[str] = deque()
        self._control_size = 0
        self._notices: dict[str, str] = {}
        self._notices_size = 0
        self._frames: deque[bytes] = deque()
        self._frames_size = 0
        self._handed = 0  # bytes of what is being written
        self._was_full = False
        self._farewell: Farewell | None = None
        self._wake = asyncio.Event()

    def add_control(self, text: str) -> bool:
        """Queue a control message; False when 1 MiB or 1,024 messages are waiting already."""
        if self._farewell is not None:
            return True
        if self._control_size + len(text) > OUTBOUND_BUFFER or len(self._control) >= CONTROL_MESSAGES:
            return False
        self._control.append(text)
        self._control_size += len(text)
        self._changed()
        return True

    def _changed(self) -> None:
        self._wake.set()
        self._count()

    def _count(self) -> None:
        self._counted(self._control_size + self._notices_size + self._frames_size + self._handed)

    def set_notice(self, about: str, text: str) -> None:
        """Queue a notice in place of an unsent one about the same.

        Strangers cause them, and must not fill the queue: there are as many as things to be told about.
        """
        if self._farewell is None:
            self._notices_size += len(text) - len(self._notices.get(about, ""))
            self._notices[about] = text
            self._changed()

    def add_frame(self, data: bytes) -> None:
        """Queue a frame."""
        if self._farewell is None:
            self._frames.append(data)
            self._frames_size += len(data)
            self._changed()

    def frame_room(self) -> int:
        """Bytes of frames that may be added now; 0 until enough of those before are written."""
        self._was_full = self._frames_size > FRAMES_LOW
        return 0 if self._was_full else FRAMES_HIGH - self._frames_size

    def has_room_again(self) -> bool:
        """Whether there is room that `frame_room` did not give when it was asked last."""
        return self._was_full and self._frames_size <= FRAMES_LOW

    def end(self, code: CloseCode) -> None:
        """Nothing is added after this; control messages are still written, frames are not."""
        if self._farewell is None:
            self._farewell = Farewell(code)
            self._frames.clear()
            self._notices.clear()
            self._frames_size = self._notices_size = 0
            self._changed()

    def clear(self) -> None:
        """Let go of everything; nothing is added after this."""
        self._farewell = self._farewell or Farewell(CloseCode.SLOW_READER)
        self._control.clear()
        self._frames.clear()
        self._notices.clear()
        self._control_size = self._frames_size = self._notices_size = 0
        self._changed()

    async def next(self) -> str | bytes | Farewell:
        """What to write next; what was given before is written."""
        while True:
            item = self._next()
            self._handed = 0 if isinstance(item, Farewell | None) else len(item)
            self._count()
            if item is not None:
                return item
            self._wake.clear()
            await self._wake.wait()

    def _next(self) -> str | bytes | Farewell | None:
        if self._control:
            text = self._control.popleft()
            self._control_size -= len(text)
            return text
        if self._notices:
            text = self._notices.pop(next(iter(self._notices)))
            self._notices_size -= len(text)
            return text
        if self._frames:
            data = self._frames.popleft()
            self._frames_size -= len(data)
            return data
        return self._farewell
