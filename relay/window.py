"""What was delivered on one connection and not acknowledged yet.

Owns the bound of 256 frames or 1 MiB, and the rule that an acknowledgement counts only for what this very
connection delivered. Pure.
"""

from collections import deque

from wire.errors import ErrorCode, WireError
from wire.limits import UNACKNOWLEDGED_BYTES, UNACKNOWLEDGED_FRAMES


class Window:
    """The delivery window of one connection."""

    def __init__(self) -> None:
        self.delivered = 0
        self._open: deque[tuple[int, int]] = deque()  # (sequence, bytes of envelope)
        self._bytes = 0

    def room(self) -> tuple[int, int]:
        """How many more frames and bytes of envelopes may be delivered."""
        return UNACKNOWLEDGED_FRAMES - len(self._open), UNACKNOWLEDGED_BYTES - self._bytes

    def deliver(self, sequence: int, size: int) -> None:
        """Note a delivery; sequences only rise."""
        assert sequence > self.delivered
        self.delivered = sequence
        self._open.append((sequence, size))
        self._bytes += size

    def acknowledge(self, through: int) -> bool:
        """Whether this acknowledges anything new. Raises WireError(BAD_REQUEST) beyond what was delivered.

        Otherwise a device could be led to delete what it never saw, by a sequence from elsewhere.
        """
        if through > self.delivered:
            raise WireError(
                ErrorCode.BAD_REQUEST, "acknowledge: beyond what this connection delivered", "through"
            )
        if not self._open or through < self._open[0][0]:
            return False
        while self._open and self._open[0][0] <= through:
            self._bytes -= self._open.popleft()[1]
        return True
