"""A database of each version the relay ever had is opened with everything in it."""

from pathlib import Path

import apsw

from relay.store import schema
from relay.store.base import PutResult, Quota, Token
from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW, Account
from tests.relay.engines import frames


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
