"""Backup of a relay that runs, and its way back: whole, overwriting nothing, with no sequence given twice."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import apsw
import pytest

from relay.store.base import PutResult
from relay.store.copies import copy
from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW, Account
from tests.relay.engines import frames, registered
from tests.relay.peers import logged_in, submitting
from tests.relay.test_store_migrations import version_1
from tests.support.full_store import fill
from tests.support.relay_process import RELAY, RelayProcess
from wire import control


def relay_command(*arguments: object, code: int = 0) -> tuple[str, str]:
    done = subprocess.run([*RELAY, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def refused(*arguments: object) -> str:
    """The one sentence."""
    _, errors = relay_command(*arguments, code=2)
    (line,) = errors.splitlines()
    return line


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The data directory of a relay that was stopped, with three frames in one mailbox."""
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "relay.key").write_bytes(os.urandom(32))
    (directory / "relay.key").chmod(0o600)
    store = SqliteStore.open(directory / "relay.db")
    account = await registered(store)
    await store.put(account.device.key, frames(3), NOW, HELD)
    await store.close()
    return directory


async def test_a_backup_made_under_load_has_all_that_was_accepted_before_it(tmp_path: Path) -> None:
    bob, accepted = Account(), list[bytes]()
    content = frames(1)[0].envelope
    copy, place = tmp_path / "copy", tmp_path / "place"
    with RelayProcess(tmp_path) as relay:
        async with logged_in(relay.url, bob, pull=False), submitting(relay.url) as sender:

            async def put() -> None:
                accepted.append(await sender.put(bob.device.key, content))
                await sender.next(control.Accepted)

            for _ in range(50):
                await put()
            before = list(accepted)
            command = ("backup", copy, "--data-directory", relay.data_dir, "--json")
            backup = asyncio.create_task(asyncio.to_thread(relay_command, *command))
            while not backup.done():
                await put()
            output, _ = await backup
            await put()
            relay_key = relay.relay_key
    told = json.loads(output)
    assert told["event"] == "backup"
    assert (told["key"], told["mailboxes"], told["damaged"]) == (True, 1, 0)
    assert len(before) <= told["frames"] < len(accepted)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in copy.iterdir()}
    assert modes == {"relay.db": 0o600, "relay.key": 0o600}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700

    text, _ = relay_command("restore", copy, "--data-directory", place / "relay-data")
    assert "clients drop it" in text
    with RelayProcess(place) as restored:
        assert restored.relay_key == relay_key
        async with logged_in(restored.url, bob) as receiver, submitting(restored.url) as sender:
            held = []
            for _ in range(told["frames"]):
                held.append(await receiver.next_frame())
                await receiver.send(control.Acknowledge(through=held[-1].sequence))
            assert [frame.frame_id for frame in held] == accepted[: told["frames"]]
            last = await sender.put(bob.device.key, content)
            newest = await receiver.next_frame()
            assert newest.frame_id == last
            assert newest.sequence > 1 << 40
        assert "not the newest" not in restored.log


async def test_restoring_over_what_is_there_is_refused(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    relay_command("backup", copy, "--data-directory", data)
    before = (data / "relay.db").read_bytes()
    assert "nothing is overwritten" in refused("restore", copy, "--data-directory", data)
    assert (data / "relay.db").read_bytes() == before
    (data / "relay.db").unlink()
    (data / "relay.db-wal").write_bytes(b"a log")
    assert "nothing is overwritten" in refused("restore", copy, "--data-directory", data)
    (data / "relay.db-wal").unlink()
    (data / "relay.key").write_bytes(os.urandom(32))
    key = (data / "relay.key").read_bytes()
    assert "another key" in refused("restore", copy, "--data-directory", data)
    assert (data / "relay.key").read_bytes() == key
    assert not (data / "relay.db").exists()
    assert "there already" in refused("backup", copy, "--data-directory", data)


async def test_what_was_accepted_since_is_counted(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    relay_command("backup", copy, "--data-directory", data)
    store = SqliteStore.open(data / "relay.db")
    key = apsw.Connection(str(data / "relay.db")).execute("SELECT device_key FROM mailboxes").get
    assert await store.put(key, frames(4), NOW, HELD) == [PutResult.STORED] * 4
    (*_, last) = [frame.sequence for frame in await store.pull(key, 0, 99, 1 << 20)]
    await store.close()
    (data / "relay.db").rename(data / "damaged.db")
    output, _ = relay_command("restore", copy, "--data-directory", data, "--json")
    assert json.loads(output)["frames_since"] == 4
    store = SqliteStore.open(data / "relay.db")
    assert store.missing is None, "said twice"
    assert len(await store.pull(key, 0, 99, 1 << 20)) == 3
    await store.put(key, frames(1), NOW, HELD)
    assert (await store.pull(key, 0, 99, 1 << 20))[-1].sequence > last
    await store.close()


async def test_a_damaged_source_is_neither_copied_nor_put_back(data: Path, tmp_path: Path) -> None:
    copy, place = tmp_path / "copy", tmp_path / "place"
    relay_command("backup", copy, "--data-directory", data)
    for path in (copy / "relay.db", data / "relay.db"):
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(os.urandom(20_000))
    assert "damaged" in refused("restore", copy, "--data-directory", place)
    assert "damaged" in refused("backup", tmp_path / "other", "--data-directory", data)
    assert sorted(path.name for path in place.iterdir()) == ["relay.lock"]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "copy", "place"}


async def test_a_damaged_frame_is_counted_in_a_backup(data: Path, tmp_path: Path) -> None:
    connection = apsw.Connection(str(data / "relay.db"))
    connection.execute("UPDATE frames SET envelope = zeroblob(1024) WHERE sequence = 2")
    connection.close()
    text, _ = relay_command("backup", tmp_path / "copy", "--data-directory", data)
    assert "3 frames (1 of them damaged)" in text


async def test_a_running_relay_is_not_restored_over(tmp_path: Path, data: Path) -> None:
    copy = tmp_path / "copy"
    relay_command("backup", copy, "--data-directory", data, "--without-key")
    assert [path.name for path in copy.iterdir()] == ["relay.db"]
    with RelayProcess(tmp_path) as relay:
        assert "another relay runs" in refused("restore", copy, "--data-directory", relay.data_dir)
    text, _ = relay_command("restore", copy, "--data-directory", tmp_path / "new")
    assert "There is no relay.key" in text


def test_a_backup_of_an_older_version_is_upgraded_on_its_way_back(tmp_path: Path) -> None:
    old, place, account = tmp_path / "old", tmp_path / "place", Account()
    old.mkdir()
    version_1(old / "relay.db", account, [frame.envelope for frame in frames(2)])
    relay_command("restore", old, "--data-directory", place)
    connection = apsw.Connection(str(place / "relay.db"))
    assert connection.execute("SELECT count(*), min(next_sequence) > 1 << 40 FROM frames, mailboxes").get == (
        2,
        1,
    )
    connection.close()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("backup", "copy", "--data-directory", "nowhere"), "not there"),
        (("restore", "nowhere", "--data-directory", "place"), "not there"),
        (("backup", "no/such/copy", "--data-directory", "data"), "cannot be written"),
    ],
)
async def test_what_is_not_there_is_said(
    arguments: tuple[str, ...], word: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    assert word in refused(*arguments)
    shutil.rmtree(data)


def test_a_full_store_is_as_the_relay_would_have_filled_it(tmp_path: Path) -> None:
    path, keys = tmp_path / "relay.db", [os.urandom(32) for _ in range(3)]
    fill(path, keys, 10)
    contents = copy(path, tmp_path / "copy.db", lambda done, of: None)
    assert (contents.mailboxes, contents.frames, contents.damaged) == (3, 10, 0)


async def test_a_backup_after_a_crash_has_what_is_in_the_log_alone(tmp_path: Path) -> None:
    bob, content = Account(), frames(1)[0].envelope
    with RelayProcess(tmp_path) as relay:
        async with logged_in(relay.url, bob, pull=False), submitting(relay.url) as sender:
            for _ in range(20):
                await sender.put(bob.device.key, content)
                await sender.next(control.Accepted)
            relay.kill()
    assert (relay.data_dir / "relay.db-wal").stat().st_size > 20 * 1024
    output, _ = relay_command("backup", tmp_path / "copy", "--data-directory", relay.data_dir, "--json")
    assert json.loads(output)["frames"] == 20
    with relay:
        assert "not the newest" not in relay.log
