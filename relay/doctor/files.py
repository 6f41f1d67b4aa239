"""The checks of the data directory: who can read it, the key, the database and its mark.

Owns what is looked at, read-only, beside a relay that may run. (Where none runs, SQLite leaves an empty -wal
and a -shm file behind, which the next start takes.) Knows no socket.
"""

import os
import stat
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from relay.auth import KeyUnusableError, RelayKey
from relay.data_directory import DATABASE, KEY
from relay.doctor.findings import Finding, failed, ok, warning
from relay.store.life import look
from relay.store.mark import Mark, MarkError, mark_path, read_mark
from relay.store.schema import APPLICATION_ID, BUSY_TIMEOUT_MS, MIGRATIONS, columns
from relay.store.soundness import check
from wire import ledger
from wire.ledger import Place

CHECK_FOR: Final = 20.0  # seconds for the whole database


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database that can be read told."""

    version: int = 0
    mailboxes: int = 0
    frames: int = 0
    is_sound: bool | None = None
    stored: Mark | None = None
    bytes: int = 0
    undeclared: str | None = None  # a column that the ledger of metadata does not name


def check_directory(directory: Path) -> Finding:
    """Whether it is there, ours and nobody else's to change."""
    name = "data directory"
    if not directory.is_dir():
        if directory.exists():
            return failed(name, f"{directory} is no directory", "choose another --data-directory")
        return warning(
            name,
            f"{directory} is not there",
            "the first start makes it; or give the relay's --data-directory",
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return failed(
            name, f"{directory} cannot be written", "check its owner, or run this as the relay's user"
        )
    mode = stat.S_IMODE(directory.stat().st_mode)
    if os.name != "nt" and mode & 0o022:
        return warning(name, f"others can write in {directory}", f"run: chmod go-w {directory}")
    if os.name != "nt" and (loose := _readable(directory)):
        return warning(name, f"others can read {loose}", f"run: chmod 600 {loose}")
    return ok(name, f"{directory} is this user's to write, and no file of the relay is others' to read")


def _readable(directory: Path) -> Path | None:
    names = (DATABASE, DATABASE + "-wal", DATABASE + "-shm", KEY)
    paths = [directory / name for name in names if (directory / name).exists()]
    return next((path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077), None)


def check_key(directory: Path) -> tuple[Finding, bytes | None]:
    """The finding, and the public key if there is one."""
    path = directory / KEY
    if not path.exists():
        if (directory / DATABASE).exists():
            what = f"{path} is not there, and the first start makes a new one, which clients will refuse"
            return failed("key", what, "restore it from a backup"), None
        return ok("key", "the first start makes it"), None
    try:
        return ok("key", "is there, and this user's alone"), RelayKey.load(path).public
    except KeyUnusableError as error:
        return failed("key", str(error), "clients pin this key: keep a backup"), None


def _read(path: Path) -> Contents:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if connection.pragma("application_id") != APPLICATION_ID:
            return Contents()
        version = int(connection.pragma("user_version"))
        if version > len(MIGRATIONS):
            return Contents(version)
        is_sound = check(connection, CHECK_FOR)
        if is_sound is False:
            return Contents(version, is_sound=False)
        mailboxes = connection.execute("SELECT count(*) FROM mailboxes WHERE account IS NOT NULL").get
        frames = connection.execute("SELECT count(*) FROM frames").get
        stored = look(connection) if version == len(MIGRATIONS) else None
        size = path.stat().st_size
        strange = columns(connection) - ledger.read().of(Place.STORE).keys()
        return Contents(version, mailboxes, frames, is_sound, stored, size, min(strange, default=None))


def check_database(directory: Path) -> tuple[Finding, Contents]:
    """The finding, and what is in it as far as that could be read."""
    name, path, nothing = "database", directory / DATABASE, Contents()
    recover = "stop the relay, move it away and run: blindpost relay restore BACKUP"
    if not path.exists():
        if mark_path(path).exists():
            return failed(name, f"{path} is missing, and a relay ran here", recover), nothing
        return ok(name, "the first start makes it"), nothing
    try:
        contents = _read(path)
    except (apsw.NotADBError, apsw.CorruptError):
        return failed(name, f"{path} is damaged", recover), nothing
    except apsw.Error as error:
        advice = "run this as the relay's user, and check the disk"
        return failed(name, f"{path} cannot be read ({type(error).__name__})", advice), nothing
    if contents.version == 0:
        return failed(
            name, f"{path} is not a relay's", "move it away, or choose another --data-directory"
        ), nothing
    if contents.version > len(MIGRATIONS):
        return failed(name, f"{path} was written by a newer blindpost", "upgrade to use it"), nothing
    if contents.is_sound is False:
        return failed(name, f"{path} is damaged", recover), nothing
    if contents.undeclared is not None:
        what = f"{path} has the column {contents.undeclared}, which the ledger of metadata does not declare"
        advice = "no relay starts on it: start the blindpost that added it, or restore a backup from before"
        return failed(name, what, advice), nothing
    what = f"{contents.mailboxes:,} mailboxes, {contents.frames:,} frames, {contents.bytes / 1e6:,.1f} MB"
    if contents.version < len(MIGRATIONS):
        return ok(name, f"{what}; of an older version, which the next start upgrades"), contents
    if contents.is_sound is None:
        return ok(
            name, f"{what}; too large to be read through here, a relay does it while it serves"
        ), contents
    return ok(name, f"{what}, sound"), contents


def check_mark(directory: Path, stored: Mark | None) -> Finding | None:
    """Whether the database is the newest there was; None where nothing can be said."""
    if stored is None:
        return None
    name, path = "newest", mark_path(directory / DATABASE)
    says = "the next start says what is missing, and lets sequences move ahead"
    try:
        noted = read_mark(path)
    except MarkError:
        noted = None
    if noted is None or noted.store != stored.store:
        return warning(name, f"{path} does not tell whether the database is the newest", says)
    if noted.commits > stored.commits:
        missing = max(noted.frames - stored.frames, 0)
        what = f"the database is older than it was: at least {missing:,} accepted frames are missing"
        return warning(name, what, f"if a newer copy or its -wal file exists, put it back now; else {says}")
    return ok(name, "the database is the newest there was")
