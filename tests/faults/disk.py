"""A layer under SQLite in a child process: it looks on, or keeps back what was not synced.

Owns the layer's registration and the files it opened. A process that is killed loses nothing of what it
wrote, because the kernel has it; the machine that loses power does. `lose_unsynced` plays that: what was
written is kept in the process until the sync, and a kill forgets it. Works under encrypted databases too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw

_NAME: Final = "bad-disk"
Strike = Callable[[], None]


class _Unsynced:
    """What was written to one file and not synced yet; shared by all who have it open."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, bytes]] = []
        self.size: int | None = None  # of the file as its users see it, None while that is the real one

    def overlay(self, data: bytearray, offset: int) -> None:
        """Put what waits over what was read."""
        end = offset + len(data)
        for at, written in self.writes:
            first, last = max(at, offset), min(at + len(written), end)
            if first < last:
                data[first - offset : last - offset] = written[first - at : last - at]


class _File(apsw.VFSFile):
    def __init__(self, vfs: "_Vfs", name: Any, flags: list[int]) -> None:
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        path = Path(filename or "temporary")
        self._vfs = vfs
        self._is_wal = path.name.endswith("-wal")
        self._is_database = bool(filename) and not path.name.endswith(("-wal", "-journal"))
        self._unsynced = vfs.unsynced.setdefault(str(path), _Unsynced()) if vfs.loses and filename else None
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        if self._is_wal:
            self._vfs.on("sync")
        waits = self._unsynced
        if waits is not None and waits.size is not None:
            for offset, data in waits.writes:
                super().xWrite(data, offset)
            super().xTruncate(waits.size)
            waits.writes, waits.size = [], None
        super().xSync(flags)

    def xWrite(self, data: Any, offset: int) -> None:
        if self._is_database:
            self._vfs.on("checkpoint")
        waits = self._unsynced
        if waits is None:
            super().xWrite(data, offset)
            return
        waits.size = max(self.xFileSize(), offset + len(data))
        waits.writes.append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        waits = self._unsynced
        if waits is None:
            super().xTruncate(size)
            return
        self.xFileSize()
        waits.writes = [(at, data[: max(0, size - at)]) for at, data in waits.writes if at < size]
        waits.size = size

    def xFileSize(self) -> int:
        waits = self._unsynced
        return super().xFileSize() if waits is None or waits.size is None else waits.size

    def xRead(self, amount: int, offset: int) -> bytes:
        waits = self._unsynced
        if waits is None or waits.size is None:
            return bytes(super().xRead(amount, offset))
        length = max(0, min(amount, waits.size - offset))
        there = max(0, min(length, super().xFileSize() - offset))
        data = bytearray(super().xRead(there, offset) if there else b"")
        data += bytes(length - len(data))
        waits.overlay(data, offset)
        return bytes(data)


class _Vfs(apsw.VFS):
    def __init__(self) -> None:
        self.loses = False
        self.unsynced: dict[str, _Unsynced] = {}
        self.strikes: dict[str, list[Strike]] = {}
        super().__init__(_NAME, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, path: str, sync: bool) -> None:
        self.unsynced.pop(path, None)
        super().xDelete(path, sync)

    def on(self, event: str) -> None:
        """Something happens to a file."""
        for strike in self.strikes.get(event, ()):
            strike()


_registered: list[_Vfs] = []


def _vfs() -> _Vfs:
    """Registered once, with the encrypting layer above it; from then on all databases use it."""
    if _registered:
        return _registered[0]
    vfs = _Vfs()
    _registered.append(vfs)
    flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    apsw.Connection(f"file::memory:?vfs=multipleciphers-{_NAME}", flags=flags).close()
    real = apsw.Connection

    class Connection(real):  # type: ignore[misc, valid-type]  # a class in a variable
        def __init__(self, path: str, **options: Any) -> None:
            super().__init__(path, **{**options, "vfs": f"multipleciphers-{_NAME}"})

    apsw.Connection = Connection  # type: ignore[misc, assignment]  # that is the patch
    return vfs


def watch_disk(event: str, strike: Strike) -> None:
    """Call `strike` before a WAL is synced ("sync") or a page is written to a database ("checkpoint")."""
    _vfs().strikes.setdefault(event, []).append(strike)


def lose_unsynced() -> None:
    """From now on a kill of this process is a power cut: what was not synced is gone."""
    _vfs().loses = True
