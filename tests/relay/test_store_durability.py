"""What was answered is on the disk: after kill -9, and never after an fsync that failed."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import apsw
import pytest

from relay.store import schema
from relay.store.base import Condition
from relay.store.sqlite import SqliteStore
from relay.store.writer import Writer
from tests.relay.devices import ALLOWED, HELD, NOW, Account
from tests.relay.engines import new_frame
from tests.relay.killed_putter import killed_putter
from wire.errors import ErrorCode, WireError


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
