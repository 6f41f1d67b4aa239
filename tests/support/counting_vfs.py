"""A layer under SQLite's encryption that counts syncs and can play a full disk.

Everything really happens on the real file system; this only looks on, or refuses a write.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import apsw
import pytest

_NAME = "looked-at"


class Disk:
    """What happened to files, by name; `is_full` refuses every write that would make a file grow."""

    def __init__(self) -> None:
        self.syncs: Counter[str] = Counter()
        self.is_full = False


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(filename or "temporary").name
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        self._disk.syncs[self._name] += 1
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:
        if self._disk.is_full and offset + len(data) > self.xFileSize():
            raise apsw.FullError("a test says so")
        super().xWrite(data, offset)


class _Vfs(apsw.VFS):
    def __init__(self) -> None:
        self.disk = Disk()
        super().__init__(_NAME, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self.disk, name, flags)


@cache
def _vfs() -> _Vfs:
    """Registered once and never taken away: the encrypting layer above keeps pointing at it."""
    vfs = _Vfs()
    # That layer is made when it is asked for by name, in a URI.
    flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    apsw.Connection(f"file::memory:?vfs=multipleciphers-{_NAME}", flags=flags).close()
    return vfs


class _Connection(apsw.Connection):
    """Opens through the encryption that sits on the layer above."""

    def __init__(self, path: str) -> None:
        super().__init__(path, vfs=f"multipleciphers-{_NAME}")


@contextmanager
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Every store opened inside lies on the disk that is yielded; close them inside, too."""
    vfs = _vfs()
    vfs.disk = Disk()
    with monkeypatch.context() as patch:
        patch.setattr(apsw, "Connection", _Connection)
        yield vfs.disk
