"""Canaries: fresh random marks in every message, and the search for them where they must not be.

A canary is 16 random bytes; the first six are the same in one run, so that one pass over a hundred megabytes
finds them all. Searched are the raw bytes, hex in both cases, hex in UTF-16, and base64 at its three offsets.
"""

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

TAG: Final = 6
SIZE: Final = 16
_UNREADABLE: Final = ("[vvar]", "[vvar_vclock]", "[vsyscall]")  # pages of the kernel, not of the process


class Canaries:
    """The canaries of one run."""

    def __init__(self) -> None:
        self._tag = os.urandom(TAG)
        self._all: set[bytes] = set()

    def fresh(self) -> bytes:
        """16 bytes never used before."""
        canary = self._tag + os.urandom(SIZE - TAG)
        self._all.add(canary)
        return canary

    def __len__(self) -> int:
        return len(self._all)

    def count_in(self, data: bytes) -> int:
        """How many places in `data` hold a canary in some form."""
        return sum(data.count(pattern) for pattern in self._patterns())

    def _patterns(self) -> list[bytes]:
        """What every canary of this run begins with, in every form that is searched."""
        text = self._tag.hex()
        forms = [self._tag, text.encode(), text.upper().encode(), text.encode("utf-16-le")]
        for form in (self._tag, text.encode()):
            for offset in range(3):
                # Characters that depend on bytes before or after the tag are left out.
                encoded = base64.b64encode(bytes(offset) + form)
                first, last = -(-offset * 8 // 6), (offset + len(form)) * 8 // 6
                forms.append(encoded[first:last])
        return forms


@dataclass(slots=True)
class Search:
    """What was read, what was found, and what could not be read (which is a failure, not a success)."""

    what: str
    bytes_read: int = 0
    found: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether something was read and nothing was left out."""
        return self.bytes_read > 0 and not self.failures

    def __str__(self) -> str:
        problems = f", NOT READ: {'; '.join(self.failures)}" if self.failures else ""
        size = f"{self.bytes_read / 1e6:.1f} MB" if self.bytes_read > 50_000 else f"{self.bytes_read} bytes"
        return f"{self.what}: {size} read, {self.found} canaries found{problems}"


def search_files(what: str, directory: Path, canaries: Canaries) -> Search:
    """Search the content and the names of every file below `directory`."""
    search = Search(what)
    for path in sorted(directory.rglob("*")):
        try:
            data = path.read_bytes() if path.is_file() else b""
        except OSError as error:
            search.failures.append(f"{path.name}: {error.strerror}")
            continue
        search.bytes_read += len(data)
        search.found += canaries.count_in(data) + canaries.count_in(str(path).encode())
    return search


def search_memory(what: str, pid: int, canaries: Canaries) -> Search:
    """Search all memory of a child process through /proc."""
    search = Search(what)
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in maps:
                place, mode, *_ = line.split()
                if "r" in mode and not line.endswith(_UNREADABLE):
                    _search_region(search, memory.fileno(), place, canaries)
    except OSError as error:
        search.failures.append(f"process {pid}: {error.strerror}")
    return search


def _search_region(search: Search, descriptor: int, place: str, canaries: Canaries) -> None:
    start, end = (int(edge, 16) for edge in place.split("-"))
    try:
        data = b"".join(_chunks(descriptor, start, end))
    except OSError as error:
        search.failures.append(f"{end - start} bytes: {error.strerror}")
        return
    search.bytes_read += len(data)
    search.found += canaries.count_in(data)


def _chunks(descriptor: int, start: int, end: int) -> list[bytes]:
    chunks = []
    while start < end:
        chunk = os.pread(descriptor, min(end - start, 1 << 24), start)
        if not chunk:
            raise OSError(5, "short read")
        chunks.append(chunk)
        start += len(chunk)
    return chunks
