"""How long a peer is heard that goes on sending what has been refused.

Owns the count. Refusing costs little, but not nothing: whoever does not wait as long as it was told to is not
answered for ever. Pure.
"""

from typing import Final

REFUSED_MAX: Final = 1024  # one after the other, on one connection
KEPT_COUNTS: Final = 8  # a frame that is kept makes up for so many refusals


class Patience:
    """The patience with one connection."""

    def __init__(self) -> None:
        self._refused = 0

    @property
    def is_over(self) -> bool:
        """Whether the connection is to be closed."""
        return self._refused >= REFUSED_MAX

    def refused(self) -> None:
        """Something was refused for now, or because of an earlier refusal."""
        self._refused += 1

    def kept(self, count: int = 1) -> None:
        """So many frames were kept."""
        self._refused = max(0, self._refused - count * KEPT_COUNTS)
