"""A store that is older than it was: told, counted, and no sequence is given twice."""

import asyncio
import json
import shutil
import time
from pathlib import Path

import apsw
import pytest

from relay.store import life, sqlite
from relay.store.base import NewFrame, PutResult, StoreUnusableError
from relay.store.life import Break
from relay.store.mark import LARGEST, MarkError, mark_path, read_mark
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, NOW, Account
from tests.relay.engines import frames, registered
from tests.relay.killed_putter import killed_putter


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MARK_EVERY", 0.01)


async def noted(path: Path, store: SqliteStore) -> None:
    """Until the mark says what is stored."""
    async with asyncio.timeout(10):
        while (mark := read_mark(mark_path(path))) is None or mark.frames < store._mark.frames:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def put(store: SqliteStore, account: Account, content: list[NewFrame]) -> list[int]:
    """Their sequences."""
    key = account.device.key
    assert set(await store.put(key, content, NOW, HELD)) == {PutResult.STORED}
    ids = {frame.frame_id for frame in content}
    return [frame.sequence for frame in await store.pull(key, 0, 999, 1 << 30) if frame.frame_id in ids]


async def crashed_without_its_log(here: Path, there: Path, before: int, after: int) -> tuple[Account, int]:
    """Leave in `there` what is left after a crash and the loss of a -wal file with `after` frames in it."""
    here.mkdir()
    path = here / "relay.db"
    store = SqliteStore.open(path)
    account = await registered(store)
    await put(store, account, frames(before))
    await store.close()
    store = SqliteStore.open(path)
    (*_, last) = await put(store, account, frames(after))
    await noted(path, store)
    there.mkdir()
    for name in ("relay.db", "relay.mark"):
        shutil.copy(here / name, there / name)
    await store.close()
    return account, last


async def test_a_lost_log_is_told_and_counted(tmp_path: Path) -> None:
    account, last = await crashed_without_its_log(tmp_path / "a", tmp_path / "b", 3, 5)
    said: list[str] = []
    store = SqliteStore.open(tmp_path / "b" / "relay.db", log=lambda event, reason: said.append(reason))
    assert store.missing is not None
    assert (store.missing.why, store.missing.commits, store.missing.frames) == (Break.OLDER, 1, 5)
    (line,) = said
    assert "5 accepted frames" in line
    assert f"made between {life._moment(store.missing.since)} and" in line
    assert min(await put(store, account, frames(2))) > last
    await store.close()
    # Once is enough.
    store = SqliteStore.open(tmp_path / "b" / "relay.db")
    assert store.missing is None
    await store.close()


async def test_nothing_is_said_to_be_missing_after_kill_9(tmp_path: Path) -> None:
    path, account = tmp_path / "relay.db", Account()
    store = SqliteStore.open(path)
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    await store.close()
    for _ in range(3):
        accepted = killed_putter(path, account.device.key, 2000)
        store = SqliteStore.open(path)
        assert store.missing is None
        assert len(accepted) <= store._mark.frames
        await store.acknowledge(account.device.key, 1 << 60)
        await store.close()


async def test_an_older_copy_put_back_gives_no_sequence_twice(tmp_path: Path) -> None:
    path, older = tmp_path / "relay.db", tmp_path / "older"
    store = SqliteStore.open(path)
    account = await registered(store)
    await put(store, account, frames(2))
    await store.close()
    shutil.copy(path, older)
    given: list[int] = []
    for _ in range(3):
        store = SqliteStore.open(path)
        given += await put(store, account, frames(4))
        await store.close()
        shutil.copy(older, path)
    store = SqliteStore.open(path)
    given += await put(store, account, frames(4))
    stranger = await registered(store)
    assert (await put(store, stranger, frames(1)))[0] > max(given[:-4])
    await store.close()
    assert len(set(given)) == 16
    assert given == sorted(given)
    assert max(given) < 1 << 53, "not every JSON reader knows such a number"


@pytest.mark.parametrize("mark", [None, b"", b"[]", b"{}", b"7", b'{"store": "', b" " * LARGEST + b"{}"])
async def test_a_database_without_its_mark_is_taken_for_an_old_one(
    mark: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    account = await registered(store)
    (last,) = await put(store, account, frames(1))
    await store.close()
    if mark is None:
        mark_path(path).unlink()
    else:
        mark_path(path).write_bytes(mark)
        with pytest.raises(MarkError):
            read_mark(mark_path(path))
    store = SqliteStore.open(path)
    assert store.missing is not None
    assert store.missing.why is Break.UNMARKED
    assert (await put(store, account, frames(1)))[0] > last + life.SEQUENCES_A_SECOND
    await store.close()


async def test_another_database_in_its_place_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = SqliteStore.open(tmp_path / name / "relay.db")
        await registered(store)
        await store.close()
    shutil.copy(tmp_path / "a" / "relay.db", tmp_path / "b" / "relay.db")
    store = SqliteStore.open(tmp_path / "b" / "relay.db")
    assert store.missing is not None
    assert store.missing.why is Break.OTHER
    await store.close()


async def test_a_missing_database_is_not_begun_anew_where_a_relay_ran(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    await store.close()
    path.unlink()
    with pytest.raises(StoreUnusableError, match=r"relay restore.*relay\.mark"):
        SqliteStore.open(path)
    assert not path.exists()


async def test_a_clock_that_went_back_gives_no_sequence_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, older = tmp_path / "relay.db", tmp_path / "older"
    store = SqliteStore.open(path)
    account = await registered(store)
    await store.close()
    shutil.copy(path, older)
    given: list[int] = []
    for now in (2_000_000_000, 1_900_000_000, 1_000_000_000, 0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        store = SqliteStore.open(path)
        given += await put(store, account, frames(3))
        await store.close()
        shutil.copy(older, path)
    assert given == sorted(set(given))


async def test_the_mark_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store = SqliteStore.open(path)
    account = await registered(store)
    await put(store, account, frames(3))
    await store.close()
    text = mark_path(path).read_text()
    told = json.loads(text)
    assert set(told) == {"store", "commits", "frames", "base", "at"}
    assert told["frames"] == 3
    connection = apsw.Connection(str(path))
    assert told["store"] == bytes(connection.execute("SELECT store_id FROM life").get).hex()
    connection.close()
    assert account.device.key.hex() not in text
