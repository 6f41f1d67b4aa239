"""What waits to be written to one socket.

Owns its bounded queues: control messages go before notices, notices before frames, and none is ever waited
for by another connection. Knows no socket.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from wire.errors import CloseCode
from wire.limits import OUTBOUND_BUFFER

CONTROL_MESSAGES: Final = 1024  # answers that a peer may leave unread
# Frames are fetched from the store when this much or less waits to be written: who reads slowly leaves the
# rest of its window on the relay's disk and not in its memory.
FRAMES_LOW: Final = 128 * 1024
FRAMES_HIGH: Final = 2 * FRAMES_LOW


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
        "_wake",
        "_was_full",
        "size",
    )

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        # Made when they are needed: most connections have nothing to say for most of their lives.
        self._control: deque[str] | None = None
        self._control_size = 0
        self._notices: dict[str, str] | None = None
        self._frames: deque[bytes] | None = None
        self._frames_size = 0
        self._was_full = False
        self.size = 0  # bytes that wait
        self._farewell: CloseCode | None = None

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
        self.size += len(text)
        self._wake()
        return True

    def set_notice(self, about: str, text: str) -> None:
        """Queue a notice in place of an unsent one about the same.

        Strangers cause them, and must not fill the queue: there are as many as things to be told about.
        """
        if self._farewell is None:
            if self._notices is None:
                self._notices = {}
            self.size += len(text) - len(self._notices.get(about, ""))
            self._notices[about] = text
            self._wake()

    def add_frames(self, frames: Sequence[bytes]) -> None:
        """Queue frames."""
        if self._farewell is None and frames:
            if self._frames is None:
                self._frames = deque()
            self._frames.extend(frames)
            size = sum(map(len, frames))
            self._frames_size += size
            self.size += size
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
            self._farewell = code
            self._frames = self._notices = None
            self._frames_size = 0
            self.size = self._control_size
            self._wake()

    def clear(self) -> None:
        """Let go of everything; nothing is added after this."""
        self._farewell = self._farewell or CloseCode.SLOW_READER
        self._control = self._frames = self._notices = None
        self._control_size = self._frames_size = self.size = 0
        self._wake()

    @property
    def farewell(self) -> CloseCode | None:
        """What to close with now: it is the last thing written."""
        return None if self._control else self._farewell

    def take(self, most: int) -> list[str | bytes]:
        """What to write next, which counts as written: until it is `most` bytes, or nothing waits."""
        taken: list[str | bytes] = []
        if self.size > most:
            while most > 0 and self.size:
                taken.append(self._next())
                most -= len(taken[-1])
            return taken
        for queue in (self._control, self._notices and self._notices.values(), self._frames):
            if queue:
                taken += queue
        self._control = self._notices = self._frames = None
        self._control_size = self._frames_size = self.size = 0
        return taken

    def _next(self) -> str | bytes:
        item: str | bytes
        if self._control:
            item = self._control.popleft()
            self._control_size -= len(item)
        elif self._notices:
            item = self._notices.pop(next(iter(self._notices)))
        else:
            assert self._frames is not None
            item = self._frames.popleft()
            self._frames_size -= len(item)
        self.size -= len(item)
        return item
