"""The rows of SQLite databases, value by value.

Owns reading any such database below a directory beside its owner. A page cuts a long value in pieces, which a
search of the file's bytes meets one by one: what is compressed is found whole or not at all. Knows no table.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from clients.audit.capture.sight import PIECE, Sight

_HEADER: Final = b"SQLite format 3\0"
_BUSY: Final = 5000  # milliseconds


class _AsNamed(apsw.VFS):
    """Opens a file by the name it is given: SQLite itself would follow /proc/PID/root to our own root."""

    NAME: Final = "blindpost-audit"

    def __init__(self) -> None:
        super().__init__(self.NAME, "")

    def xFullPathname(self, name: str) -> str:
        """The same."""
        return name


_VFS: Final = _AsNamed()  # it is registered for as long as it lives


def rows(directory: Path, sight: Sight) -> Iterator[tuple[str, bytes]]:
    """All values of each table of each database below a directory, a table at a time, in pieces."""
    for folder, _, names in os.walk(directory):
        for path in (Path(folder, name) for name in sorted(names)):
            try:
                with path.open("rb") as opened:
                    is_database = opened.read(len(_HEADER)) == _HEADER
                if is_database:
                    yield from _tables(path, str(path.relative_to(directory)), sight)
            except FileNotFoundError:
                continue  # removed meanwhile
            except OSError as error:
                sight.unread.append(f"{path}: {error.strerror}")
            except apsw.Error as error:
                sight.unread.append(f"{path}: its rows cannot be read ({type(error).__name__})")


def _tables(path: Path, name: str, sight: Sight) -> Iterator[tuple[str, bytes]]:
    readable = apsw.Connection(str(path.absolute()), flags=apsw.SQLITE_OPEN_READONLY, vfs=_VFS.NAME)
    with contextlib.closing(readable) as database:
        database.set_busy_timeout(_BUSY)
        tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        for (table,) in database.execute(tables).fetchall():
            for data in _pieces(database, str(table)):
                sight.bytes_read += len(data)
                yield f"{sight.source}: {name}, rows of {table}", data


def _pieces(database: apsw.Connection, table: str) -> Iterator[bytes]:
    columns = database.execute("SELECT name FROM pragma_table_info(?)", (table,))
    # As bytes, whatever they are: a text that is none would be an error.
    values = ", ".join(f"CAST({_quoted(str(column))} AS BLOB)" for (column,) in columns)
    piece = bytearray()
    for row in database.execute(f"SELECT {values} FROM {_quoted(table)}"):  # noqa: S608 quoted names of its own
        for value in row:
            piece += (value or b"") + b"\n"
        if len(piece) > PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
