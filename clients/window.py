"""The frames on their way on one submit connection, and how it goes on after a refusal.

Owns how many may be on their way at once, and from when. After a refusal for now nothing goes out until each
frame on its way has its answer and the time to wait has passed; then it begins with the oldest again, one at
first and more with each that is accepted. So order holds, and little is sent in vain. Pure: times are handed
in, in seconds.
"""

from typing import Final

WIDEST: Final = 128  # frames on their way without an answer


class Window:
    """The window of one connection."""

    def __init__(self) -> None:
        self.last_put = 0  # queue place of the last frame put
        self.quiet_since = 0.0  # the last answer, or when the oldest frame without one was put
        self.held_until = 0.0
        self._width = WIDEST
        self._goes_back = False
        self._on_way: dict[bytes, int] = {}

    @property
    def goes_back(self) -> bool:
        """Whether a frame was refused, and has not gone out again yet."""
        return self._goes_back

    @property
    def is_empty(self) -> bool:
        """Whether every frame has its answer."""
        return not self._on_way

    @property
    def is_full(self) -> bool:
        """Whether no frame may go out before one that is on its way has its answer."""
        return self._goes_back or len(self._on_way) >= self._width

    def room(self, now: float) -> int:
        """How many more frames may go out."""
        if (self._goes_back and self._on_way) or now < self.held_until:
            return 0
        if self._goes_back:
            # What was accepted has left the outbox: its oldest frame is the one that was refused.
            self._goes_back, self.last_put, self._width = False, 0, 1
        return max(0, self._width - len(self._on_way))

    def put(self, frame_id: bytes, place: int, now: float) -> None:
        """A frame goes out."""
        if not self._on_way:
            self.quiet_since = now
        self._on_way[frame_id] = place
        self.last_put = place

    def settle(self, frame_ids: list[bytes], now: float) -> list[bytes]:
        """These have an answer; returns those that were on their way."""
        known = [frame_id for frame_id in frame_ids if self._on_way.pop(frame_id, None) is not None]
        if known:
            self.quiet_since = now
        return known

    def widen(self, count: int) -> None:
        """So many were accepted."""
        self._width = min(WIDEST, self._width + count)

    def go_back(self, now: float, wait: float) -> None:
        """One was refused: go on after `wait` seconds, or after those that were said before."""
        self._goes_back = True
        self.held_until = max(self.held_until, now + wait)
