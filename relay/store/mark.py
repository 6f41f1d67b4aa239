"""The mark: a small file beside the database that says how far the database had come.

Owns the file. A database cannot say of itself that its newest part is missing (a lost -wal file, an older
copy put back); the mark can. It holds four numbers and a random name, nothing of anybody. Knows no database.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

LARGEST: Final = 4096  # bytes; what is larger is not ours


class MarkError(Exception):
    """The mark cannot be read, or is none."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a store has come. `at`: Unix seconds of its last commit; `base`: see `relay.store.life`."""

    store: str  # hexadecimal, random, for the life of a database and of all its copies
    commits: int
    frames: int  # ever accepted, requests among them
    base: int
    at: int


def mark_path(database: Path) -> Path:
    """Where the mark of a database is."""
    return database.with_suffix(".mark")


def read_mark(path: Path) -> Mark | None:
    """The mark, or None where there is none. Raises MarkError."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST))
        mark = Mark(str(content.pop("store")), **content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MarkError from error
    numbers = (mark.commits, mark.frames, mark.base, mark.at)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise MarkError
    return mark


def write_mark(path: Path, mark: Mark) -> None:
    """Replace the mark durably: after a crash it is the old one or the new one, whole. Raises OSError."""
    partial = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, json.dumps(asdict(mark)).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.replace(path)
