"""Making a backup while the profile is in use.

Owns the thread that reads the store and writes the file. It has a connection of its own, so that nothing else
waits for it. Knows nothing of who asked.
"""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

from clients.backup.passphrases import passphrase_bytes
from clients.backup.records import MessageRecord, ProfileRecord
from clients.backup.sealed_files import write_sealed
from clients.backup.snapshot import records
from clients.config import ClientConfig
from clients.errors import StorageError
from clients.profile import store_key
from clients.store.store import Store
from keys.backups import SALT, BackupLock, Parameters

TELL_EVERY: Final = 0.5  # seconds

Tell = Callable[[int, int], Awaitable[None]]  # messages so far, of how many


class _Stopped(Exception):
    """Whoever wanted the backup wants it no more."""


class _Work:
    """What the thread does, and how far it is. Both numbers are only ever read by others."""

    def __init__(self, config: ClientConfig, file: Path, passphrase: str) -> None:
        self._config, self._file, self._passphrase = config, file, passphrase
        self.stop = threading.Event()
        self.messages = self.of = 0

    def run(self) -> None:
        """Write the file. Raises ClientError."""
        store = Store(self._config.profile / "store.db", store_key(self._config), is_reader=True)
        try:
            lock = BackupLock.make(passphrase_bytes(self._passphrase), Parameters(os.urandom(SALT)))
            write_sealed(self._file, lock, self._lines(store))
        except MemoryError:
            raise StorageError("There is too little memory for a backup. End other programs first.") from None
        finally:
            store.close()

    def _lines(self, store: Store) -> Iterator[bytes]:
        for record in records(store, int(time.time())):
            if self.stop.is_set():
                raise _Stopped
            if isinstance(record, ProfileRecord):
                self.of = record.messages
            self.messages += isinstance(record, MessageRecord)
            yield record.encode()


async def back_up(config: ClientConfig, file: Path, passphrase: str, tell: Tell) -> int:
    """Write a backup of a profile that is open here; returns the number of its messages.

    Cancelled, it ends the thread and leaves nothing. Raises UsageError or StorageError.
    """
    work = _Work(config, file, passphrase)
    thread = asyncio.ensure_future(asyncio.to_thread(work.run))
    try:
        while not (await asyncio.wait([thread], timeout=TELL_EVERY))[0]:
            await tell(work.messages, work.of)
    finally:
        work.stop.set()
        await asyncio.wait([thread])
        failure = thread.exception()
    if failure is not None:
        raise failure
    return work.messages
