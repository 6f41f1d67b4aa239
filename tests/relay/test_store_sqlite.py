"""What only a file can break: kill -9, a full disk, a damaged or foreign database, a commit without fsync."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import cast

import apsw
import pytest

from clients.audit.proving.tripwires import program
from relay.store import schema, tables
from relay.store.base import Condition, NewFrame, PutResult, Quota, StoreUnusableError
from relay.store.room import CHANGE
from relay.store.sqlite import SqliteStore
from relay.store.writer import BATCH_BYTES, WAITING_BYTES, Writer
from tests.relay.devices import ALLOWED, HELD, NOW, Account, Device, envelope
from wire.errors import ErrorCode, WireError

# Puts for ever and prints each id once the store says that it is durable.
PUTTER = """
import asyncio, os, sys
from pathlib import Path
from relay.store.base import Condition, NewFrame, PutResult
from relay.store.sqlite import SqliteStore

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    mailbox, token_hash = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
    async def one():
        while True:
            frames = [NewFrame(os.urandom(16), b"\\x01" + bytes(1023)) for _ in range(3)]
            results = await store.put(mailbox, frames, 1, token_hash)
            assert set(results) == {PutResult.STORED}
            os.write(1, b"".join(frame.frame_id.hex().encode() + b"\\n" for frame in frames))
    await asyncio.gather(*(one() for _ in range(8)))

asyncio.run(main())
"""


class CountingFile(apsw.VFSFile):
    synced: list[str] = []  # noqa: RUF012 - shared on purpose

    def __init__(self, inherit: str, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        super().__init__(inherit, name, flags)
        self._wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)

    def xSync(self, flags: int) -> None:
        if self._wal:
            self.synced.append("wal")
        super().xSync(flags)


class CountingVFS(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("counting", "")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:
        return CountingFile("", name, flags)


@pytest.fixture
def counting() -> Iterator[list[str]]:
    vfs = CountingVFS()
    CountingFile.synced.clear()
    yield CountingFile.synced
    vfs.unregister()


def new_frame(size: int = 1024) -> NewFrame:
    return NewFrame(os.urandom(16), envelope(size))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "relay.db")
    yield store
    await store.close()


async def test_every_answer_follows_an_fsync_of_the_log(tmp_path: Path, counting: list[str]) -> None:
    path = tmp_path / "relay.db"
    await SqliteStore.open(path).close()
    store = SqliteStore.open(path, vfs="counting")
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    await store.publish(account.device.key, [*account.device.lasting(), *account.device.one_time(1, 9)])
    for _ in range(5):
        before = len(counting)
        await store.put(account.device.key, [new_frame()], NOW, HELD)
        assert len(counting) > before, "accepted without an fsync"
        before = len(counting)
        await store.fetch(account.key, take=True)
        assert len(counting) > before, "a one-time prekey was handed out without an fsync"
    await store.close()


async def test_what_waits_together_shares_one_fsync(tmp_path: Path, counting: list[str]) -> None:
    path = tmp_path / "relay.db"
    await SqliteStore.open(path).close()
    store = SqliteStore.open(path, vfs="counting")
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    before = len(counting)
    await asyncio.gather(*(store.put(account.device.key, [new_frame()], NOW, HELD) for _ in range(500)))
    assert len(counting) - before < 100
    await store.close()


def killed_putter(path: Path, mailbox: bytes, after: int) -> list[bytes]:
    """Every id that a process printed which was killed after it had printed `after` of them."""
    child = subprocess.Popen(
        [*program(then=PUTTER), str(path), mailbox.hex(), HELD.hex()], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(after)]
    child.send_signal(signal.SIGKILL)
    acknowledged += [line for line in child.stdout.read().split(b"\n") if len(line) == 32]
    child.stdout.close()
    child.wait()
    return acknowledged


@pytest.mark.parametrize("after", [1, 50, 400, 1500])
async def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path, after: int) -> None:
    path = tmp_path / "relay.db"
    account = Account()
    store = SqliteStore.open(path)
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    await store.close()
    acknowledged = killed_putter(path, account.device.key, after)
    store = SqliteStore.open(path)
    held = {
        frame.frame_id.hex().encode() for frame in await store.pull(account.device.key, 0, 10**6, 1 << 40)
    }
    assert len(acknowledged) >= after
    assert [frame_id for frame_id in acknowledged if frame_id not in held] == []
    # And the next sequence is above every one that was ever given.
    await store.put(account.device.key, [last := new_frame()], NOW, HELD)
    sequences = [frame.sequence for frame in await store.pull(account.device.key, 0, 10**6, 1 << 40)]
    assert sequences == sorted(set(sequences))
    assert (await store.pull(account.device.key, 0, 10**6, 1 << 40))[-1].frame_id == last.frame_id
    await store.close()


async def test_a_full_disk_is_said_and_recovered_from(store: SqliteStore) -> None:
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    limit = await store._writer.submit(
        lambda connection: connection.pragma("max_page_count", int(connection.pragma("page_count")) + 40)
    )
    stored: list[bytes] = []

    async def fill() -> None:
        while True:
            frame = new_frame(4096)
            await store.put(account.device.key, [frame], NOW, HELD)
            stored.append(frame.frame_id)

    with pytest.raises(WireError) as raised:
        await fill()
    assert raised.value.code is ErrorCode.STORAGE_FULL
    assert stored
    held = [frame.frame_id for frame in await store.pull(account.device.key, 0, 1000, 1 << 30)]
    assert held == stored
    # A mixed batch: whoever needs no new page is served.
    results = await asyncio.gather(
        store.put(account.device.key, [new_frame(65_536)], NOW, HELD),
        store.put(account.device.key, [NewFrame(stored[0], envelope())], NOW, HELD),
        return_exceptions=True,
    )
    assert isinstance(results[0], WireError)
    assert results[1] == [PutResult.DUPLICATE]
    assert isinstance(limit, int)
    await store._writer.submit(lambda connection: connection.pragma("max_page_count", limit + 10_000))
    assert await store.put(account.device.key, [new_frame(65_536)], NOW, HELD) == [PutResult.STORED]


async def test_a_disk_with_no_room_for_an_envelope_is_not_ready(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await store.condition() is Condition.READY
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert await store.condition() is Condition.FULL


async def test_one_broken_operation_does_not_spoil_the_batch(store: SqliteStore) -> None:
    account = Account()
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)

    def broken(connection: apsw.Connection) -> None:
        connection.execute("UPDATE mailboxes SET next_sequence = 99")
        raise KeyError("a defect of ours")

    results = await asyncio.gather(
        store.put(account.device.key, [new_frame()], NOW, HELD),
        store._writer.submit(broken),
        store.put(account.device.key, [new_frame()], NOW, HELD),
        return_exceptions=True,
    )
    assert results[0] == results[2] == [PutResult.STORED]
    assert isinstance(results[1], WireError)
    assert results[1].code is ErrorCode.INTERNAL
    assert "defect" not in str(results[1])
    assert [f.sequence for f in await store.pull(account.device.key, 0, 10, 1 << 20)] == [1, 2]


async def together(store: SqliteStore, *operations: Coroutine[object, object, object]) -> list[object]:
    """Results of operations that wait for the writer at the same time."""
    taken, released = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        taken.set()
        released.wait(10)

    first = asyncio.create_task(store._writer.submit(hold))
    assert await asyncio.to_thread(taken.wait, 10)  # else some of the others would share its commit
    waiting = [asyncio.create_task(operation) for operation in operations]
    async with asyncio.timeout(10):
        while store._writer.waiting < len(operations):  # noqa: ASYNC110 each takes its turn of the loop
            await asyncio.sleep(0)
    released.set()
    await first
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_defect_in_one_operation_costs_the_others_no_commit_of_their_own(store: SqliteStore) -> None:
    logged: list[tuple[str, str]] = []
    store._writer._log = lambda *line: logged.append(line)
    before = store._writer.commits
    operations: list[Coroutine[object, object, object]] = [
        store.register(Account().list()) for _ in range(20)
    ]
    # What does not fit a column stands for any defect: no decoder lets it in.
    operations.insert(10, store._writer.submit(lambda c: c.execute("SELECT ?", (2**63,)).get))
    results = await together(store, *operations)
    refused = results.pop(10)
    assert results == [()] * 20
    assert isinstance(refused, WireError)
    assert refused.code is ErrorCode.INTERNAL
    assert store._writer.commits - before == 1
    assert logged == [("write failed", "OverflowError")]


async def test_a_batch_is_bounded_by_the_pages_that_its_changes_touch(store: SqliteStore) -> None:
    before = store._writer.commits
    await together(store, *(store.register(Account().list()) for _ in range(300)))
    assert store._writer.commits - before >= 300 * CHANGE // (BATCH_BYTES // 2)


LEFT = 1024 * 1024  # bytes: much less than is kept for deletions, and not nothing


async def test_what_is_kept_for_deletions_is_kept_from_all_that_adds(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(devices=[Device(), Device()])
    first, (kept, dropped) = account.list(), account.devices
    await store.register(first)
    await store.publish(kept.key, [*kept.lasting(), *kept.one_time(1, 2)])
    for device in (kept, dropped):
        await store.allow(device.key, ALLOWED)
        await store.put(device.key, [new_frame() for _ in range(4)], NOW, HELD)
    account.devices = [kept]
    await store.register(account.successor(first))
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=LEFT))
    adding = (
        lambda: store.put(kept.key, [new_frame()], NOW, HELD),
        lambda: store.register(Account().list()),
        lambda: store.publish(kept.key, kept.one_time(3, 20)),
        lambda: store.allow(kept.key, ALLOWED),
        lambda: store.keep_checkpoint(kept.key, b"checkpoint"),
    )
    for add in adding:
        with pytest.raises(WireError) as raised:
            await add()
        assert raised.value.code is ErrorCode.STORAGE_FULL
    # And what makes room goes on.
    assert await store.acknowledge(kept.key, 2) == 2
    assert await store.expire(NOW + 1, 1) == 1
    assert await store.clear(100)
    assert await store.forget(2**40, 10) == 1
    offer = await store.fetch(account.key, take=True)
    assert offer is not None
    assert offer.devices[0].one_time is not None
    assert await store.prune(NOW) == 0


async def test_after_a_failed_fsync_nothing_is_promised_any_more(tmp_path: Path) -> None:
    logged: list[tuple[str, str]] = []
    writer = Writer(schema.open_writer(tmp_path / "relay.db")[0], lambda *line: logged.append(line))

    def failing(connection: apsw.Connection) -> None:
        raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)

    for operation in (failing, lambda connection: None):
        with pytest.raises(WireError) as raised:
            await writer.submit(operation)
        assert raised.value.code is ErrorCode.INTERNAL
    assert writer.stopped is Condition.FAILED
    assert [event for event, _ in logged] == ["nothing is written any more", "write failed"]
    await asyncio.to_thread(writer.close)


class FailingSync:
    """A connection whose COMMIT fails once as a failed fsync does; a second try would succeed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.commits = 0
        self.fails_at = 0

    def execute(self, statement: str, *bindings: object) -> object:
        if statement == "COMMIT":
            self.commits += 1
            if self.commits == self.fails_at:
                raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        return self._connection.execute(statement, *bindings)  # type: ignore[arg-type]  # passed on as given

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


@pytest.mark.parametrize("together", [1, 2, 7])
async def test_a_commit_whose_fsync_failed_promises_nothing_to_any_of_its_operations(
    tmp_path: Path, together: int
) -> None:
    connection = FailingSync(schema.open_writer(tmp_path / "relay.db")[0])
    writer = Writer(cast(apsw.Connection, connection), lambda event, reason: None)
    started, gate = threading.Event(), threading.Event()

    def holding(_: apsw.Connection) -> None:
        started.set()
        gate.wait(10)

    first = asyncio.create_task(writer.submit(holding))
    await asyncio.to_thread(started.wait, 10)
    connection.fails_at = 2
    others = [asyncio.create_task(writer.submit(lambda _: "stored")) for _ in range(together)]
    await asyncio.sleep(0)  # all of them wait now, and share the commit after the first
    gate.set()
    await first
    outcomes = await asyncio.gather(*others, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [WireError] * together
    assert writer.stopped is Condition.FAILED
    assert connection.commits == 2, "tried again after a failed fsync"
    await asyncio.to_thread(writer.close)


async def test_more_than_memory_is_given_to_is_refused_at_once(store: SqliteStore) -> None:
    with pytest.raises(WireError) as raised:
        await store._writer.submit(lambda connection: None, WAITING_BYTES + 1)
    assert raised.value.code is ErrorCode.RATE_LIMITED


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
