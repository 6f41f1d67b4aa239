"""What waits to be written to one socket.

Owns its bounded queues: control messages go before notices, notices before frames, and none is ever waited
for by another connection. Knows no socket.
"""

import asyncio
from collections import deque
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
    """The queues of one connection. Frames are fetched as `frame_room` allows."""

    def __init__(self) -> None:
        self._control: deque[str] = deque()
        self._control_size = 0
        self._notices: dict[str, str] = {}
        self._frames: deque[bytes] = deque()
        self._frames_size = 0
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
        self._wake.set()
        return True

    def set_notice(self, about: str, text: str) -> None:
        """Queue a notice in place of an unsent one about the same.

        Strangers cause them, and must not fill the queue: there are as many as things to be told about.
        """
        if self._farewell is None:
            self._notices[about] = text
            self._wake.set()

    def add_frame(self, data: bytes) -> None:
        """Queue a frame."""
        if self._farewell is None:
            self._frames.append(data)
            self._frames_size += len(data)
            self._wake.set()

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
            self._frames_size = 0
            self._notices.clear()
            self._wake.set()

    async def next(self) -> str | bytes | Farewell:
        """What to write next."""
        while True:
            if self._control:
                text = self._control.popleft()
                self._control_size -= len(text)
                return text
            if self._notices:
                return self._notices.pop(next(iter(self._notices)))
            if self._frames:
                data = self._frames.popleft()
                self._frames_size -= len(data)
                return data
            if self._farewell is not None:
                return self._farewell
            self._wake.clear()
            await self._wake.wait()
