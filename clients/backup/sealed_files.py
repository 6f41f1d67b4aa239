"""A backup on disk: lines in, chunks out, and back.

Owns the file: its chunks, that it appears whole or not at all, and what is said of one that cannot be read.
Keeps one chunk and one line in memory, however long the file is. Knows nothing of what the lines say.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from clients.backup.records import LINE_MAX
from clients.errors import LockedError, StorageError, UsageError
from clients.profile_files import sync_directory
from keys.backups import CHUNK, HEAD, SEALED_CHUNK, BackupLock, is_backup
from keys.errors import DecryptError
from wire.errors import WireError

NOT_OPENED: Final = "This passphrase does not open the backup, or its first bytes are damaged. Try again."
DAMAGED: Final = "The backup is damaged or incomplete. Use another copy of it."


def write_sealed(file: Path, lock: BackupLock, lines: Iterable[bytes]) -> None:
    """Write a backup of mode 0600, whole or not at all, durable when this returns.

    Raises UsageError if there is a file already that is no backup, StorageError if it cannot be written.
    """
    _check_place(file)
    try:
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with open(descriptor, "wb") as out:
                out.write(lock.head)
                out.writelines(_sealed(lock, lines))
                out.flush()
                os.fsync(out.fileno())
            os.replace(unfinished, file)
        except BaseException:
            os.unlink(unfinished)
            raise
        sync_directory(file.parent)
    except OSError as error:
        raise StorageError(f"The backup {file} cannot be written: {error.strerror}.") from None


def _check_place(file: Path) -> None:
    """A backup may take the place of an older one, and of nothing else."""
    with contextlib.suppress(OSError):
        if file.exists() and not is_backup(_first_bytes(file)):
            raise UsageError(f"There is a file {file} already, and it is no backup. Choose another name.")


def _first_bytes(file: Path) -> bytes:
    with open(file, "rb") as found:
        return found.read(HEAD)


def _sealed(lock: BackupLock, lines: Iterable[bytes]) -> Iterator[bytes]:
    waiting, number = bytearray(), 0
    for line in lines:
        waiting += line
        # What may be the last chunk is kept back until it is known whether it is.
        while len(waiting) > CHUNK:
            yield lock.seal(number, bytes(waiting[:CHUNK]), is_last=False)
            del waiting[:CHUNK]
            number += 1
    yield lock.seal(number, bytes(waiting), is_last=True)


@contextlib.contextmanager
def opened(file: Path, passphrase: bytes) -> Iterator[Iterator[bytes]]:
    """The lines of a backup without their line feeds, as long as all before them is as it was written.

    Raises UsageError for what is no backup, LockedError for another passphrase. Each line may raise
    StorageError, when something is not as it was written.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise UsageError(f"The backup {file} cannot be read: {error.strerror}.") from None
    with source:
        lock = _lock_of(file, _read(source, HEAD), passphrase)
        yield _lines(_chunks(source, lock))


def _read(source: BinaryIO, size: int) -> bytes:
    try:
        return source.read(size)
    except OSError as error:
        raise StorageError(f"The backup cannot be read: {error.strerror}.") from None


def _chunks(source: BinaryIO, lock: BackupLock) -> Iterator[bytes]:
    number, sealed = 0, _read(source, SEALED_CHUNK)
    while sealed:
        following = _read(source, SEALED_CHUNK)
        try:
            yield lock.open_chunk(number, sealed, is_last=not following)
        except DecryptError:
            raise StorageError(DAMAGED) from None
        number, sealed = number + 1, following
    if number == 0:
        raise StorageError(DAMAGED)


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    begun = bytearray()
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield bytes(begun + end)
            begun.clear()
        begun += rest
        if len(begun) > LINE_MAX:
            raise StorageError(DAMAGED)
    if begun:
        raise StorageError(DAMAGED)


def _lock_of(file: Path, head: bytes, passphrase: bytes) -> BackupLock:
    if not is_backup(head):
        raise UsageError(
            f"The file {file} is no backup of blindpost. Name one that `blindpost backup` wrote."
        )
    try:
        return BackupLock.open(passphrase, head)
    except WireError:
        raise StorageError(
            "The backup is damaged, or of a newer version of blindpost. Upgrade, or use another."
        ) from None
    except DecryptError:
        raise LockedError(NOT_OPENED) from None
    except MemoryError:
        raise StorageError(
            "There is too little memory to open the backup. End other programs first."
        ) from None
