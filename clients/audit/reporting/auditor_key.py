"""The auditor's own key, in a file that nobody else can read: 32 random bytes in hex.

Owns the file. What is signed with it is `keys.auditors`.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from clients.errors import StorageError
from clients.profile_files import sync_directory, write_private
from keys.auditors import Auditor
from keys.primitives import KEY

_SIZE: Final = 2 * KEY + 1  # hex, and a line feed


def _make(file: Path) -> None:
    """A new key, unless another audit makes one at the same moment: then that one. Raises OSError."""
    ours = file.with_name(f"{file.name}.{os.urandom(8).hex()}")
    try:
        write_private(ours, os.urandom(KEY).hex().encode() + b"\n")
        with contextlib.suppress(FileExistsError):
            os.link(ours, file)
    finally:
        ours.unlink(missing_ok=True)
    sync_directory(file.parent)


def own_auditor(file: Path) -> Auditor:
    """The auditor whose key `file` holds; where there is none, it is made. Raises StorageError."""
    try:
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(file)
        with file.open("rb") as opened:
            shared = os.fstat(opened.fileno()).st_mode & 0o077
            text = opened.read(_SIZE + 1)
    except OSError as error:
        raise StorageError(f"The auditor's key {file} cannot be read or made: {error.strerror}.") from None
    try:
        auditor = Auditor(bytes.fromhex(text.decode("ascii").strip()))
    except ValueError:
        raise StorageError(
            f"The file {file} holds no auditor's key. Restore it from a copy, or move it away for a new one."
        ) from None
    if shared:
        raise StorageError(f"Others can read the auditor's key. Take that from them: chmod 600 {file}")
    return auditor
