"""The table of invites, as plain functions of an open connection.

Owns the SQL, and how many there may be. Opens and ends no transaction: `relay.store.tables` spends in the one
that registers, an operator's command has one of its own (`relay.store.beside`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import apsw

from relay.complaints import OperatorError
from relay.store import base
from relay.store.base import Terms

INVITES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Invite:
    """What lets so many more new accounts in, before the Unix second `until`; by its hash, 32 bytes."""

    hash: bytes = field(repr=False)
    uses: int
    until: int


def add(connection: apsw.Connection, invites: Sequence[Invite]) -> None:
    """Add all of them. Raises OperatorError when there would be too many."""
    if connection.execute("SELECT count(*) FROM invites").get + len(invites) > INVITES_MAX:
        raise OperatorError(
            f"there may be {INVITES_MAX:,} invites; first revoke some: blindpost relay invites --revoke ID"
        )
    connection.executemany(
        "INSERT INTO invites (hash, uses, until) VALUES (?, ?, ?)",
        [(invite.hash, invite.uses, invite.until) for invite in invites],
    )


def stored(connection: apsw.Connection) -> list[Invite]:
    """All that were not revoked or pruned, those that end first before the others."""
    rows = connection.execute("SELECT hash, uses, until FROM invites ORDER BY until, hash")
    return [Invite(*row) for row in rows]


def revoke(connection: apsw.Connection, hash: bytes) -> None:
    """Delete one. Who came in with it stays."""
    connection.execute("DELETE FROM invites WHERE hash = ?", (hash,))


def spend(connection: apsw.Connection, terms: Terms) -> None:
    """Let an account in that is new: where an invite is asked for, count it down.

    Raises WireError(REGISTRATION_REFUSED), the same for every invite that does not hold.
    """
    if terms.refusal is None:
        return
    connection.execute(
        "UPDATE invites SET uses = uses - 1 WHERE hash = ? AND uses > 0 AND until > ?",
        (terms.invite_hash, terms.now),
    )
    if connection.changes() != 1:
        raise base.refuse_newcomer(terms)


def prune(connection: apsw.Connection, now: int) -> int:
    """Delete what has ended at `now`; returns how many."""
    connection.execute("DELETE FROM invites WHERE until <= ?", (now,))
    return connection.changes()
