"""What `tests.faults.child` can replace in a process of ours before it starts.

Owns the table of patches. Each takes one text. Imports of the program's modules happen inside the functions:
a child of the relay must not load the client.
"""

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.faults.kill_points import kill
from tests.faults.mutations import mutate
from tests.faults.relay_patches import RELAY_PATCHES


def make_clock(path: Path, offset: float = 0.0) -> None:
    """A file for the patch `clock`; call it again to step the clocks of all who look at it."""
    if path.exists():
        with path.open("r+b") as file:
            file.write(struct.pack("d", offset))
    else:
        path.write_bytes(struct.pack("d", offset))


def _clock(path: str) -> None:
    """The time of day is the machine's plus what the file says, and steps when the file does."""
    with open(path, "rb") as file:
        offset = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    real = time.time

    def stepped() -> float:
        return real() + float(struct.unpack_from("d", offset)[0])

    time.time = stepped


def _wal_pages(pages: str) -> None:
    """Checkpoints come after so many pages of WAL, so that a short run has many."""
    import apsw

    real = apsw.Connection

    class Connection(real):  # type: ignore[misc, valid-type]  # a class in a variable
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            self.wal_autocheckpoint(int(pages))

    apsw.Connection = Connection  # type: ignore[misc]  # that is the patch


def _impatient(longest: str) -> None:
    """Clients wait at most so many seconds before they try a relay again: faults are to fill the time."""
    from clients import backoff

    backoff.LONGEST = float(longest)  # type: ignore[misc]  # that is the patch
    backoff.FIRST = min(backoff.FIRST, backoff.LONGEST)  # type: ignore[misc]


def _unsynced(_: str) -> None:
    """A kill of this process is a power cut: what was not synced is gone."""
    from tests.faults.disk import lose_unsynced

    lose_unsynced()


PATCHES: Final[dict[str, Callable[[str], None]]] = {
    **RELAY_PATCHES,
    "clock": _clock,
    "wal_pages": _wal_pages,
    "impatient": _impatient,
    "kill": kill,
    "mutate": mutate,
    "unsynced": _unsynced,
}
