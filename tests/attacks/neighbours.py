"""People whose frames an attacker carries by hand: real profiles, stores and engines, without a socket.

Owns how they are made acquainted, and what a look at a whole store is. For attacks on what is inside an
envelope, and by contacts: a relay in between would add nothing but its time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from keys.primitives import sha256
from tests.clients.repairs import exchange
from tests.support.homes import Home, converse

# Which envelopes came is no state of a conversation; the tables of the search follow the messages.
_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' "
    "AND name != 'consumed' AND name NOT LIKE 'words%' AND name NOT LIKE 'sqlite%'"
)


@contextmanager
def neighbours(directory: Path, *names: str) -> Iterator[list[Home]]:
    """Homes of these names. The first has talked with each of the others, and nothing is on its way."""
    homes = [Home(directory, name) for name in names]
    try:
        for other in homes[1:]:
            converse(homes[0], other)
            exchange(homes[0], other)
        yield homes
    finally:
        for home in homes:
            home.close()


def state_of(home: Home) -> bytes:
    """A hash over all that a profile knows and decides by, but for which envelopes have come."""
    db = home.profile.store.db
    names: list[Any] = db.execute(_TABLES).fetchall()
    rows = [(name, db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()) for (name,) in names]  # noqa: S608 our own names
    return sha256(repr(rows).encode())


def begins_anew(home: Home) -> bool:
    """Whether somebody has brought this client to begin a session anew, or to owe that."""
    return bool(home.profile.store.db.execute("SELECT count(*) FROM repairs WHERE what = 'session'").get)
