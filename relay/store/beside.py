"""The database of a relay that may be running, for a command of its operator.

Owns opening it from a second process, for one transaction. Neither makes nor upgrades it, and does not read
it through: a relay does that when it starts.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw

from relay.store.base import StoreUnusableError
from relay.store.schema import APPLICATION_ID, MIGRATIONS, configure, unusable


@contextlib.contextmanager
def beside(path: Path) -> Iterator[apsw.Connection]:
    """A transaction, committed and fsynced at the end, else rolled back. Raises StoreUnusableError.

    It waits a few seconds for the relay's own, which are short.
    """
    if not path.is_file():
        raise StoreUnusableError(
            f"no relay has run on {path.parent}; start it once, or give the --data-directory or --config "
            "that it is started with"
        )
    try:
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            configure(connection)
            known = connection.pragma("application_id"), connection.pragma("user_version")
            if known != (APPLICATION_ID, len(MIGRATIONS)):
                raise StoreUnusableError(
                    f"{path} is not of this version of blindpost; start the relay with this version once, "
                    "which says more or upgrades it"
                )
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")  # without it, closing rolls back
    except apsw.Error as error:
        raise unusable(path, error) from error
