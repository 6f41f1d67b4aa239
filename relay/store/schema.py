"""The database file: creating, opening, upgrading and refusing it.

Owns the tables, their numbered migrations and the checks at start. Knows no operation on them. A file
that is damaged, foreign or newer is refused with a sentence; nothing is ever started empty over it.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import apsw

from relay.complaints import reason
from relay.store import checksums, soundness
from relay.store.base import StoreUnusableError
from relay.store.mark import mark_path
from relay.store.writer import DAMAGE

APPLICATION_ID: Final = 0x62706F73  # "bpos": tells our file from any other SQLite database
BUSY_TIMEOUT_MS: Final = 5000
LOG_TIMEOUT_MS: Final = 50  # everybody's commit waits as long for a reader that does not let go
FILE_MODE: Final = 0o600

# One entry per schema version. What has been released is never edited, only followed by another entry.
MIGRATIONS: Final = (
    """
    CREATE TABLE accounts (
        id          INTEGER PRIMARY KEY,
        account_key BLOB NOT NULL UNIQUE,
        device_list BLOB NOT NULL
    );
    -- One row per device; account is NULL once the device was dropped from its list. The row stays, because
    -- neither a sequence nor a one-time prekey id may be used twice, should the device ever come back.
    CREATE TABLE mailboxes (
        id                   INTEGER PRIMARY KEY,
        device_key           BLOB NOT NULL UNIQUE,
        account              INTEGER REFERENCES accounts (id),
        next_sequence        INTEGER NOT NULL DEFAULT 1,
        frames               INTEGER NOT NULL DEFAULT 0,
        bytes                INTEGER NOT NULL DEFAULT 0,
        expired              INTEGER NOT NULL DEFAULT 0,
        one_time_highest     INTEGER NOT NULL DEFAULT 0,
        one_time_kem_highest INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX mailboxes_by_account ON mailboxes (account);
    CREATE TABLE frames (
        id        INTEGER PRIMARY KEY,
        mailbox   INTEGER NOT NULL REFERENCES mailboxes (id),
        sequence  INTEGER NOT NULL,
        frame_id  BLOB NOT NULL,
        stored_at INTEGER NOT NULL,
        envelope  BLOB NOT NULL
    );
    CREATE UNIQUE INDEX frames_by_sequence ON frames (mailbox, sequence);
    CREATE UNIQUE INDEX frames_by_frame_id ON frames (mailbox, frame_id);
    CREATE INDEX frames_by_age ON frames (stored_at);
    CREATE TABLE prekeys (
        mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
        kind    INTEGER NOT NULL,
        id      INTEGER NOT NULL,
        prekey  BLOB NOT NULL,
        PRIMARY KEY (mailbox, kind, id)
    ) WITHOUT ROWID;
    """,
    # Delivery tokens, and frames that were put without one. What was stored before there were tokens was
    # accepted as an ordinary frame, and stays one. `frames` and `bytes` of a mailbox count those alone.
    """
    ALTER TABLE mailboxes ADD COLUMN request_frames INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE mailboxes ADD COLUMN request_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE frames ADD COLUMN request INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE tokens (
        mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
        hash    BLOB NOT NULL,
        until   INTEGER,
        PRIMARY KEY (mailbox, hash)
    ) WITHOUT ROWID;
    CREATE INDEX tokens_by_end ON tokens (until) WHERE until IS NOT NULL;
    """,
    # A checkpoint that a device leaves for itself: opaque. A checksum for each frame: none for those that
    # were stored before, which are delivered unchecked. And what tells an older copy of this file from the
    # newest (`relay.store.life`); `skipped` are the sequences of a mailbox that no frame ever had. When a
    # mailbox was last full, to the hour. Invites, by their hashes: who came in with one is not noted.
    # Device lists that were replaced, for those who missed some.
    """
    ALTER TABLE mailboxes ADD COLUMN checkpoint BLOB;
    ALTER TABLE mailboxes ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE frames ADD COLUMN checksum INTEGER;
    ALTER TABLE mailboxes ADD COLUMN full_at INTEGER;
    CREATE TABLE invites (
        hash  BLOB PRIMARY KEY,
        uses  INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE life (
        store_id     BLOB NOT NULL,
        commits      INTEGER NOT NULL,
        committed_at INTEGER NOT NULL,
        base         INTEGER NOT NULL,
        is_marked    INTEGER NOT NULL
    );
    INSERT INTO life VALUES (randomblob(16), 0, unixepoch(), 0, 0);
    CREATE TABLE former_lists (
        account     INTEGER NOT NULL REFERENCES accounts (id),
        version     INTEGER NOT NULL,
        device_list BLOB NOT NULL,
        PRIMARY KEY (account, version)
    ) WITHOUT ROWID;
    """,
    # Mailboxes that were dropped and are not cleared yet, and when each device was dropped, so that its row
    # can be forgotten one day (`relay.store.drops`); `forgotten` are the frames that such mailboxes ever had.
    """
    ALTER TABLE mailboxes ADD COLUMN dropped_at INTEGER;
    UPDATE mailboxes SET dropped_at = unixepoch() WHERE account IS NULL;
    CREATE INDEX mailboxes_by_drop ON mailboxes (dropped_at) WHERE dropped_at IS NOT NULL;
    CREATE TABLE dropped (
        mailbox INTEGER PRIMARY KEY REFERENCES mailboxes (id)
    );
    ALTER TABLE life ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
    """,
)


def sync_directory(directory: Path) -> None:
    """Make a new or renamed entry of `directory` durable, where the platform allows it."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _migrate(connection: apsw.Connection) -> None:
    version = int(connection.pragma("user_version"))
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT")


def _create(path: Path) -> None:
    """Make the file complete under another name first: a crash leaves no file or a whole one."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    connection = apsw.Connection(str(partial))
    try:
        connection.pragma("synchronous", "FULL")
        connection.pragma("application_id", APPLICATION_ID)
        _migrate(connection)
    finally:
        connection.close()
    partial.rename(path)
    sync_directory(path.parent)


def _check(connection: apsw.Connection, path: Path) -> bool:
    """Refuse what is no sound database of ours, before anything is written to it; False if time ran out."""
    try:
        owner, version = connection.pragma("application_id"), connection.pragma("user_version")
        if owner != APPLICATION_ID:
            raise StoreUnusableError(
                f"{path} is not a blindpost relay database; move it away or choose another --data-directory"
            )
        if version > len(MIGRATIONS):
            raise StoreUnusableError(f"{path} was written by a newer version of blindpost; upgrade to use it")
        sound = soundness.check(connection)
    except DAMAGE:
        sound = False
    if sound is False:
        raise StoreUnusableError(
            f"{path} is damaged; move it and {mark_path(path).name} away, then restore a backup with "
            "'blindpost relay restore', or start with empty mailboxes"
        )
    return sound is True


def columns(connection: apsw.Connection) -> frozenset[str]:
    """Each `table.column` that there is, of views as well; and each trigger. Raises apsw.Error."""
    found = connection.execute(
        "SELECT m.name || '.' || c.name FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c"
        " WHERE m.type IN ('table', 'view')"
        " UNION ALL SELECT 'trigger ' || name FROM sqlite_schema WHERE type = 'trigger'"
    )
    try:
        return frozenset(name for (name,) in found)
    except UnicodeDecodeError as error:
        raise apsw.CorruptError("a name in the schema is no text") from error


def unusable(path: Path, error: Exception) -> StoreUnusableError:
    """The sentence for a database that the system or its disk does not let us use."""
    match error:
        case apsw.FullError():
            why = "its disk is full; free some space"
        case apsw.BusyError() | apsw.LockedError():
            why = "another program holds it; end that one"
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError() | apsw.AuthError():
            why = "it cannot be opened for writing; check owner and permissions of the file and its directory"
        case OSError():
            why = f"{reason(error)}; check owner, permissions and free space"
        case _:
            why = "reading or writing it failed; check its disk, or restore it from a backup"
    return StoreUnusableError(f"{path} cannot be used: {why}")


def configure(connection: apsw.Connection) -> None:
    """What both connections of a running relay are set to."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    # A commit returns only after fsync: "accepted" must survive a power cut.
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", "ON")
    # Acknowledged envelopes and deleted accounts do not linger: zeros are written in their place, and into
    # pages that are free from then on, which FAST would leave as they are.
    connection.pragma("secure_delete", "ON")
    # Else SQLite plans a kept statement anew whenever a value that is bound to it has changed (STAT4).
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def open_writer(path: Path, vfs: str | None = None) -> tuple[apsw.Connection, bool]:
    """The one writing connection: created or checked, upgraded, in WAL mode; and whether all was checked.

    Raises StoreUnusableError with a sentence for the operator. `vfs` names another SQLite file layer, for
    tests that count or fail what reaches the disk.
    """
    try:
        if not path.exists():
            if path.with_name(path.name + "-wal").exists():
                raise StoreUnusableError(
                    f"{path} is missing but its -wal file is there; restore both, or remove the latter"
                )
            if (mark := mark_path(path)).exists():
                raise StoreUnusableError(
                    f"{path} is missing, and {mark.name} says that a relay ran here; restore a backup with "
                    f"'blindpost relay restore', or move {mark.name} away, too, to start with empty mailboxes"
                )
            _create(path)
        if path.stat().st_size == 0:
            raise StoreUnusableError(
                f"{path} is empty, which a relay never leaves behind; restore it from a backup"
            )
        if path.is_dir():
            raise StoreUnusableError(f"{path} is a directory where the database belongs; move it away")
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        if connection.readonly("main"):  # what SQLite makes of a file that it may not write
            connection.close()
            raise apsw.ReadOnlyError
    except (apsw.Error, OSError) as error:
        raise unusable(path, error) from error
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        is_checked = _check(connection, path)
        connection.pragma("journal_mode", "WAL")
        configure(connection)
        _migrate(connection)
        if is_checked:
            agree = soundness.check_indexes(connection)
            if agree is False:
                with connection:
                    checksums.mend(connection)
            is_checked = agree is not None
    except StoreUnusableError:
        connection.close()
        raise
    except (apsw.Error, UnicodeDecodeError) as error:
        with contextlib.suppress(apsw.Error):
            connection.close()
        raise unusable(path, error) from error
    return connection, is_checked


def open_reader(path: Path) -> apsw.Connection:
    """A second connection that never writes and never waits for the writer. Raises StoreUnusableError."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        configure(connection)
        connection.pragma("query_only", "ON")
    except apsw.Error as error:
        raise unusable(path, error) from error
    return connection


def truncate_log(path: Path) -> bool:
    """Write all of the -wal file into the database and leave it empty; False while an older state is read.

    What was deleted stands in older pages of it. Whoever commits meanwhile waits for it, a moment at most.
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(LOG_TIMEOUT_MS)
        connection.pragma("synchronous", "FULL")
        connection.pragma("user_version")  # before it has read, a connection knows of no -wal file
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.close()
    return True
