"""How long to wait before trying a relay again.

Owns the schedule: doubling from half a second to half a minute, with full jitter, so that a restarted
relay is not met by everybody at once.
"""

import secrets
from typing import Final

FIRST: Final = 0.5
LONGEST: Final = 30.0


class Backoff:
    """Delays in seconds; `reset` after a success, which an open connection alone is not."""

    def __init__(self) -> None:
        self._bound = FIRST

    def next(self, lasted: float = 0.0) -> float:
        """A random delay up to the bound, which then doubles.

        `lasted` is how many seconds the attempt before held: one that outlived the longest delay succeeded.
        """
        if lasted > LONGEST:
            self.reset()
        bound = self._bound
        self._bound = min(LONGEST, bound * 2)
        return bound * (0.1 + 0.9 * secrets.randbelow(1000) / 1000)

    def reset(self) -> None:
        """Begin again at the shortest bound."""
        self._bound = FIRST
