"""The directory that holds all of a relay: its files' names, making it, holding it.

Owns the lock by which one relay alone runs over one database. Knows nothing of what the files contain.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.complaints import OperatorError, reason

KEY: Final = "relay.key"
DATABASE: Final = "relay.db"
LOCK: Final = "relay.lock"


class DirectoryError(OperatorError):
    """The data directory cannot be used; the text is one sentence for the operator, saying what to do."""


def prepare(directory: Path) -> None:
    """Make it, if it is not there. Raises DirectoryError."""
    try:
        # The mode of a directory that is there already is its owner's choice; ours of the files is enough.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise DirectoryError(
            f"data directory {directory} is a file or lies below one; choose another --data-directory"
        ) from error
    except OSError as error:
        raise DirectoryError(
            f"data directory {directory} cannot be made: {reason(error)}; choose another --data-directory"
        ) from error


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold it: two relays over one database would not hear each other's doorbells. Raises DirectoryError."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        lock = (directory / LOCK).open("w")
    except IsADirectoryError as error:
        raise DirectoryError(
            f"{directory / LOCK} is a directory where the relay's lock belongs; remove it"
        ) from error
    except OSError as error:
        raise DirectoryError(
            f"data directory {directory} cannot be written to: {reason(error)}; check its owner, "
            "permissions and disk, or choose another --data-directory"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DirectoryError(
                f"another relay runs on {directory}; stop it, or choose another --data-directory"
            ) from error
        except OSError as error:
            raise DirectoryError(
                f"{directory / LOCK} cannot be locked: {reason(error)}; "
                "choose a --data-directory on a local disk"
            ) from error
        yield
