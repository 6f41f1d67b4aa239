"""Canaries: fresh random marks in every message, and the search for them where they must not be.

A canary is 16 random bytes; the first eight are the same in one run, so that one pass over a hundred
megabytes finds them all, in every form that `blindpost audit` looks for.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.audit.canaries.search import Canary, Search
from clients.audit.capture.sight import Sight, files, memory

TAG: Final = 8
SIZE: Final = 16


class Canaries:
    """The canaries of one run."""

    def __init__(self) -> None:
        self._tag = os.urandom(TAG)
        self._count = 0
        self._search = Search(
            (
                Canary("in a file", self._tag, is_text=False),
                Canary("in a text", self._tag.hex().encode(), is_text=True),
            )
        )

    def fresh(self) -> bytes:
        """16 bytes never used before."""
        self._count += 1
        return self._tag + os.urandom(SIZE - TAG)

    def __len__(self) -> int:
        return self._count

    def count_in(self, pieces: Iterable[tuple[str, bytes]]) -> int:
        """How many places hold a canary in some form."""
        found = (finding for where, data in pieces for finding in self._search.look(where, data))
        return len(
            {(finding.source, finding.offset) for finding in found if not finding.form.startswith("a piece")}
        )


@dataclass(frozen=True, slots=True)
class Searched:
    """What was read, what was found, and what could not be read (which is a failure, not a success)."""

    sight: Sight
    found: int

    def __str__(self) -> str:
        size = self.sight.bytes_read
        shown = f"{size / 1e6:.1f} MB" if size > 50_000 else f"{size} bytes"
        problems = "" if self.sight.is_whole else f", NOT READ: {'; '.join(self.sight.unread) or 'not there'}"
        return f"{self.sight.source}: {shown} read, {self.found} canaries found{problems}"


def search_files(what: str, directory: Path, canaries: Canaries) -> Searched:
    """Search the content and the names of every file below `directory`."""
    sight = Sight(what)
    return Searched(sight, canaries.count_in(files(directory, sight)))


def search_memory(what: str, pid: int, canaries: Canaries) -> Searched:
    """Search all memory of a child process through /proc."""
    sight = Sight(what)
    return Searched(sight, canaries.count_in(memory(pid, sight)))
