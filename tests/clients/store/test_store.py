"""The store: encrypted, durable, all or nothing, and in sentences when something is wrong with it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from clients.errors import LockedError, StorageError
from clients.store import store as store_module
from clients.store.schema import MIGRATIONS
from clients.store.store import Store
from tests.support.counting_vfs import looked_at

KEY = bytes(range(32))
CANARY = b"CANARY-4f1d-the-quick-brown-fox"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path, KEY)
    yield store
    store.close()


def put(store: Store, value: bytes = b"value", name: str = "name") -> None:
    with store.transaction():
        store.set_meta(name, value)


def all_bytes(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()))


# --- encrypted --------------------------------------------------------------------------------------


def test_neither_database_nor_log_shows_plaintext_or_what_program_it_is_of(store: Store, path: Path) -> None:
    for number in range(200):
        put(store, CANARY * 10, f"{CANARY.decode()}-{number}")
    log = path.with_name("store.db-wal")
    assert log.stat().st_size > 0
    store.db.wal_checkpoint()
    put(store, CANARY)
    for file in (path, log):
        data = file.read_bytes()
        assert len(data) > 10_000
        for plain in (CANARY, b"SQLite format", b"CREATE TABLE", b"messages", KEY, KEY.hex().encode()):
            assert plain not in data, (file.name, plain)
    assert CANARY not in all_bytes(path.parent)


def test_the_canary_would_have_been_found(path: Path) -> None:
    plain = apsw.Connection(str(path))
    plain.execute("CREATE TABLE t (x)")
    plain.execute("INSERT INTO t VALUES (?)", (CANARY,))
    plain.close()
    assert CANARY in all_bytes(path.parent)
    assert b"SQLite format" in all_bytes(path.parent)


def test_a_wrong_key_opens_nothing_and_harms_nothing(store: Store, path: Path) -> None:
    put(store, b"kept")
    store.close()
    before = path.read_bytes()
    with pytest.raises(LockedError, match="wrong passphrase"):
        Store(path, bytes(32))
    assert path.read_bytes() == before
    again = Store(path, KEY)
    assert again.meta("name") == b"kept"
    again.close()


# --- durable ----------------------------------------------------------------------------------------


def test_every_transaction_is_synced_before_it_is_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with looked_at(monkeypatch) as disk:
        store = Store(path, KEY)
        for number in range(5):
            before = disk.syncs["store.db-wal"]
            put(store, bytes([number]))
            assert disk.syncs["store.db-wal"] == before + 1
        before = disk.syncs["store.db-wal"]
        with store.transaction():
            for number in range(50):
                put(store, bytes([number]))
        assert disk.syncs["store.db-wal"] == before + 1
        store.close()


def test_what_is_committed_survives_a_kill(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from clients.store.store import Store\n"
        "store = Store(Path(sys.argv[1]), bytes(range(32)))\n"
        "for n in range(20):\n"
        "    with store.transaction(): store.set_meta(f'n{n}', b'x')\n"
        "store.db.execute('BEGIN'); store.set_meta('half', b'x')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert ended.returncode == -signal.SIGKILL
    store = Store(path, KEY)
    assert [store.meta(f"n{number}") for number in range(20)] == [b"x"] * 20
    assert store.meta("half") is None
    store.close()


# --- all or nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_transaction_that_raises_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    def half() -> None:
        with store.transaction():
            put(store)
            raise error

    with pytest.raises(error):
        half()
    assert store.meta("name") is None
    put(store)
    assert store.meta("name") == b"value"


def test_an_inner_transaction_is_undone_with_the_outer(store: Store) -> None:
    def half() -> None:
        with store.transaction():
            put(store)
            put(store, b"other", "other")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert store.meta("name") is None
    assert store.meta("other") is None


def test_a_full_database_says_so_and_loses_nothing(store: Store) -> None:
    put(store, b"before")
    store.db.pragma("max_page_count", store.db.pragma("page_count"))
    with pytest.raises(StorageError, match=r"disk is full. Free some space .* nothing was lost"):
        put(store, bytes(100_000), "large")
    assert store.meta("large") is None
    assert store.meta("name") == b"before"
    store.db.pragma("max_page_count", 2**30)
    put(store, bytes(100_000), "large")
    assert store.meta("large") == bytes(100_000)


def test_a_full_disk_at_commit_says_so_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with looked_at(monkeypatch) as disk:
        store = Store(path, KEY)
        put(store, b"before")
        disk.is_full = True
        with pytest.raises(StorageError, match="disk is full"):
            put(store, bytes(100_000), "large")
        disk.is_full = False
        assert store.meta("large") is None
        assert store.meta("name") == b"before"
        put(store, b"after", "after")
        store.close()
        again = Store(path, KEY)
        assert (again.meta("name"), again.meta("large"), again.meta("after")) == (b"before", None, b"after")
        again.close()


# --- in sentences -----------------------------------------------------------------------------------


def damage(path: Path) -> None:
    """Spoil everything behind the first page."""
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 64):
        data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_damaged_store_is_said_to_be_damaged_also_while_reading(store: Store, path: Path) -> None:
    for number in range(100):
        put(store, bytes(1000), f"n{number}")
    store.close()
    damage(path)

    def read() -> None:
        again = Store(path, KEY)
        try:
            again.db.execute("SELECT * FROM meta").fetchall()
        finally:
            again.close()

    with pytest.raises(StorageError, match="damaged"):
        read()


@pytest.mark.parametrize("read", ["get", "fetchone", "fetchall", "iterate"])
def test_an_error_while_reading_is_a_storage_error_too(store: Store, read: str) -> None:
    put(store)

    def spoil(*_: object) -> None:
        raise apsw.CorruptError("secret")

    store.db.create_scalar_function("spoil", spoil)
    cursor = store.db.execute("SELECT 1 UNION ALL SELECT spoil()")
    cursor.fetchone()
    reads: dict[str, Callable[[], object]] = {
        "get": lambda: cursor.get,
        "iterate": lambda: list(cursor),
        "fetchone": cursor.fetchone,
        "fetchall": cursor.fetchall,
    }
    with pytest.raises(StorageError, match="damaged") as error:
        reads[read]()
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_broken_constraint_reaches_its_caller(store: Store) -> None:
    put(store)
    with pytest.raises(apsw.ConstraintError):
        store.db.execute("INSERT INTO meta VALUES ('name', x'00')")


def test_a_profile_of_a_newer_version_is_refused_and_left_alone(store: Store, path: Path) -> None:
    store.db.pragma("user_version", len(MIGRATIONS) + 1)
    store.close()
    with pytest.raises(StorageError, match=r"newer version of blindpost\. Upgrade"):
        Store(path, KEY)
    raw = apsw.Connection(str(path))
    raw.pragma("key", "raw:" + KEY.hex())
    assert raw.pragma("user_version") == len(MIGRATIONS) + 1
    raw.close()


def test_a_migration_that_fails_leaves_the_version_before(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, b"kept")
    store.close()
    monkeypatch.setattr(
        store_module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE half (x); CREATE TABLE meta (x);")
    )
    with pytest.raises(StorageError):
        Store(path, KEY)
    monkeypatch.undo()
    again = Store(path, KEY)
    assert again.meta("name") == b"kept"
    assert again.db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    again.close()


def test_a_migration_runs_once_on_a_store_of_the_version_before(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, b"kept")
    store.close()
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE next (x)"))
    for _ in range(2):
        again = Store(path, KEY)
        assert again.meta("name") == b"kept"
        assert again.db.pragma("user_version") == len(MIGRATIONS) + 1
        again.close()


def test_a_place_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="permissions of the profile directory"):
        Store(tmp_path / "nowhere" / "store.db", KEY)


def test_a_store_that_failed_to_open_is_let_go(path: Path) -> None:
    Store(path, KEY).close()
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    for _ in range(5):
        with pytest.raises(LockedError):
            Store(path, bytes(32))
    assert len(list(open_files.iterdir())) == before
