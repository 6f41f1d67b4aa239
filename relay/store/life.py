"""A store's life: how far it has come, whether it was further once, and where its sequences go on then.

Owns the one row of `life` and the comparison with the mark. Every commit that changes something is counted in
the commit itself; the mark beside the database follows within a second. Where the database is behind its
mark, commits that were answered are gone, and the sequences they gave may be with devices already: all
mailboxes then go on from the clock (Unix seconds * 2^20), which is above whatever any copy of this store can
have given, unless a mailbox was sent a million frames a second.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import apsw

from relay.store.base import StoreUnusableError
from relay.store.mark import Mark, MarkError, read_mark, write_mark
from relay.store.writer import Log

SEQUENCES_A_SECOND: Final = 1 << 20


class Break(StrEnum):
    """Why a store is not the one that ran here last."""

    OLDER = "older"  # it was further once: its -wal file was lost, or an older copy was put back
    OTHER = "other"  # another database than the mark's
    UNMARKED = "unmarked"  # it had a mark and has none, or one that cannot be read: it was copied here


@dataclass(frozen=True, slots=True)
class Gap:
    """What is missing: at least so many commits, and frames among them, of the time between."""

    why: Break
    commits: int = 0
    frames: int = 0
    since: int = 0
    until: int = 0

    def __str__(self) -> str:
        """One sentence for the operator, which says what is known and nothing else."""
        ahead = "sequences move ahead, so that none is given twice"
        match self.why:
            case Break.OLDER:
                return (
                    f"at least {self.commits} commits that were answered, {self.frames} accepted frames "
                    f"among them, made between {_moment(self.since)} and {_moment(self.until)}, are missing, "
                    f"because a -wal file was lost or an older copy was put back; {ahead}"
                )
            case Break.OTHER:
                return f"it is not the database that the mark beside it was made for; {ahead}"
            case Break.UNMARKED:
                return (
                    "its mark is gone, as after copying the database alone, so nothing tells whether it is "
                    f"the newest; {ahead}"
                )


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def look(connection: apsw.Connection) -> Mark:
    """How far the database has come."""
    store, commits, at, base, frames = connection.execute(
        "SELECT store_id, commits, committed_at, base, forgotten"
        " + (SELECT ifnull(sum(next_sequence - 1 - skipped), 0) FROM mailboxes) FROM life"
    ).get
    return Mark(bytes(store).hex(), commits, frames, base, at)


def _is_marked(connection: apsw.Connection) -> bool:
    """Whether a mark was ever written for this database: from then on one that is missing means something."""
    return bool(connection.execute("SELECT is_marked FROM life").get)


def count_commit(connection: apsw.Connection) -> None:
    """Part of each transaction that changes something."""
    connection.execute("UPDATE life SET commits = commits + 1, committed_at = ?", (int(time.time()),))


def _gap(stored: Mark, noted: Mark | None, marked_before: bool) -> Gap | None:
    """What is missing in a store, by the mark beside it; None where nothing is, as far as can be told."""
    if noted is None:
        return Gap(Break.UNMARKED) if marked_before else None
    if noted.store != stored.store:
        return Gap(Break.OTHER)
    if noted.commits > stored.commits or noted.base > stored.base:
        commits, frames = noted.commits - stored.commits, noted.frames - stored.frames
        return Gap(Break.OLDER, max(commits, 0), max(frames, 0), stored.at, noted.at)
    return None


def move_ahead(connection: apsw.Connection, noted_base: int = 0) -> None:
    """Let every mailbox, and every one that is opened later, go on above all sequences ever given.

    `noted_base`: that of the mark, for a clock that went back.
    """
    base = max(connection.execute("SELECT base FROM life").get, noted_base) + SEQUENCES_A_SECOND
    base = max(base, int(time.time()) * SEQUENCES_A_SECOND)
    with connection:
        connection.execute(
            "UPDATE mailboxes SET skipped = skipped + ?1 + 1 - next_sequence, next_sequence = ?1 + 1"
            " WHERE next_sequence <= ?1",
            (base,),
        )
        connection.execute("UPDATE life SET base = ?", (base,))
        count_commit(connection)


def settle(connection: apsw.Connection, mark: Path, log: Log) -> tuple[Gap | None, Mark]:
    """At a start: what is missing, after the sequences were moved ahead and it was said; and how far it is.

    A mark that cannot be written is said, and written later. Raises StoreUnusableError.
    """
    try:
        noted, is_lost = read_mark(mark), False
    except MarkError:
        noted, is_lost = None, True
    try:
        gap = _gap(look(connection), noted, is_lost or _is_marked(connection))
        if gap is not None:
            move_ahead(connection, 0 if noted is None else noted.base)
            log("the store is not the newest", str(gap))
        stored = look(connection)
        if noted is None or gap is not None:
            try:
                write_mark(mark, stored)
                connection.execute("UPDATE life SET is_marked = 1 WHERE NOT is_marked")
            except OSError as error:
                log("the mark could not be written", type(error).__name__)
    except apsw.Error as error:
        raise StoreUnusableError(
            f"{mark.with_suffix('.db')} cannot be written: free some space, or restore it from a backup"
        ) from error
    return gap, stored
