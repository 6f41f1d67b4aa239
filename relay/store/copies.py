"""Copies of a database: made while it is in use, looked through before anybody relies on them.

Owns the copy as one consistent file and what is said about it. Knows neither key nor data directory.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from relay.store.base import StoreUnusableError
from relay.store.checksums import is_good
from relay.store.schema import APPLICATION_ID, BUSY_TIMEOUT_MS, FILE_MODE, MIGRATIONS, unusable

PAGES: Final = 256  # a step: a mebibyte
WITH_CHECKSUMS: Final = 3  # the first schema version that has them

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a database: totals, never whose."""

    bytes: int
    mailboxes: int
    frames: int
    damaged: int  # of the frames: delivered to nobody


def copy(source: Path, target: Path, progress: Progress) -> Contents:
    """Copy a database, that of a running relay too, to a new file of its own; complete, durable and checked.

    The relay goes on writing meanwhile; its -wal file grows until the copy is done, by as much as it writes.
    A copy that fails is removed. Raises StoreUnusableError.
    """
    if not source.is_file():
        raise StoreUnusableError(f"{source} is not there; name the directory that holds it")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    except OSError as error:
        raise unusable(target, error) from error
    try:
        _copy(source, target, progress)
        return _contents(target, source)
    except BaseException:
        target.unlink()
        raise


def _copy(source: Path, target: Path, progress: Progress) -> None:
    try:
        reading = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise unusable(source, error) from error
    try:
        reading.set_busy_timeout(BUSY_TIMEOUT_MS)
        # One snapshot for all steps: else each commit of the relay would start the copy anew.
        with reading:
            if reading.pragma("application_id") != APPLICATION_ID:
                raise StoreUnusableError(f"{source} is not a blindpost relay database; name another one")
            if reading.pragma("user_version") > len(MIGRATIONS):
                raise StoreUnusableError(
                    f"{source} was written by a newer version of blindpost; upgrade to use it"
                )
            _copy_pages(reading, target, progress)
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise StoreUnusableError(f"{source} is damaged; take another copy") from error
    except apsw.Error as error:
        raise unusable(source, error) from error
    finally:
        reading.close()


def _copy_pages(reading: apsw.Connection, target: Path, progress: Progress) -> None:
    page = int(reading.pragma("page_size"))
    writing = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with writing.backup("main", reading, "main") as backup:
            while not backup.done:
                backup.step(PAGES)
                progress((backup.page_count - backup.remaining) * page, backup.page_count * page)
        # Whole in one file; the relay that opens it makes its own log.
        writing.pragma("journal_mode", "DELETE")
    except (apsw.FullError, apsw.ReadOnlyError, apsw.CantOpenError) as error:
        raise unusable(target, error) from error
    finally:
        writing.close()


def _contents(path: Path, source: Path) -> Contents:
    """Read all of a copy. Raises StoreUnusableError where it is not sound: the original is not, either."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        if connection.pragma("integrity_check") != "ok":
            raise StoreUnusableError(f"{source} is damaged; take another copy")
        mailboxes = connection.execute("SELECT count(*) FROM mailboxes WHERE account IS NOT NULL").get
        frames = connection.execute("SELECT count(*) FROM frames").get
        damaged = 0
        if connection.pragma("user_version") >= WITH_CHECKSUMS:
            rows: Iterator[tuple[bytes, int, object, object, object, object]] = connection.execute(
                "SELECT device_key, sequence, frame_id, stored_at, envelope, checksum"
                " FROM frames f JOIN mailboxes m ON m.id = f.mailbox"
            )
            damaged = sum(not is_good(*row) for row in rows)
        return Contents(path.stat().st_size, mailboxes, frames, damaged)
    except apsw.CorruptError as error:
        raise StoreUnusableError(f"{source} is damaged; take another copy") from error
    finally:
        connection.close()
