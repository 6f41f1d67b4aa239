"""What waits to be read by all peers together.

Owns the bound on it: each connection has bounds of its own, but many that read nothing would fill the memory
together. When it is exceeded, whoever leaves most unread goes first. Knows connections as something that
holds bytes and can be closed.
"""

from collections.abc import Callable
from typing import Final

# Of the bound, so that a full backlog is not gone through at each message.
RELIEVED: Final = 15 / 16


def _no_longer() -> None:
    """Nothing is held here any more."""


class Part:
    """One connection's part. `unsent`: bytes that its socket holds; `close` ends it and drops the rest."""

    def __init__(self, backlog: "Backlog", unsent: Callable[[], int], close: Callable[[], None]) -> None:
        self._backlog = backlog
        self._unsent = unsent
        self.close = close
        self.queued = 0
        self.size = 0

    def changed(self, queued: int) -> None:
        """So many bytes are queued now."""
        self.queued = queued
        self.count()
        self._backlog.relieve()

    def count(self) -> None:
        """Count what is held now; what a socket sends by itself is noticed only here."""
        if self not in self._backlog.parts:
            return
        size = self.queued + self._unsent()
        self._backlog.total += size - self.size
        self.size = size

    def leave(self) -> None:
        """The connection ended; twice does no harm."""
        if self in self._backlog.parts:
            self._backlog.parts.remove(self)
            self._backlog.total -= self.size
            self.close = (
                _no_longer  # it names the connection, which names its part: nothing else frees them soon
            )


class Backlog:
    """All parts. `most`: bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.parts: set[Part] = set()
        self._is_relieving = False
        self.total = 0

    def join(self, unsent: Callable[[], int], close: Callable[[], None]) -> Part:
        """A connection begins."""
        part = Part(self, unsent, close)
        self.parts.add(part)
        return part

    def count(self) -> int:
        """Bytes that wait now: what sockets have sent by themselves is counted out."""
        for part in self.parts:
            part.count()
        return self.total

    def relieve(self) -> None:
        """Close whoever holds most until there is room again, if there is none."""
        if self.total <= self._most or self._is_relieving:
            return
        self._is_relieving = True
        try:
            self.count()
            closable = sorted(self.parts, key=lambda part: part.size)
            while closable and self.total > self._most * RELIEVED:
                part = closable.pop()
                part.close()
                part.leave()  # what its socket still holds is gone in seconds, and nobody else's doing
        finally:
            self._is_relieving = False
