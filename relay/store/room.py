"""Whether the disk has room for more.

Owns the reserve. Whatever adds rows is refused before the disk is full, frames, prekeys and accounts alike:
to delete what was acknowledged takes room, too, and a store that cannot delete would never have room again by
itself.
"""

import shutil
from pathlib import Path
from typing import Final

import apsw

IN_WAL: Final = 16 * 1024 * 1024  # bytes: the writer's largest batch, and deletions behind it
RESERVE: Final = 2 * IN_WAL  # and the same in the database, once it is checkpointed
# What a change of an account or a device counts for beside its own bytes, towards the size of a batch: pages
# are written whole, and it touches several.
CHANGE: Final = 8 * 1024


def has_room(connection: apsw.Connection, directory: Path) -> bool:
    """Whether rows may be added: by the disk that `directory` is on, or by pages that deletions left free."""
    free = shutil.disk_usage(directory).free
    if free >= RESERVE:
        return True
    pages = int(connection.pragma("freelist_count")) * int(connection.pragma("page_size"))
    return free >= IN_WAL and free + pages >= RESERVE
