"""What would spoil an audit at its end, said before anything is begun.

Owns the sentences. Knows nothing of how an audit goes.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from clients.errors import StorageError, UsageError

ROOM: Final = 1_000_000_000  # bytes: 0.8 GB were captured from a relay of its own
NEWCOMERS: Final = 2  # accounts that an audit of somebody else's relay makes


def check_files(file: Path) -> None:
    """Whether a report and its page can be written there. Raises UsageError, StorageError."""
    if file.suffix == ".html":
        raise UsageError(
            "The page beside the report ends in .html. Give the report another name, such as audit.json."
        )
    if not file.parent.is_dir():
        raise StorageError(f"There is no directory {file.parent} for the report: make it first.")
    if not os.access(file.parent, os.W_OK):
        raise StorageError(f"The directory {file.parent} may not be written: name another file with -o.")


def check_room(directory: Path) -> None:
    """Whether all that is captured finds room. Raises StorageError."""
    if (free := shutil.disk_usage(directory).free) < ROOM:
        raise StorageError(
            f"An audit keeps about {ROOM / 1e9:.1f} GB while it runs, and where {directory} is, "
            f"{free / 1e9:.1f} GB are free: make room, or name another place with --keep or TMPDIR."
        )


def check_registration(said: Mapping[str, Any], url: str, invites: int) -> None:
    """Whether a relay that says this of itself lets two new accounts in. Raises UsageError."""
    match said.get("registration"):
        case "invite" if invites < NEWCOMERS:
            raise UsageError(
                f"{url} wants an invite of each new account, and two are made: give --invite WORD twice "
                "(the operator makes them with: blindpost relay invite --count 2)."
            )
        case "allow-list":
            raise UsageError(
                f"{url} registers only accounts of a list, and an audit makes two new ones: let its operator "
                "run it with --registration invite meanwhile."
            )
