"""The last look at a relay of the audit's own: what the kernel writes of a process that is ended for it.

Owns whether that is allowed here, the signal, and the file, which is deleted once it was read. The relay
forbids such files of itself, so this needs a right that few have: where it is missing, that is said.
"""

import os
import resource
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clients.audit.capture.evidence import Place, Source
from clients.audit.capture.relays import OwnRelay, RelayError
from clients.audit.capture.sight import OVERLAP, PIECE, Sight

PATTERN: Final = Path("/proc/sys/kernel/core_pattern")
SIZE_MAX: Final = 4 * 1024 * 1024 * 1024  # bytes; with holes, most of it is none on the disk
_ELF: Final = b"\x7fELF"


async def core_dump(relay: OwnRelay, pattern: Path = PATTERN) -> Source | str:
    """End the relay, and what the kernel wrote of it; a sentence says why, where there is nothing to be had.

    The sentence leaves the relay as it was, unless the kernel did not do what it was asked for.
    """
    if reason := _elsewhere(pattern):
        return reason
    try:
        resource.prlimit(relay.pid, resource.RLIMIT_CORE, (SIZE_MAX, SIZE_MAX))
    except (PermissionError, ValueError):
        return "the relay forbids core dumps of itself, and lifting that takes root with CAP_SYS_RESOURCE"
    before = set(relay.working.iterdir())
    try:
        code = await relay.end(signal.SIGABRT)
    except RelayError as error:
        return f"it could not be ended for a core dump: {error}"
    written = [path for path in relay.working.iterdir() if path not in before and _is_core(path)]
    if code != -signal.SIGABRT or len(written) != 1:
        return (
            f"the kernel wrote no core dump: the relay ended with {code}, and there are {len(written)} files"
        )
    return Source(Place.CORE, "core dump", lambda sight: _read(written[0], sight))


def _elsewhere(pattern: Path) -> str:
    """Why no core dump comes into a process's working directory; empty where one does."""
    try:
        where = pattern.read_text().strip()
    except OSError:
        return "this system says nothing of core dumps"
    if where.startswith("|"):
        return f"the kernel hands core dumps to a program ({where.split()[0][1:]}), and not to the audit"
    return f"core dumps go to a place of this system ({where}), and not to the audit" if "/" in where else ""


def _is_core(path: Path) -> bool:
    with path.open("rb") as opened:
        return stat.S_ISREG(os.fstat(opened.fileno()).st_mode) and opened.read(len(_ELF)) == _ELF


def _read(path: Path, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """All of the file but its holes, in pieces; then it is no more."""
    try:
        with path.open("rb", buffering=0) as opened:
            number, size = opened.fileno(), os.fstat(opened.fileno()).st_size
            if size >= SIZE_MAX:
                sight.unread.append(f"it was cut off at {size} bytes")
            end = 0
            while (start := _next_data(number, end, size)) < size:
                end, before = os.lseek(number, start, os.SEEK_HOLE), b""
                while start < end and (piece := os.pread(number, min(PIECE, end - start), start)):
                    sight.was_there = True
                    sight.bytes_read += len(piece)
                    yield f"{sight.source}, at {start - len(before):#x}", before + piece
                    before = piece[-OVERLAP:]
                    start += len(piece)
            sight.passed_over += size - sight.bytes_read
    except OSError as error:
        sight.unread.append(f"{path.name}: {error.strerror}")
    finally:
        path.unlink(missing_ok=True)


def _next_data(number: int, start: int, size: int) -> int:
    """Where data goes on behind a hole; the size where there is none."""
    try:
        return os.lseek(number, start, os.SEEK_DATA)
    except OSError:  # ENXIO: nothing but a hole up to the end
        return size
