"""Nothing of a deleted account stays: it is looked for in the bytes of the files, free pages among them."""

from pathlib import Path

import apsw
import pytest

from relay.store import schema
from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW, Account
from tests.relay.engines import frames, pulled, registered
from tests.relay.furnished import clear, everything, furnished, in_file, known, traces
from wire.account_messages import HeldPrekey, Stored


async def lived_in(store: SqliteStore, size: int) -> tuple[Account, Account, set[bytes], list[Stored]]:
    """Two accounts among others, whose frames came and went; and all that there is of the one."""
    stranger, account = await furnished(store, size), await furnished(store, size)
    crowd = [await registered(store) for _ in range(20)]
    envelopes = []
    for turn in range(30):
        for each in (account, stranger, *crowd):
            batch = frames(2 if each is account else 1, size)
            await store.put(each.device.key, batch, NOW, HELD)
            envelopes += [frame.envelope for frame in batch if each is account]
            if turn % 3 == 2:
                last = await pulled(store, each.device)
                await store.acknowledge(each.device.key, last[len(last) // 2][0])
        await store.publish(account.device.key, account.device.one_time(10 + turn, 1))
    await store.fetch(account.key, take=True)
    await clear(store)
    records = await everything(store, account.device)
    values = known(account, records, envelopes) - {HELD}
    inner = {record.prekey[13:45] for record in records if isinstance(record, HeldPrekey)}
    return account, stranger, values | inner, records


@pytest.mark.parametrize("size", [1024, 2048, 4096, 16_384])
async def test_nothing_of_a_deleted_account_is_in_any_file(tmp_path: Path, size: int) -> None:
    store = SqliteStore.open(tmp_path / "relay.db")
    account, stranger, values, _ = await lived_in(store, size)
    before = await everything(store, stranger.device)
    assert traces(tmp_path, values) > 40  # else the search would find nothing in any case
    await store.delete(account.key)
    await clear(store)
    assert await store.wipe()
    assert traces(tmp_path, values) == 0
    assert await everything(store, stranger.device) == before
    assert traces(tmp_path, known(stranger, before, []) - {HELD}) > 20
    await store.close()
    assert traces(tmp_path, values) == 0


async def test_control_without_secure_delete_or_without_the_log_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(tmp_path / "relay.db")
    account, _, values, _ = await lived_in(store, 4096)
    await store.delete(account.key)
    await clear(store)
    assert traces(tmp_path, values) > 0  # in the log
    await store.close()
    configure = schema.configure

    def careless(connection: apsw.Connection) -> None:
        configure(connection)
        connection.pragma("secure_delete", "FAST")

    monkeypatch.setattr(schema, "configure", careless)
    (tmp_path / "careless").mkdir()
    store = SqliteStore.open(tmp_path / "careless" / "relay.db")
    account, _, values, _ = await lived_in(store, 4096)
    await store.delete(account.key)
    await clear(store)
    assert await store.wipe()
    await store.close()
    assert traces(tmp_path / "careless", values) > 0


async def test_while_a_copy_is_made_the_log_stays_and_goes_after_it(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store, account, _, records = await in_file(path)
    values = known(account, records, []) - {HELD}
    copying = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    copying.execute("BEGIN")
    assert copying.execute("SELECT count(*) FROM frames").get
    await store.delete(account.key)
    await clear(store)
    assert not await store.wipe()
    assert traces(tmp_path, values) > 0
    await registered(store)  # nobody else is held up
    copying.execute("ROLLBACK")
    assert await store.wipe()
    assert traces(tmp_path, values) == 0
    copying.close()
    await store.close()


async def test_the_count_of_frames_that_ever_were_and_the_mark_hold(tmp_path: Path) -> None:
    """A deleted account is not taken for a lost one at the next start."""
    path = tmp_path / "relay.db"
    store, account, _, _ = await in_file(path)
    await store.delete(account.key)
    await store.close()
    store = SqliteStore.open(path)
    assert store.missing is None
    await clear(store)
    await store.close()
    store = SqliteStore.open(path)
    assert store.missing is None
    await store.close()
