"""Canaries in what passes: every connection's bytes both ways, raw and unmasked, as they come.

Owns what is held back so that nothing is cut in two. A canary that is split over more than that, or packed
by something that is, is found where a whole recording is searched.
"""

from collections.abc import Sequence
from typing import Final

from clients.audit.canaries.search import Canary, Search

SHARE: Final = 64 * 1024  # bytes that are searched at a time, if so many come before `catch_up` is called
HELD_BACK: Final = 16 * 1024  # bytes that are searched again with what follows them


class CanaryWatch:
    """The search over all streams of an open connection. A stream is (connection, to the relay, raw)."""

    def __init__(self, canaries: Sequence[Canary]) -> None:
        self._search = Search(canaries) if canaries else None
        self._waiting: dict[tuple[int, bool, bool], bytearray] = {}
        self._held: dict[tuple[int, bool, bool], bytes] = {}
        self._known: set[tuple[str, str, int, bool]] = set()
        self.scanned = 0  # bytes

    def feed(self, connection: int, to_relay: bool, data: bytes, *, raw: bool) -> list[str]:
        """What is found now, a sentence each; once for a canary, form, connection and direction."""
        if self._search is None or not data:
            return []
        stream = (connection, to_relay, raw)
        waiting = self._waiting.setdefault(stream, bytearray())
        waiting += data
        return self._look(stream) if len(waiting) >= SHARE else []

    def catch_up(self) -> list[tuple[int, bool, str]]:
        """(connection, to the relay, sentence) of what is found in all that has come since."""
        return [(stream[0], stream[1], what) for stream in list(self._waiting) for what in self._look(stream)]

    def closed(self, connection: int) -> list[tuple[int, bool, str]]:
        """The same at the end of a connection, of which nothing is held any more then."""
        streams = [stream for stream in self._waiting if stream[0] == connection]
        found = [(stream[0], stream[1], what) for stream in streams for what in self._look(stream)]
        for held in [stream for stream in self._held if stream[0] == connection]:
            del self._held[held]
        self._known = {known for known in self._known if known[2] != connection}
        return found

    def _look(self, stream: tuple[int, bool, bool]) -> list[str]:
        assert self._search is not None
        connection, to_relay, _ = stream
        data = self._held.get(stream, b"") + self._waiting.pop(stream)
        self._held[stream] = data[-HELD_BACK:]
        found = []
        for finding in self._search.look("", data):
            known = (finding.canary, finding.form, connection, to_relay)
            if known not in self._known:
                self._known.add(known)
                found.append(f"the canary {finding.canary} is seen ({finding.form})")
        self._search.found.clear()
        self.scanned = self._search.scanned
        return found
