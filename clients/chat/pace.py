"""When to say that somebody is typing, and when that they have stopped.

Owns the pace. Pure: the time is a parameter, in seconds of any clock that does not go back.
"""

from typing import Final

REPEAT: Final = 4.0  # seconds between two "typing", while keys are pressed
IDLE: Final = 6.0  # seconds without a key until "stopped"


class TypingPace:
    """Each call returns what is to be said now: True for typing, False for stopped, None for nothing."""

    def __init__(self) -> None:
        self._said: float | None = None  # when "typing" was said last; None: not typing
        self._pressed = 0.0

    def pressed(self, now: float, *, has_text: bool) -> bool | None:
        """The line has changed; without text it has been sent or cleared."""
        if not has_text:
            return self.stopped()
        self._pressed = now
        if self._said is not None and now - self._said < REPEAT:
            return None
        self._said = now
        return True

    def stopped(self) -> bool | None:
        """Nothing is being written any more."""
        was_typing, self._said = self._said is not None, None
        return False if was_typing else None

    def look(self, now: float) -> bool | None:
        """Time has passed."""
        return self.stopped() if self._said is not None and now - self._pressed >= IDLE else None

    def wait(self, now: float) -> float | None:
        """Seconds until `look` has something to say; None while nobody types."""
        return None if self._said is None else max(0.0, self._pressed + IDLE - now)
