"""All that can be read of a running process from outside: its memory, and the files below a directory.

Owns reading, and saying what could not be read: an audit that did not see something is never green. Knows
nothing of canaries.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PIECE: Final = 4 * 1024 * 1024  # bytes of memory that are read at a time
OVERLAP: Final = 64 * 1024  # bytes that a piece has in common with the one before: nothing is cut in two
_OF_THE_KERNEL: Final = ("[vvar]", "[vvar_vclock]", "[vsyscall]")  # pages that no process can write


@dataclass(slots=True)
class Sight:
    """What of one source was read, and what was not."""

    source: str
    bytes_read: int = 0
    was_there: bool = False  # also a directory without a file
    unread: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether it was there, and nothing of it was left out."""
        return self.was_there and not self.unread


def memory(pid: int, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """Each piece of a process's memory and where it is; the process goes on meanwhile.

    Mappings that vanish between being listed and being read are gone, and not unread.
    """
    try:
        before = _mappings(pid)
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as opened:
            for place, name in before:
                yield from _pieces(opened.fileno(), pid, place, name, sight)
    except OSError as error:
        sight.unread.append(f"process {pid}: {error.strerror}")


def _mappings(pid: int) -> list[tuple[tuple[int, int], str]]:
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, mode, _, _, _, *name = line.split(maxsplit=5)
        if "r" in mode and not line.endswith(_OF_THE_KERNEL):
            start, _, end = place.partition("-")
            found.append(((int(start, 16), int(end, 16)), name[0] if name else "heap"))
    return found


def _pieces(
    descriptor: int, pid: int, place: tuple[int, int], name: str, sight: Sight
) -> Iterator[tuple[str, bytes]]:
    start, end = place
    before = b""
    while start < end:
        try:
            piece = os.pread(descriptor, min(PIECE, end - start), start)
        except OSError as error:
            if any(first <= start < last for (first, last), _ in _mappings(pid)):
                sight.unread.append(f"{end - start} bytes of {name}: {error.strerror}")
            return
        if not piece:
            sight.unread.append(f"{end - start} bytes of {name}: nothing was read")
            return
        sight.bytes_read += len(piece)
        sight.was_there = True
        yield f"{sight.source}: {name} at {start - len(before):#x}", before + piece
        before = piece[-OVERLAP:]
        start += len(piece)


def files(directory: Path, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """Each file below `directory` with its name, which is looked at, too: free pages and logs included."""
    sight.was_there = sight.was_there or directory.is_dir()
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue  # a log that was emptied and removed meanwhile
        except OSError as error:
            sight.unread.append(f"{name}: {error.strerror}")
            continue
        sight.bytes_read += len(content)
        yield f"{sight.source}: {name}", os.fsencode(name) + b"\n" + content


def open_files(pid: int, below: Path, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """Each regular file that a process has open outside of `below`: temporary ones, also without a name."""
    try:
        opened = sorted(Path(f"/proc/{pid}/fd").iterdir())
    except OSError as error:
        sight.unread.append(f"descriptors of process {pid}: {error.strerror}")
        return
    sight.was_there = True
    for descriptor in opened:
        try:
            name = os.readlink(descriptor)
            if not descriptor.is_file() or Path(name).is_relative_to(below):
                continue
            content = descriptor.read_bytes()
        except FileNotFoundError:
            continue  # closed meanwhile
        except OSError as error:
            sight.unread.append(f"descriptor {descriptor.name}: {error.strerror}")
            continue
        sight.bytes_read += len(content)
        yield f"{sight.source}: {name}", content
