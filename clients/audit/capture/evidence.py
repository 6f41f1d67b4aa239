"""What was captured of a relay, on disk until it is searched: keys that are read later are searched for, too.

Owns the places where a relay could show something, and the files of what was taken there. Knows nothing of
canaries.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from clients.audit.capture.sight import Sight


class Place(StrEnum):
    """Where somebody who runs a relay could look, in the order in which it is searched."""

    WIRE = "wire"  # both ways, after TLS
    HTTP = "http"  # answers to plain requests: metrics, health, information, errors
    LOGS = "logs"  # stdout and stderr of the process
    STORE = "store"  # the data directory: database, write-ahead log and free pages included
    TEMPORARY = "temporary files"  # also those without a name
    MEMORY = "memory"
    CORE = "core dump"
    CLIENT = "a client's memory"  # where all canaries must be found: a control of the search itself


@dataclass(frozen=True, slots=True)
class Source:
    """Something that can be read now: `read` fills in the sight it is given."""

    place: Place
    name: str
    read: Callable[[Sight], Iterable[tuple[str, bytes]]]


@dataclass(frozen=True, slots=True)
class _Kept:
    where: str
    offset: int
    size: int


KEPT_MAX: Final = 8 * 1024**3  # bytes on the disk; of a larger store it is said that not all was seen


class Evidence:
    """All that was captured, KEPT_MAX at most. What was there before, byte for byte, is kept once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: dict[Place, list[_Kept]] = {place: [] for place in Place}
        self._known: set[bytes] = set()
        self._bytes = 0
        self.sights: list[tuple[Place, Sight]] = []

    def take(self, source: Source, moment: str) -> Sight:
        """Read a source as it is now. What could not be read is in the sight, and in `unread`."""
        sight = Sight(f"{source.name}, {moment}")
        self.sights.append((source.place, sight))
        for where, data in source.read(sight):
            if self._bytes + len(data) > KEPT_MAX:
                sight.unread.append(f"more is there than an audit keeps ({KEPT_MAX:,} bytes in all)")
                break
            self.add(source.place, where, data)
        return sight

    def add(self, place: Place, where: str, data: bytes) -> None:
        """Keep a piece."""
        digest = hashlib.blake2b(data, digest_size=16, key=place.value.encode()).digest()
        if not data or digest in self._known:
            return
        self._known.add(digest)
        self._bytes += len(data)
        with self._file(place).open("ab") as spool:
            self._kept[place].append(_Kept(where, spool.tell(), len(data)))
            spool.write(data)

    def _file(self, place: Place) -> Path:
        return self._directory / f"{place.name.lower()}.seen"

    def pieces(self, place: Place) -> Iterator[tuple[str, bytes]]:
        """(where, bytes) of all that was kept of a place."""
        if self._kept[place]:
            with self._file(place).open("rb") as spool:
                for kept in self._kept[place]:
                    spool.seek(kept.offset)
                    yield kept.where, spool.read(kept.size)

    def size(self, place: Place) -> int:
        """Bytes that are kept of a place."""
        return sum(kept.size for kept in self._kept[place])

    def unread(self) -> list[str]:
        """What could not be read, whole sentences; an audit with any is never green."""
        return [
            f"{sight.source}: {'; '.join(sight.unread) or 'it was not there'}"
            for _, sight in self.sights
            if not sight.is_whole
        ]
