"""The store of one profile: an encrypted SQLite database with one owner and one connection.

Owns opening, unlocking, migrations and transactions. Every change of ratchet state commits in the same
transaction as the message it belongs to, with an fsync (WAL, synchronous FULL), before anything is sent or
acknowledged. Knows nothing of what the tables mean: that is in the modules beside it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import apsw

from clients.errors import LockedError, StorageError
from clients.store.schema import MIGRATIONS

BUSY: Final = 5000  # milliseconds


def failure(error: apsw.Error) -> StorageError:
    """One sentence for what SQLite reports; its own text may quote values and is not repeated."""
    match error:
        case apsw.FullError():
            why = "the disk is full. Free some space and try again; nothing was lost"
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            why = "it cannot be written. Check the permissions of the profile directory"
        case apsw.CorruptError() | apsw.NotADBError():
            why = "it is damaged. Restore the profile directory from a copy, or make a new profile"
        case apsw.BusyError() | apsw.LockedError():
            why = "another program keeps it locked"
        case apsw.IOError():
            why = "the disk reports an error, or is full. Free some space and try again"
        case _:
            why = f"an unexpected database error ({type(error).__name__})"
    return StorageError(f"The store of this profile cannot be used: {why}.")


class _Cursor(apsw.Cursor):
    """A cursor whose errors are StorageError, while reading too. A broken constraint is the caller's own."""

    # Written out each time: a message takes dozens of statements, and a context manager costs as much as one.

    def execute(self, *arguments: Any, **options: Any) -> Self:
        try:
            super().execute(*arguments, **options)
        except apsw.Error as error:
            raise _translated(error) from None
        return self

    def executemany(self, *arguments: Any, **options: Any) -> Self:
        try:
            super().executemany(*arguments, **options)
        except apsw.Error as error:
            raise _translated(error) from None
        return self

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except apsw.Error as error:
            raise _translated(error) from None

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except apsw.Error as error:
            raise _translated(error) from None

    @property
    def get(self) -> Any:
        try:
            return super().get
        except apsw.Error as error:
            raise _translated(error) from None

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except apsw.Error as error:
            raise _translated(error) from None


def _translated(error: apsw.Error) -> Exception:
    return error if isinstance(error, apsw.ConstraintError) else failure(error)


class Store:
    """One open database. Not shared between threads or processes."""

    def __init__(self, path: Path, key: bytes, *, is_reader: bool = False) -> None:
        """Open or create `path` with a raw 32-byte key; `is_reader` beside its owner, and for reading alone.

        Raises LockedError for a wrong key, StorageError when the file cannot be used.
        """
        try:
            self.db = apsw.Connection(str(path))
        except apsw.Error as error:
            raise failure(error) from None
        try:
            self._unlock(key)
            self.db.cursor_factory = _Cursor
            if is_reader:
                self.db.pragma("query_only", "on")
            else:
                self._migrate()
        except BaseException as error:
            self.db.close()
            if isinstance(error, apsw.Error):
                raise failure(error) from None
            raise

    def _unlock(self, key: bytes) -> None:
        try:
            self.db.pragma("key", "raw:" + key.hex())
            self.db.pragma("user_version")
        except apsw.NotADBError:
            raise LockedError(
                "The profile cannot be unlocked: wrong passphrase, or the key file of another profile."
            ) from None
        self.db.set_busy_timeout(BUSY)
        self.db.pragma("journal_mode", "wal")
        self.db.pragma("synchronous", "full")
        self.db.pragma("foreign_keys", 1)
        # What was deleted is overwritten, and sorting leaves nothing on the disk in plain. The library is
        # built so; nobody should have to know that.
        self.db.pragma("secure_delete", 1)
        self.db.pragma("temp_store", 2)
        # Else SQLite plans a kept statement anew whenever a value that is bound to it has changed (STAT4).
        self.db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)

    def _migrate(self) -> None:
        version = int(self.db.pragma("user_version"))
        if version > len(MIGRATIONS):
            raise StorageError("This profile was made by a newer version of blindpost. Upgrade to use it.")
        for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
            with self.transaction():
                self.db.execute(migration)
                self.db.pragma("user_version", number)

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """All or nothing, durable when it ends. Raises StorageError; then nothing has changed.

        Nested use joins the outer transaction.
        """
        if not self.db.get_autocommit():
            yield self.db
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if not self.db.get_autocommit():
                    self.db.execute("ROLLBACK")
                raise
        except apsw.Error as error:
            raise failure(error) from None

    @contextmanager
    def snapshot(self) -> Iterator[apsw.Connection]:
        """Read one moment of the store, whatever its owner writes meanwhile."""
        self.db.execute("BEGIN")
        try:
            yield self.db
        finally:
            self.db.execute("ROLLBACK")

    def meta(self, name: str) -> bytes | None:
        """A single value of the profile, or None."""
        value = self.db.execute("SELECT value FROM meta WHERE name = ?", (name,)).get
        return None if value is None else bytes(value)

    def set_meta(self, name: str, value: bytes) -> None:
        """Write a single value."""
        self.db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def forget_log(self) -> None:
        """Empty the log, in which pages stand as they were before, with what is deleted since.

        Waits for nobody. A backup that is being read, or a full disk, leaves it for another time.
        """
        self.db.set_busy_timeout(0)
        try:
            self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error:
            pass  # what is committed is safe in either place, and whatever is wrong shows at the next commit
        finally:
            self.db.set_busy_timeout(BUSY)

    def close(self) -> None:
        """Close the database. Committed transactions are safe without this."""
        self.db.close()
