"""The plain files of a profile's directory: written whole and durably, and checked for what is missing.

Owns how they are written, and what profile.json says outside the store. Holds no key.
"""

import contextlib
import json
import os
from pathlib import Path

from clients.errors import StorageError, UsageError


def write_private(path: Path, data: bytes) -> None:
    """Create `path` with mode 0600, whole or not at all, durable: file and directory are synced."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def make_directory(path: Path) -> None:
    """A directory of our own, 0700. Raises UsageError for one that holds other things."""
    if path.is_dir() and any(path.iterdir()) and not (path / "lock").exists():
        raise UsageError(f"The directory {path} holds other things and is no profile. Choose another one.")
    # Those above it, too, whatever the umask: who can write there can put another profile in its place.
    missing = [parent for parent in path.parents if not parent.exists()]
    for each in (*reversed(missing), path):
        each.mkdir(mode=0o700, exist_ok=True)
    os.chmod(path, 0o700)
    sync_directory(path.parent)


def described(path: Path) -> dict[str, object]:
    """What profile.json says, or nothing."""
    try:
        how = json.loads((path / "profile.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return how if isinstance(how, dict) else {}


def is_finished(path: Path) -> bool:
    """Whether an account was made here."""
    return "finished" in described(path)


def mark_finished(path: Path) -> None:
    """Remember outside the store that it holds an account: without it, nothing may pass for new."""
    if not is_finished(path):
        with contextlib.suppress(OSError):  # a place that cannot be written now: the next time will do
            write_private(
                path / "profile.json", json.dumps({**described(path), "finished": True}).encode() + b"\n"
            )


def deletion(path: Path) -> str | None:
    """When the account of this profile was deleted at its relay, or that this was begun; None if neither."""
    noted = described(path).get("deleted")
    return noted if isinstance(noted, str) else None


def note_deletion(path: Path, what: str) -> None:
    """Remember it outside the store, so that each command can say so, durably. Raises OSError."""
    how = json.dumps({**described(path), "deleted": what})
    write_private(path / "profile.json", how.encode() + b"\n")


def check_store(path: Path) -> None:
    """Raises StorageError where an account has lost its store, or the store its profile.json."""
    size = (path / "store.db").stat().st_size if (path / "store.db").exists() else 0
    if size == 0 and is_finished(path):
        raise lost(path, "store.db is missing or empty")
    if size != 0 and not (path / "profile.json").exists():
        raise lost(path, "profile.json is missing")


def lost(path: Path, what: str) -> StorageError:
    """The error for a profile that must not be made anew: that would be another account."""
    return StorageError(
        f"The profile in {path} has lost its account: {what}. Restore the directory from a copy, or move it "
        "away and make a new profile."
    )


def remove_files(path: Path) -> None:
    """Take away what was begun here, while it is locked, and the directory if nothing else is in it."""
    for name in ("store.db", "store.db-wal", "store.db-shm", "profile.key", "profile.json", "socket", "lock"):
        (path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.rmdir()
