"""The file itself: whose it is, one that is damaged or foreign, how it comes to be, and who may write it."""

import os
import stat
from pathlib import Path

import apsw
import pytest

from relay.store import schema, tables
from relay.store.base import Quota, StoreUnusableError
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, NOW, Account
from tests.relay.engines import new_frame


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "relay.db")
    await store.register(Account().list())
    assert modes_in(tmp_path) == dict.fromkeys(
        ("relay.db", "relay.db-shm", "relay.db-wal", "relay.mark"), 0o600
    )
    await store.close()


def damage(path: Path, how: str) -> None:
    if how == "garbage":
        path.write_bytes(os.urandom(8192))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "middle overwritten":
        content = bytearray(path.read_bytes())
        content[8192:40_000] = os.urandom(40_000 - 8192)
        path.write_bytes(content)
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:20_000])
    elif how == "newer":
        connection = apsw.Connection(str(path))
        connection.pragma("user_version", len(schema.MIGRATIONS) + 1)
        connection.close()
    elif how == "another program's":
        connection = apsw.Connection(str(path))
        connection.pragma("application_id", 7)
        connection.close()
    elif how == "gone, its log is not":
        path.with_name(path.name + "-wal").write_bytes(b"frames")
        path.unlink()


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("garbage", "damaged"),
        ("empty", "empty"),
        ("middle overwritten", "damaged"),
        ("cut short", "damaged"),
        ("newer", "newer version"),
        ("another program's", "not a blindpost relay database"),
        ("gone, its log is not", "missing"),
    ],
)
async def test_a_file_that_is_not_sound_is_refused_and_left_alone(
    tmp_path: Path, how: str, word: str
) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    await store.put(account.device.key, [new_frame(16_384)], NOW, HELD)
    await store.close()
    damage(path, how)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreUnusableError, match=word) as raised:
        SqliteStore.open(path)
    assert "\n" not in str(raised.value)
    assert (path.read_bytes() if path.exists() else None) == before


async def test_each_version_is_migrated_to_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    await store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (id INTEGER)"))
    store = SqliteStore.open(path)
    assert (await store.status(account.device.key)).registered
    await store.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(schema.MIGRATIONS)
    assert connection.execute("SELECT count(*) FROM later").get == 0
    connection.close()


def test_a_crash_while_creating_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"

    def crash(connection: apsw.Connection) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(schema, "_migrate", crash)
        with pytest.raises(KeyboardInterrupt):
            schema.open_writer(path)
    assert not path.exists()
    schema.open_writer(path)[0].close()


def test_the_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    schema.open_writer(path)[0].close()
    reader = schema.open_reader(path)
    with pytest.raises(apsw.ReadOnlyError):
        tables.register(reader, Account().list())
    reader.close()


def test_the_default_quota_is_the_published_one() -> None:
    assert Quota() == Quota(10_000, 64 * 1024 * 1024)
