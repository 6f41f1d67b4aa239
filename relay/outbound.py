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


@dataclass(frozen=True, slots=True)
class Farewell:
    """The last thing written."""

    code: CloseCode


class Outbound:
    """The queues of one connection. Frames are bounded by the delivery window, control messages here."""

    def __init__(self) -> None:
        self._control: deque[str] = deque()
        self._control_size = 0
        self._notices: dict[str, str] = {}
        self._frames: deque[bytes] = deque()
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
            self._wake.set()

    def end(self, code: CloseCode) -> None:
        """Nothing is added after this; control messages are still written, frames are not."""
        if self._farewell is None:
            self._farewell = Farewell(code)
            self._frames.clear()
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
                return self._frames.popleft()
            if self._farewell is not None:
                return self._farewell
            self._wake.clear()
            await self._wake.wait()
