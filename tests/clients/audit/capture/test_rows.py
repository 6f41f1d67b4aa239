"""Databases are read value by value, whatever pages make of them; what cannot be read is said."""

import hashlib
import os
import zlib
from pathlib import Path

import apsw

from clients.audit.canaries.search import Canary, Search
from clients.audit.capture.rows import rows
from clients.audit.capture.sight import Sight

# What is behind it lies dozens of pages further on when compressed. A stream that a page cuts may fall into
# step again by itself and be read on (with three pages one in ten is): hence so many, and a fixed key.
NUMBERS = repr(list(range(40_000))).encode()
KEY = hashlib.sha256(b"a key").digest()


def made(path: Path) -> apsw.Connection:
    path.parent.mkdir(exist_ok=True)
    database = apsw.Connection(str(path))
    database.pragma("journal_mode", "wal")
    return database


def test_a_value_that_pages_cut_is_read_whole(tmp_path: Path) -> None:
    search = Search([Canary("a key", KEY, is_text=False)])
    database = made(tmp_path / "deep" / "any.db")
    database.execute('CREATE TABLE "a ""name" (number, "a ""column")')
    database.execute('INSERT INTO "a ""name" VALUES (7, ?)', (zlib.compress(NUMBERS + KEY),))
    for path in (tmp_path / "deep").iterdir():
        assert search.look(path.name, path.read_bytes()) == []
    sight = Sight("disk")
    ((where, data),) = rows(tmp_path, sight)
    assert where == 'disk: deep/any.db, rows of a "name'
    assert data.startswith(b"7\n")
    assert search.look(where, data)
    assert sight.unread == []
    database.close()


def test_what_is_no_text_and_what_is_nothing_are_read(tmp_path: Path) -> None:
    database = made(tmp_path / "any.db")
    database.execute("CREATE TABLE t (a TEXT, b)")
    database.execute("INSERT INTO t VALUES (CAST(x'ff00' AS TEXT), NULL), ('text', 1.5)")
    (tmp_path / "other").write_bytes(b"no database")
    assert [data for _, data in rows(tmp_path, Sight("disk"))] == [b"\xff\x00\n\ntext\n1.5\n"]
    database.close()


def test_a_damaged_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "any.db").write_bytes(b"SQLite format 3\0" + os.urandom(8000))
    sight = Sight("disk")
    assert list(rows(tmp_path, sight)) == []
    (said,) = sight.unread
    assert said.startswith(str(tmp_path / "any.db"))
