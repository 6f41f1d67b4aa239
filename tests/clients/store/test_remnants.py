"""What was deleted is gone from the files, for whoever has them and their key."""

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest

from clients.bell import Bell
from clients.clock import now_seconds
from clients.profile import store_key
from clients.senders import Senders
from clients.store.store import Store
from clients.tasks import end
from keys.errors import DecryptError
from tests.support.homes import Home, converse
from wire.frames import Put
from wire.prekeys import PrekeyKind

RARE = "日ⴰж"  # three characters, which the index of words holds together: 8 bytes, none there by chance
TEXT = f"xylophones quarrel {RARE}"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Home, Home]:
    alice, bob = Home(tmp_path, "alice"), Home(tmp_path, "bob")
    converse(alice, bob)
    return alice, bob


def decrypted(home: Home, to: Path) -> bytes:
    """Every page of a copy of the store as it is, the free ones too."""
    to.mkdir()
    for name in ("store.db", "store.db-wal"):
        shutil.copy(home.profile.path / name, to / name)
    copy = apsw.Connection(str(to / "store.db"))
    copy.pragma("key", "raw:" + store_key(home.config).hex())
    copy.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert copy.pragma("journal_mode", "delete") == "delete"
    copy.pragma("rekey", "")
    copy.close()
    plain = (to / "store.db").read_bytes()
    assert plain.startswith(b"SQLite format 3\0")
    return plain


def test_no_page_holds_a_prekey_that_was_used_or_a_text_that_was_removed(
    pair: tuple[Home, Home], tmp_path: Path
) -> None:
    alice, bob = pair
    carol = Home(tmp_path, "carol")
    one_time = "SELECT private FROM prekeys WHERE kind = ? ORDER BY id"
    alice.bundle()
    rows: list[tuple[Any, ...]] = alice.profile.store.db.execute(one_time, (PrekeyKind.ONE_TIME,)).fetchall()
    first = bytes(rows[1][0])  # the next that is handed out
    carol.meet(alice)
    carol.say(alice, "from a stranger")
    bob.say(alice, TEXT)
    alice.take_in(*bob.send(alice))
    held = decrypted(alice, tmp_path / "before")
    assert all(each in held for each in (first, TEXT.encode(), RARE.encode()))
    alice.take_in(*carol.send(alice))
    alice.mailroom.contacts.remove(alice.contact(bob))
    left = decrypted(alice, tmp_path / "after")
    assert not [each for each in (first, TEXT.encode(), RARE.encode()) if each in left]


def earlier(home: Home, to: Path, commits: int) -> None:
    """A copy of the profile whose log ends so many commits before the end: a store of a while ago."""
    shutil.copytree(home.profile.path, to, ignore=shutil.ignore_patterns("store.db-shm", "socket"))
    log = (to / "store.db-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    ends = [
        at + 24 + page
        for at in range(32, len(log), 24 + page)
        # A frame of this log, not of one before it, and the last of its commit.
        if log[at + 8 : at + 16] == log[16:24] and any(log[at + 4 : at + 8])
    ]
    (to / "store.db-wal").write_bytes(log[: ends[-1 - commits]] if len(ends) > commits else b"")


def read_again(directory: Path, put: Put) -> bytes:
    """What a thief of a profile reads in an envelope that was recorded on the way."""
    thief = Home(directory.parent, directory.name)
    try:
        with thief.profile.store.transaction():
            return thief.mailroom._engine.open(put.envelope, now_seconds()).content.body
    finally:
        thief.close()


async def test_the_log_is_emptied_now_and_then(pair: tuple[Home, Home]) -> None:
    alice, _ = pair
    log = alice.profile.path / "store.db-wal"
    assert log.stat().st_size > 0
    started: list[asyncio.Task[None]] = []

    def start(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        started.append(asyncio.create_task(work()))
        return started[-1]

    senders = Senders(alice.profile, alice.mailroom, Bell(), os.urandom, lambda *_: None, start)
    start(senders.rounds)
    await asyncio.sleep(0)
    assert log.stat().st_size == 0
    await end(*started)


def test_the_log_gives_no_used_key_back(pair: tuple[Home, Home], tmp_path: Path) -> None:
    alice, bob = pair
    bob.say(alice, "read and gone")
    (put, *_) = bob.send(alice)
    alice.take_in(put)
    earlier(alice, tmp_path / "earlier", 1)
    assert read_again(tmp_path / "earlier", put) == b"read and gone", "otherwise this test shows nothing"
    alice.profile.store.forget_log()
    assert (alice.profile.path / "store.db-wal").stat().st_size == 0
    for commits in range(3):
        earlier(alice, tmp_path / f"{commits}", commits)
        with pytest.raises(DecryptError):
            read_again(tmp_path / f"{commits}", put)


def test_a_backup_that_is_read_meanwhile_is_not_waited_for(pair: tuple[Home, Home]) -> None:
    alice, bob = pair
    reader = Store(alice.profile.path / "store.db", store_key(alice.config), is_reader=True)
    with reader.snapshot() as moment:
        assert moment.execute("SELECT count(*) FROM messages").get == 2
        bob.say(alice, "meanwhile")
        alice.take_in(*bob.send(alice))
        alice.profile.store.forget_log()
        assert moment.execute("SELECT count(*) FROM messages").get == 2
    reader.close()
    alice.profile.store.forget_log()
    assert (alice.profile.path / "store.db-wal").stat().st_size == 0


def test_what_the_library_was_built_with_is_asked_for(pair: tuple[Home, Home]) -> None:
    db = pair[0].profile.store.db
    assert db.pragma("secure_delete") == 1
    assert db.pragma("temp_store") == 2
