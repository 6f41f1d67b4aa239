"""Frames that decayed on the disk, and a structure that did: told, and nothing is lost behind them."""

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from relay.mailboxes import Mailboxes
from relay.metrics import Drop, Metrics
from relay.store import schema, soundness
from relay.store.base import Condition, NewFrame, PutResult, Quota, StoreUnusableError
from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW, Account
from tests.relay.engines import frames, pulled, registered
from tests.relay.peers import dial, logged_in
from tests.relay.web import get
from tests.support.full_store import fill
from tests.support.relay_process import RelayProcess
from wire import control
from wire.errors import CloseCode, ErrorCode, WireError

COUNT = 6


@pytest.fixture
async def account(tmp_path: Path) -> Account:
    store = SqliteStore.open(tmp_path / "relay.db")
    account = await registered(store)
    await store.close()
    return account


async def filled(path: Path, account: Account, content: list[NewFrame]) -> None:
    store = SqliteStore.open(path)
    assert await store.put(account.device.key, content, NOW, HELD) == [PutResult.STORED] * len(content)
    await store.close()


def flip(path: Path, needle: bytes, offset: int) -> None:
    """Flip one bit of the file, `offset` bytes into the only place where `needle` stands."""
    content = bytearray(path.read_bytes())
    assert content.count(needle) == 1
    content[content.index(needle) + offset] ^= 0x10
    path.write_bytes(content)


def in_row(frame: NewFrame) -> bytes:
    """How a row begins, which its indexes do not repeat."""
    return frame.frame_id + NOW.to_bytes(4, "big") + frame.envelope[:64]


def by_statement(statement: str) -> Callable[[Path, NewFrame], None]:
    def change(path: Path, frame: NewFrame) -> None:
        connection = apsw.Connection(str(path))
        connection.execute(statement, {"id": frame.frame_id})
        assert connection.changes() > 0
        connection.close()

    return change


DECAYS = {
    "envelope": lambda path, frame: flip(path, in_row(frame), 20 + 40),
    "time": lambda path, frame: flip(path, in_row(frame), 16),
    "frame id": lambda path, frame: flip(path, in_row(frame), 3),
    "another's envelope": by_statement(
        "UPDATE frames SET envelope = (SELECT envelope FROM frames WHERE sequence = 6) WHERE frame_id = :id"
    ),
    "another's place": by_statement("UPDATE frames SET sequence = sequence + 100 WHERE frame_id = :id"),
    "no bytes": by_statement("UPDATE frames SET envelope = 7 WHERE frame_id = :id"),
    "an impossible time": by_statement("UPDATE frames SET stored_at = -1 WHERE frame_id = :id"),
}


@pytest.mark.parametrize("what", DECAYS)
async def test_a_frame_that_decayed_is_dropped_and_those_behind_it_are_delivered(
    what: str, tmp_path: Path, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    path, key, content = tmp_path / "relay.db", account.device.key, frames(COUNT)
    await filled(path, account, content)
    DECAYS[what](path, content[2])
    store, metrics = SqliteStore.open(path, Quota(COUNT, 1 << 20)), Metrics()
    with caplog.at_level(logging.DEBUG):
        # One at a time: the place of the damaged one alone would be an empty answer.
        mailboxes, got, after = Mailboxes(store, metrics), list[bytes](), 0
        while batch := await mailboxes.pull(key, after, 1, 1 << 20):
            got.append(batch[0].envelope)
            after = batch[0].sequence
    good = [frame.envelope for frame in content if frame is not content[2]]
    assert got == good
    assert metrics.registry.get_sample_value("blindpost_dropped_total", {"reason": Drop.DAMAGED}) == 1
    assert "damaged on the disk" in caplog.text
    assert key.hex() not in caplog.text
    assert (await store.status(key)).expired == 1
    await store.close()
    # For good, and its room is free again.
    store = SqliteStore.open(path, Quota(COUNT, 1 << 20))
    assert [envelope for _, envelope in await pulled(store, account.device)] == good
    assert await store.put(key, frames(2), NOW, HELD) == [PutResult.STORED, PutResult.QUOTA]
    assert await store.acknowledge(key, 1 << 50) == COUNT
    assert await store.put(key, frames(COUNT), NOW, HELD) == [PutResult.STORED] * COUNT
    await store.close()


async def test_a_good_frame_is_not_discarded_whoever_asks(tmp_path: Path, account: Account) -> None:
    path, key = tmp_path / "relay.db", account.device.key
    await filled(path, account, frames(3))
    store = SqliteStore.open(path)
    assert await store.discard(key, [1, 2, 3, 4]) == 0
    assert len(await pulled(store, account.device)) == 3
    await store.close()


@pytest.fixture
async def half_read(tmp_path: Path, account: Account) -> AsyncIterator[SqliteStore]:
    """A store whose frames became noise after its start."""
    path = tmp_path / "relay.db"
    await filled(path, account, frames(200))
    store = SqliteStore.open(path)
    with path.open("r+b") as file:
        file.seek(200_000)
        file.write(bytes([0xA5]) * 200_000)
    yield store
    await store.close()


async def test_damage_that_is_met_while_serving_stops_all_writes(
    half_read: SqliteStore, account: Account
) -> None:
    key = account.device.key
    with pytest.raises(WireError) as raised:
        await half_read.pull(key, 0, 256, 1 << 20)
    assert raised.value.code is ErrorCode.INTERNAL
    assert await half_read.condition() is Condition.DAMAGED
    for write in (half_read.put(key, frames(1), NOW, HELD), half_read.acknowledge(key, 500)):
        with pytest.raises(WireError, match="restore"):
            await write


def cut_through(path: Path, at: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([0xA5]) * length)


async def test_a_check_that_runs_out_of_time_goes_on_while_the_relay_serves(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = tmp_path / "relay.db", list[str]()
    await filled(path, account, frames(200))
    monkeypatch.setattr(soundness, "STEPS", 1)
    connection = apsw.Connection(str(path))
    assert soundness.check(connection, 60) is True
    assert soundness.check(connection, -1) is None
    connection.close()
    cut_through(path, 200_000, 60_000)
    whole = soundness.check
    monkeypatch.setattr(soundness, "check", lambda connection: whole(connection, -1))
    store = SqliteStore.open(path, log=lambda event, reason: said.append(reason))
    assert store._inspection is not None
    store._inspection._thread.join(30)
    assert await store.condition() is Condition.DAMAGED
    assert ["restore" in reason for reason in said] == [True]
    await store.close()


async def test_who_is_who_is_checked_before_anything_is_served(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "relay.db"
    connection = apsw.Connection(str(path))
    root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'mailboxes'").get
    size = connection.pragma("page_size")
    connection.close()
    cut_through(path, (root - 1) * size, size)
    whole = soundness.check
    monkeypatch.setattr(soundness, "check", lambda connection: whole(connection, -1))
    with pytest.raises(StoreUnusableError, match="restore"):
        schema.open_writer(path)


async def test_a_write_that_meets_damage_is_the_last_one(tmp_path: Path, account: Account) -> None:
    said: list[str] = []
    store = SqliteStore.open(tmp_path / "relay.db", log=lambda event, reason: said.append(event))

    def damaged(connection: apsw.Connection) -> None:
        raise apsw.exception_for(apsw.SQLITE_CORRUPT)

    for operation in (damaged, lambda connection: None):
        with pytest.raises(WireError, match="restore"):
            await store._writer.submit(operation)
    assert await store.condition() is Condition.DAMAGED
    assert said.count("nothing is written any more") == 1
    await store.close()


async def test_readiness_and_log_say_what_to_do_about_damage(tmp_path: Path) -> None:
    bob, relay = Account(), RelayProcess(tmp_path)
    path = relay.data_dir / "relay.db"
    with relay:
        async with logged_in(relay.url, bob, pull=False):
            pass
    fill(path, [bob.device.key], 300)
    with relay:
        cut_through(path, 200_000, 200_000)
        async with dial(relay.url) as peer:
            await peer.log_in(bob.device)
            await peer.send(control.Pull())
            assert await peer.close_code() == CloseCode.INTERNAL
        answer = await get(relay, "/readyz")
        assert (answer.status, "restore a backup" in answer.text) == (503, True)
        assert (await get(relay, "/healthz")).status == 200
        assert (await get(relay, "/metrics")).status == 200
        assert relay.log.count("nothing is written any more") == 1
        relay.terminate()
        relay.spawn()
        assert relay.wait() == 2
    assert "blindpost relay restore" in relay.log


@pytest.mark.skipif(sys.platform != "linux", reason="single threads have a niceness on Linux alone")
def test_the_check_behind_the_relays_back_leaves_the_processor_to_everybody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    path, before, seen = tmp_path / "relay.db", niceness(), list[int]()
    schema.open_writer(path)[0].close()
    monkeypatch.setattr(soundness, "_is_sound", lambda *_: False)  # so that its thread calls us
    soundness.Inspection(
        path, lambda: seen.append(niceness()), lambda: None, lambda event, reason: None
    ).close()
    assert seen == [soundness.LAST]
    assert niceness() == before < soundness.LAST
