"""What waits to be written to one socket.

Owns its bounded queues: control messages go before notices, notices before frames, and none is ever waited
for by another connection. Knows no socket.
"""

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

    `wake` is called whenever there is something new to take.
    """

    __slots__ = (
        "_control",
        "_control_size",
        "_farewell",
        "_frames",
        "_frames_size",
        "_notices",
        "_notices_size",
        "_wake",
        "_was_full",
    )

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        # Made when they are needed: most connections have nothing to say for most of their lives.
        self._control: deque[str] | None = None
        self._control_size = 0
        self._notices: dict[str, str] | None = None
        self._notices_size = 0
        self._frames: deque[bytes] | None = None
        self._frames_size = 0
        self._was_full = False
        self._farewell: Farewell | None = None

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._control_size + self._notices_size + self._frames_size

    def add_control(self, text: str) -> bool:
        """Queue a control message; False when 1 MiB or 1,024 messages are waiting already."""
        if self._farewell is not None:
            return True
        if self._control is None:
            self._control = deque()
        if self._control_size + len(text) > OUTBOUND_BUFFER or len(self._control) >= CONTROL_MESSAGES:
            return False
        self._control.append(text)
        self._control_size += len(text)
        self._wake()
        return True

    def set_notice(self, about: str, text: str) -> None:
        """Queue a notice in place of an unsent one about the same.

        Strangers cause them, and must not fill the queue: there are as many as things to be told about.
        """
        if self._farewell is None:
            if self._notices is None:
                self._notices = {}
            self._notices_size += len(text) - len(self._notices.get(about, ""))
            self._notices[about] = text
            self._wake()

    def add_frame(self, data: bytes) -> None:
        """Queue a frame."""
        if self._farewell is None:
            if self._frames is None:
                self._frames = deque()
            self._frames.append(data)
            self._frames_size += len(data)
            self._wake()

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
            self._frames = self._notices = None
            self._frames_size = self._notices_size = 0
            self._wake()

    def clear(self) -> None:
        """Let go of everything; nothing is added after this."""
        self._farewell = self._farewell or Farewell(CloseCode.SLOW_READER)
        self._control = self._frames = self._notices = None
        self._control_size = self._frames_size = self._notices_size = 0
        self._wake()

    def next(self) -> str | bytes | Farewell | None:
        """What to write next, which counts as written; None where nothing waits."""
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
        self._control = self._frames = self._notices = None
        return self._farewell
