"""A database of each version the relay ever had is opened with everything in it."""

import time
from hashlib import sha256
from pathlib import Path

import apsw
import pytest

from relay.store import schema
from relay.store.base import NewFrame, PutResult, Quota, StockCount, Token
from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW, Account
from tests.relay.engines import frames, pulled, registered
from wire.prekeys import Prekey

# What was in somebody's hands is never edited: SHA-256 of the scripts, its first 16 digits.
FROZEN = ["a03ac35c32d43d99", "5938383c8f989260", "797de58440104e25"]


def version_1(path: Path, account: Account, envelopes: list[bytes]) -> None:
    """A file as the first release left it: one device, and these frames in its mailbox."""
    connection = apsw.Connection(str(path))
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.execute(schema.MIGRATIONS[0])
    connection.pragma("user_version", 1)
    connection.execute("INSERT INTO accounts VALUES (1, ?, ?)", (account.key, account.list().encode()))
    connection.execute(
        "INSERT INTO mailboxes (id, device_key, account, next_sequence, frames, bytes)"
        " VALUES (1, ?, 1, ?, ?, ?)",
        (account.device.key, len(envelopes) + 1, len(envelopes), sum(map(len, envelopes))),
    )
    for number, content in enumerate(envelopes, 1):
        row = (number, bytes([number]) * 16, NOW, content)
        connection.execute(
            "INSERT INTO frames (mailbox, sequence, frame_id, stored_at, envelope) VALUES (1, ?, ?, ?, ?)",
            row,
        )
    connection.close()


async def test_what_was_accepted_before_there_were_tokens_stays_accepted(tmp_path: Path) -> None:
    path, account = tmp_path / "relay.db", Account()
    old = frames(3, 4096)
    version_1(path, account, [frame.envelope for frame in old])
    key = account.device.key
    store = SqliteStore.open(path, Quota(4, 1 << 20, 2, 1 << 20))
    held = await store.pull(key, 0, 256, 1 << 20)
    assert [(frame.sequence, frame.envelope, frame.is_request) for frame in held] == [
        (number, frame.envelope, False) for number, frame in enumerate(old, 1)
    ]
    assert await store.put(key, frames(3), NOW, HELD) == [PutResult.REQUESTED] * 2 + [PutResult.QUOTA]
    await store.allow(key, [Token(HELD)])
    assert await store.put(key, frames(2), NOW, HELD) == [PutResult.STORED, PutResult.QUOTA]
    assert await store.acknowledge(key, 2) == 2
    assert await store.put(key, frames(3), NOW, HELD) == [PutResult.STORED] * 2 + [PutResult.QUOTA]
    assert await store.put(key, frames(1), NOW, None) == [PutResult.QUOTA]
    await store.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(schema.MIGRATIONS)
    connection.close()


def version_2(path: Path, account: Account, content: list[NewFrame], prekeys: list[Prekey]) -> None:
    """A file of the second version: every other frame a request, prekeys, tokens, a dropped device."""
    connection = apsw.Connection(str(path))
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.pragma("journal_mode", "WAL")
    for script in schema.MIGRATIONS[:2]:
        connection.execute(script)
    connection.pragma("user_version", 2)
    connection.execute("INSERT INTO accounts VALUES (1, ?, ?)", (account.key, account.list().encode()))
    sizes = [[len(frame.envelope) for frame in content[start::2]] for start in (0, 1)]
    connection.execute(
        "INSERT INTO mailboxes (id, device_key, account, next_sequence, frames, bytes, request_frames,"
        " request_bytes, expired, one_time_highest) VALUES (1, ?, 1, ?, ?, ?, ?, ?, 6, 12)",
        (account.device.key, len(content) + 1, len(sizes[0]), sum(sizes[0]), len(sizes[1]), sum(sizes[1])),
    )
    connection.execute(
        "INSERT INTO mailboxes (id, device_key, account, next_sequence) VALUES (2, ?, NULL, 77)", (b"g" * 32,)
    )
    with connection:
        connection.executemany(
            "INSERT INTO frames (mailbox, sequence, frame_id, stored_at, envelope, request)"
            " VALUES (1, ?, ?, ?, ?, ?)",
            ((n + 1, frame.frame_id, NOW, frame.envelope, n % 2) for n, frame in enumerate(content)),
        )
    for prekey in prekeys:
        connection.execute(
            "INSERT INTO prekeys VALUES (1, ?, ?, ?)", (int(prekey.kind), prekey.id, prekey.encode())
        )
    connection.execute("INSERT INTO tokens VALUES (1, ?, NULL), (1, ?, ?)", (HELD, b"o" * 32, NOW - 1))
    connection.close()


async def test_a_store_of_the_second_version_opens_with_everything_in_it(tmp_path: Path) -> None:
    path, account, content = tmp_path / "relay.db", Account(), frames(4, 2048)
    device = account.device
    prekeys = [*device.lasting(), *device.one_time(9, 4)]
    version_2(path, account, content, prekeys)
    store = SqliteStore.open(path, Quota(3, 1 << 20, 2, 1 << 20))
    assert store.missing is None
    held = await store.pull(device.key, 0, 99, 1 << 20)
    assert [(frame.sequence, frame.envelope, frame.is_request) for frame in held] == [
        (n + 1, frame.envelope, n % 2 == 1) for n, frame in enumerate(content)
    ]
    status = await store.status(device.key)
    assert (status.registered, status.expired, status.stock) == (True, 6, StockCount(4, 0))
    assert await store.publish(device.key, prekeys[-1:]) == StockCount(4, 0)
    offer = await store.fetch(account.key, take=True)
    assert offer is not None
    assert offer.device_list == account.list()
    assert offer.devices[0].one_time == prekeys[3]
    # One ordinary frame and no request fit still; the dead token lets nothing in.
    assert await store.put(device.key, frames(2), NOW, HELD) == [PutResult.STORED, PutResult.QUOTA]
    (refused,) = await store.put(device.key, frames(1), NOW, b"o" * 32)
    assert refused not in (PutResult.STORED, PutResult.REQUESTED)
    assert [sequence for sequence, _ in await pulled(store, device)] == [1, 2, 3, 4, 5]
    assert await store.acknowledge(device.key, 5) == 5
    await store.close()


@pytest.mark.parametrize("count", [10, 3000])
async def test_the_upgrade_touches_no_frame(count: int, tmp_path: Path) -> None:
    path, account = tmp_path / "relay.db", Account()
    version_2(path, account, frames(count), [])
    connection, _ = schema.open_writer(path)
    written = path.with_name("relay.db-wal").stat().st_size
    assert 0 < written < 300_000, "as much for many frames as for few"
    assert connection.execute("SELECT count(*) FROM frames WHERE checksum IS NULL").get == count
    connection.close()


async def test_a_frame_without_a_checksum_is_delivered_and_one_with_it_is_checked(tmp_path: Path) -> None:
    path, account = tmp_path / "relay.db", Account()
    version_2(path, account, frames(2), [])
    store = SqliteStore.open(path)
    await store.put(account.device.key, frames(1), NOW, HELD)
    await store.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE frames SET envelope = zeroblob(1024)")
    connection.close()
    store = SqliteStore.open(path)
    held = await store.pull(account.device.key, 0, 9, 1 << 20)
    assert [frame.is_damaged for frame in held] == [False, False, True]
    await store.close()


async def test_a_store_of_the_third_version_opens_with_everything_in_it(tmp_path: Path) -> None:
    path, account = tmp_path / "relay.db", Account()
    version_2(path, account, frames(2), [])
    connection = apsw.Connection(str(path))
    connection.execute(schema.MIGRATIONS[2])
    connection.pragma("user_version", 3)
    connection.execute("UPDATE mailboxes SET checkpoint = 'left' || id, full_at = 5")
    connection.close()
    store = SqliteStore.open(path)
    assert store.missing is None
    assert [sequence for sequence, _ in await pulled(store, account.device)] == [1, 2]
    assert (await store.status(account.device.key)).full_at == 5
    # A device that had been dropped before is taken for one that was dropped now.
    assert await store.forget(int(time.time()) - 100, 10) == 0
    assert await store.forget(int(time.time()) + 100, 10) == 1
    other = await registered(store)
    await store.put(other.device.key, frames(1), NOW, HELD)
    assert [sequence for sequence, _ in await pulled(store, other.device)] == [77]
    await store.close()


def test_released_migrations_are_as_they_were() -> None:
    assert [sha256(script.encode()).hexdigest()[:16] for script in schema.MIGRATIONS[: len(FROZEN)]] == FROZEN
