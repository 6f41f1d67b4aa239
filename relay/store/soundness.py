"""Whether the database's structure is whole: as much as a start has time for at once, the rest while it
serves.

Owns the two checks. A store of some hundred MB is checked whole before anything is served; of a larger one
the small tables are, and the frames, which take longer to read than anybody should wait, are checked behind
the relay's back. Indexes are compared with their tables: what an index does not find any more is lost without
a word. Knows no table but by name, and changes nothing.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from relay.store.writer import DAMAGE
from wire.errors import WireError

LAST: Final = 19  # the niceness of whoever waits for all others
CHECK_FOR: Final = 1.5  # seconds of a start
STEPS: Final = 500  # pages between two looks at the clock
# All but frames: they are small, and a relay without one of them could not say who is who.
SMALL_TABLES: Final = ("accounts", "mailboxes", "prekeys")


def _is_sound(connection: apsw.Connection, check: str) -> bool:
    try:
        return bool(connection.pragma(*check.split("=")) == "ok")
    except DAMAGE:
        return False


def _in_time(connection: apsw.Connection, check: str, seconds: float) -> bool | None:
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
    try:
        return _is_sound(connection, check)
    except apsw.InterruptError:
        return None
    finally:
        connection.set_progress_handler(None)


def check(connection: apsw.Connection, seconds: float = CHECK_FOR) -> bool | None:
    """Whether the database is sound; None when time ran out over the frames, and all before them is."""
    if not all(_is_sound(connection, f"integrity_check={table}") for table in SMALL_TABLES):
        return False
    return _in_time(connection, "quick_check", seconds)


def check_indexes(connection: apsw.Connection, seconds: float = CHECK_FOR) -> bool | None:
    """Whether all indexes say what a sound database's tables say; None when time ran out."""
    return _in_time(connection, "integrity_check", seconds)


class Inspection:
    """A check of the whole file in a thread of its own, in which `on_damage` or `mend` is called."""

    def __init__(
        self,
        path: Path,
        on_damage: Callable[[], None],
        mend: Callable[[], None],
        log: Callable[[str, str], None],
    ) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._connection.pragma("query_only", "ON")
        self._on_damage = on_damage
        self._mend = mend
        self._log = log
        self._thread = threading.Thread(target=self._run, name="relay-inspection", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # It takes what others leave of a core: in its own time, where the system lets single threads do so.
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)
        try:
            if not _is_sound(self._connection, "quick_check"):
                self._on_damage()
            elif not _is_sound(self._connection, "integrity_check"):
                self._log("the database's indexes are made anew", "they do not say what its tables say")
                self._mend()
        except apsw.InterruptError:
            return
        except (apsw.Error, WireError) as error:
            self._log("the database could not be checked", type(error).__name__)

    def close(self) -> None:
        """End it, done or not. Blocks for a moment."""
        self._connection.interrupt()
        self._thread.join()
        self._connection.close()
