"""All that can be read of a running process from outside: its memory, and the files below a directory.

Owns reading, and saying what could not be read: an audit that did not see something is never green. Knows
nothing of canaries.
"""

import errno
import os
import stat
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Final

PIECE: Final = 4 * 1024 * 1024  # bytes of memory that are read at a time
OVERLAP: Final = 64 * 1024  # bytes that a piece has in common with the one before: nothing is cut in two
_OF_THE_KERNEL: Final = ("[vvar]", "[vvar_vclock]", "[vsyscall]")  # pages that no process can write
BEGAN: Final = time.time() - 1.0  # no canary is older: the clock of a file system may be a little behind
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# An entry of /proc/PID/pagemap: Documentation/admin-guide/mm/pagemap.rst
_PRESENT, _SWAPPED, _OF_A_FILE = 1 << 63, 1 << 62, 1 << 61
_ENTRY: Final = array("Q").itemsize
_AT_ONCE: Final = 262_144  # pages
_GAP: Final = 16  # pages: fewer between two that were written are read with them, as one piece


@dataclass(slots=True)
class Sight:
    """What of one source was read, and what was not."""

    source: str
    bytes_read: int = 0
    passed_over: int = 0  # bytes of memory that cannot hold what is looked for: see `memory`
    was_there: bool = False  # also a directory without a file
    unread: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether it was there, and nothing of it was left out."""
        return self.was_there and not self.unread


@dataclass(frozen=True, slots=True)
class _Mapping:
    start: int
    end: int
    name: str
    has_file: bool
    only_written: bool  # no page of it can hold what is looked for that was not written by the process


def memory(pid: int, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """Each piece of a process's memory and where it is; the process goes on meanwhile.

    Also what it may not read itself now, and could again. Mappings that vanish between being listed and being
    read are gone, and not unread. Passed over are private pages that nobody ever wrote to: those are zero, or
    the bytes of a file that is older than this audit.
    """
    try:
        before = _mappings(pid)
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as opened:
            for mapping in before:
                for place in _written(pid, mapping, sight):
                    yield from _pieces(opened.fileno(), pid, place, mapping.name, sight)
    except OSError as error:
        sight.unread.append(f"process {pid}: {error.strerror}")


def _mappings(pid: int) -> list[_Mapping]:
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        place, mode, _, device, inode, *rest = line.split(maxsplit=5)
        if not line.endswith(_OF_THE_KERNEL):
            start, _, end = place.partition("-")
            name, has_file = rest[0] if rest else "heap", inode != "0"
            only_written = "p" in mode and (not has_file or _is_old(name, device, int(inode)))
            found.append(_Mapping(int(start, 16), int(end, 16), name, has_file, only_written))
    return found


def _is_old(name: str, device: str, inode: int) -> bool:
    """Whether a mapped file is the one of that name, and has not changed since before the audit began."""
    try:
        found = os.stat(name)
    except OSError:
        return False
    major, _, minor = device.partition(":")
    is_same = (os.makedev(int(major, 16), int(minor, 16)), inode) == (found.st_dev, found.st_ino)
    return is_same and found.st_ctime < BEGAN


def _written(pid: int, mapping: _Mapping, sight: Sight) -> Iterator[tuple[int, int]]:
    """The parts of a mapping that could hold something new; all of it where the kernel does not say."""
    if not mapping.only_written:
        yield mapping.start, mapping.end
        return
    passed = mapping.start
    for start, end in _runs(pid, mapping):
        sight.passed_over += start - passed
        yield start, end
        passed = end
    sight.passed_over += mapping.end - passed


def _runs(pid: int, mapping: _Mapping) -> Iterator[tuple[int, int]]:
    """Pages that were written, with those between two that are near each other."""
    unwritten = _OF_A_FILE if mapping.has_file else 0
    begin = end = mapping.start
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as opened:
        for first in range(mapping.start, mapping.end, _AT_ONCE * PAGE):
            for is_written, pages in groupby(
                bool(entry & _SWAPPED) or (bool(entry & _PRESENT) and not entry & unwritten)
                for entry in _entries(opened, first, min(mapping.end, first + _AT_ONCE * PAGE))
            ):
                size = sum(1 for _ in pages) * PAGE
                if is_written and first - end > _GAP * PAGE:
                    if end > begin:
                        yield begin, end
                    begin = first
                if is_written:
                    begin = begin if end > begin else first
                    end = first + size
                first += size
    if end > begin:
        yield begin, end


def _entries(pagemap: FileIO, start: int, end: int) -> Sequence[int]:
    """What the kernel says of each page; as if all were written, where it says nothing."""
    entries, wanted = array("Q"), (end - start) // PAGE * _ENTRY
    pagemap.seek(start // PAGE * _ENTRY)
    read = pagemap.read(wanted) or b""
    if len(read) != wanted:
        return [_SWAPPED] * (wanted // _ENTRY)
    entries.frombytes(read)
    return entries


def _pieces(
    descriptor: int, pid: int, place: tuple[int, int], name: str, sight: Sight
) -> Iterator[tuple[str, bytes]]:
    start, end = place
    before = b""
    while start < end:
        try:
            piece = os.pread(descriptor, min(PIECE, end - start), start)
        except OSError as error:
            if any(mapping.start <= start < mapping.end for mapping in _mappings(pid)):
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

    def unlisted(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            sight.unread.append(f"{error.filename}: {error.strerror}")

    for folder, folders, names in os.walk(directory, onerror=unlisted):
        sight.was_there = True
        for path in (Path(folder, each) for each in sorted((*folders, *names))):
            name = str(path.relative_to(directory))
            yield from file(path, name, sight, head=os.fsencode(name) + b"\n" + _beside(path, sight))


def _beside(path: Path, sight: Sight) -> bytes:
    """What a directory knows of a file beside its name: where a link leads, and extended attributes."""
    found = []
    try:
        if path.is_symlink():
            found.append(os.fsencode(os.readlink(path)))
        for name in os.listxattr(path, follow_symlinks=False):
            found += [os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODATA, errno.ENOTSUP):  # gone meanwhile, or unknown here
            sight.unread.append(f"{path}: {error.strerror}")
    return b"".join(each + b"\n" for each in found)


def file(
    path: Path, name: str, sight: Sight, *, head: bytes = b"", start: int = 0
) -> Iterator[tuple[str, bytes]]:
    """A file in pieces, from `start` on; of what is no regular file, and no link to one, `head` alone."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            yield f"{sight.source}: {name}", head
            return
        with path.open("rb", buffering=0) as opened:
            opened.seek(start)
            before = head
            while piece := opened.read(PIECE):
                sight.bytes_read += len(piece)
                yield f"{sight.source}: {name}", before + piece
                before = piece[-OVERLAP:]
            if before == head:
                yield f"{sight.source}: {name}", head
    except FileNotFoundError:  # a log that was emptied and removed meanwhile, or a link to nothing
        if head:
            yield f"{sight.source}: {name}", head
    except OSError as error:
        sight.unread.append(f"{name}: {error.strerror}")


def open_files(pid: int, below: Path, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """Each regular file that a process has open and that `files(below)` does not see, and all names.

    Temporary ones elsewhere, and wherever they were made those that have no name, or none any more.
    """
    try:
        opened = sorted(Path(f"/proc/{pid}/fd").iterdir())
    except OSError as error:
        sight.unread.append(f"descriptors of process {pid}: {error.strerror}")
        return
    sight.was_there = True
    names = []
    for descriptor in opened:
        try:
            name, status = os.readlink(descriptor), descriptor.stat()
            names.append(os.fsencode(name))
            has_name_below = status.st_nlink > 0 and Path(name).is_relative_to(below)
            if not stat.S_ISREG(status.st_mode) or has_name_below:
                continue
        except FileNotFoundError:
            continue  # closed meanwhile
        except OSError as error:
            sight.unread.append(f"descriptor {descriptor.name}: {error.strerror}")
            continue
        yield from file(descriptor, name, sight)
    yield f"{sight.source}: names of what is open", b"\n".join(names)
