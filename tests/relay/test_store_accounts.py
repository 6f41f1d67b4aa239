"""A whole account: what a store shows of it, page by page, and how it is deleted, in both engines.

That nothing of it stays is looked for in the bytes of the files, free pages among them.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from relay.store import holdings, schema
from relay.store.base import Deletion, PutResult, Store, Token
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, NOW, Account, Device, envelope
from tests.relay.engines import Engine, frames, pulled, registered
from wire.account_messages import (
    HeldAccount,
    HeldFormerList,
    HeldFrame,
    HeldMailbox,
    HeldPrekey,
    HeldToken,
    Stored,
)
from wire.control_message import ControlMessage
from wire.errors import ErrorCode, WireError
from wire.prekeys import PrekeyKind

# Numbers by which rows point to each other: they say nothing of anybody.
LINKS = {"accounts.id", "mailboxes.id", "mailboxes.account", "frames.id", "frames.mailbox"}
LINKS |= {"prekeys.mailbox", "tokens.mailbox", "former_lists.account"}
# Of no account: the store's own life, invites that nobody is named in, and what is about to be cleared.
NOBODYS = {"life", "invites", "dropped"}


async def everything(store: Store, device: Device) -> list[Stored]:
    page = await store.export(device.key, None)
    records = list(page.records)
    while page.place is not None:
        page = await store.export(device.key, page.place)
        records += page.records
    return records


async def refused(store: Store, device: Device, place: bytes | None = None) -> ErrorCode:
    with pytest.raises(WireError) as caught:
        await store.export(device.key, place)
    return caught.value.code


async def clear(store: Store) -> None:
    while await store.clear(64):
        pass


async def furnished(store: Store, size: int = 1024) -> Account:
    """An account with something of everything: three lists, a device that is left, one that was dropped."""
    account = Account(devices=[Device(), Device()])
    first = (await registered(store, account)).list()
    kept, dropped = account.devices
    await store.put(dropped.key, frames(2, size), NOW, HELD)
    await store.publish(dropped.key, dropped.lasting())
    account.devices = [kept]
    second = account.successor(first)
    await store.register(second)
    account.devices = [kept, Device()]
    await store.register(account.successor(second))
    await store.publish(kept.key, [*kept.lasting(), *kept.one_time(1, 9)])
    await store.publish(kept.key, kept.one_time(1, 3, PrekeyKind.ONE_TIME_KEM))
    await store.allow(kept.key, [*ALLOWED, Token(os.urandom(32), NOW + 1000)])
    await store.keep_checkpoint(kept.key, b"checkpoint of " + kept.key)
    await store.put(kept.key, frames(2, size), NOW, HELD)
    await store.put(kept.key, frames(1, size), NOW, None)
    for _ in range(5):
        await store.put(kept.key, frames(1, size), NOW, HELD)  # the last ones are over the quota
    account.devices.append(dropped)  # for tests that look for it
    return account


def known(account: Account, records: Sequence[ControlMessage], more: list[bytes]) -> set[bytes]:
    """Every value of an account that could be recognised in a file."""
    found = {account.key, *more}
    for record in records:
        for _, value in record:
            if isinstance(value, bytes) and len(value) >= 16:
                found.add(value)
    found |= {device.key for device in account.devices}
    return found


async def test_each_thing_that_is_held_is_shown_as_it_was_put(engine: Engine) -> None:
    store = engine.store
    account = await furnished(store)
    kept, other, dropped = account.devices
    records = await everything(store, kept)
    (itself,) = (record for record in records if isinstance(record, HeldAccount))
    assert itself.account_key == account.key
    assert [record.version for record in records if isinstance(record, HeldFormerList)] == [1, 2]
    boxes = {record.device_key: record for record in records if isinstance(record, HeldMailbox)}
    assert boxes.keys() == {kept.key, other.key, dropped.key}
    mine = boxes[kept.key]
    assert (mine.frames, mine.request_frames, mine.one_time_highest, mine.one_time_kem_highest) == (
        4,
        1,
        9,
        3,
    )
    assert (mine.checkpoint, mine.full_at, mine.dropped_at) == (b"checkpoint of " + kept.key, NOW, None)
    assert boxes[dropped.key].dropped_at
    assert (boxes[dropped.key].next_sequence, boxes[dropped.key].frames) == (3, 0)
    prekeys = [(record.kind, record.id) for record in records if isinstance(record, HeldPrekey)]
    assert prekeys == [
        (1, 1),
        (2, 1),
        *((3, id) for id in range(1, 10)),
        (4, 1),
        *((5, id) for id in (1, 2, 3)),
    ]
    tokens = {record.hash: record.until for record in records if isinstance(record, HeldToken)}
    assert tokens[HELD] is None
    assert len(tokens) == 2
    waiting = [record for record in records if isinstance(record, HeldFrame)]
    delivered = await store.pull(kept.key, 0, 256, 1 << 20)
    assert [(each.sequence, each.frame_id, each.request, each.size, each.sha256) for each in waiting] == [
        (
            each.sequence,
            each.frame_id,
            each.is_request,
            len(each.envelope),
            hashlib.sha256(each.envelope).digest(),
        )
        for each in delivered
    ]
    assert {each.stored_at for each in waiting} == {NOW}


async def test_pages_are_bounded_and_make_up_the_whole(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await furnished(engine.store)
    whole = await everything(engine.store, account.device)
    for text in (1, 700, 5000):
        monkeypatch.setattr(holdings, "PAGE_TEXT", text)
        pages: list[holdings.Page] = []
        place: bytes | None = None
        while not pages or place is not None:
            page = await engine.store.export(account.device.key, place)
            size = sum(len(record.encode()) for record in page.records)
            assert size <= text or len(page.records) == 1
            place = page.place
            pages.append(page)
        assert [record for page in pages for record in page.records] == whole
        assert len(pages) > 2
        assert await engine.store.wipe()  # a page that is done holds nothing of the log


async def test_a_place_that_no_page_ended_at_is_harmless(engine: Engine) -> None:
    account = await furnished(engine.store)
    stranger = await registered(engine.store)
    for place in (
        b"\xff" * 65,
        b"\0",
        b"\6" + stranger.device.key + b"\0" * 8,
        os.urandom(40),
        b"\2" + b"\xff" * 9,
    ):
        page = await engine.store.export(account.device.key, place)
        assert page.account_key == account.key
        assert not known(stranger, [], []) & known(account, list(page.records), [])
    assert await refused(engine.store, Device()) is ErrorCode.NOT_REGISTERED
    dropped = account.devices[-1]
    assert await refused(engine.store, dropped) is ErrorCode.NOT_REGISTERED


async def test_a_deleted_account_is_as_if_it_had_never_been(engine: Engine) -> None:
    store = engine.store
    account, stranger = await furnished(store), await registered(store)
    await store.put(stranger.device.key, frames(2), NOW, HELD)
    before = await everything(store, stranger.device)
    deletion = await store.delete(account.key)
    assert set(deletion.device_keys) == {device.key for device in account.devices}
    assert HELD in deletion.tokens
    await clear(store)
    assert await store.wipe()
    await engine.reopen()
    store = engine.store
    assert await store.fetch(account.key, take=True) is None
    for device in account.devices:
        assert await store.put(device.key, frames(1), NOW, HELD) == [PutResult.UNKNOWN]
        assert await pulled(store, device) == []
        assert not (await store.status(device.key)).registered
        assert await refused(store, device) is ErrorCode.NOT_REGISTERED
    assert await everything(store, stranger.device) == before
    assert await store.delete(account.key) == Deletion()


async def test_devices_of_it_that_come_back_begin_anew_above_their_sequences(engine: Engine) -> None:
    store = engine.store
    account = await furnished(store)
    before = {record.device_key: record.next_sequence for record in await everything(store, account.device)
              if isinstance(record, HeldMailbox)}  # fmt: skip
    await store.delete(account.key)
    again = Account(account.signing, account.devices)
    await registered(store, again)
    for device in again.devices:
        status = await store.status(device.key)
        assert (status.expired, status.checkpoint, status.full_at) == (0, None, None)
        await store.put(device.key, frames(1), NOW, HELD)
        ((sequence, _),) = await pulled(store, device)
        assert sequence >= before[device.key]
    await clear(store)
    assert [len(await pulled(store, device)) for device in again.devices] == [1, 1, 1]


async def test_a_device_that_has_another_account_by_now_stays(engine: Engine) -> None:
    """One that was dropped by the first is listed by the second."""
    account = await furnished(engine.store)
    dropped = account.devices[-1]
    second = await registered(engine.store, Account(devices=[dropped]))
    await engine.store.put(dropped.key, frames(1), NOW, HELD)
    assert dropped.key not in (await engine.store.delete(account.key)).device_keys
    await clear(engine.store)
    assert len(await pulled(engine.store, dropped)) == 1
    assert await engine.store.fetch(second.key, take=False) is not None


# --- in the file -----------------------------------------------------------------------------------------


def columns(path: Path) -> Iterator[tuple[str, str]]:
    """Every column there is."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for table in tables:
        for row in connection.execute(f"PRAGMA table_info({table})"):
            yield str(table), str(row[1])
    connection.close()


def rows_of(path: Path, device_keys: list[bytes]) -> dict[str, list[dict[str, object]]]:
    """Every row that has to do with these devices' account, as plain SQLite reads it."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    boxes = [
        row
        for row in connection.execute("SELECT id, account, device_key FROM mailboxes")
        if row[2] in device_keys
    ]
    (account,) = {row[1] for row in boxes if row[1] is not None}
    which = {"accounts": ("id", {account}), "former_lists": ("account", {account})}
    which["mailboxes"] = ("id", {row[0] for row in boxes})
    found: dict[str, list[dict[str, object]]] = {}
    tables: dict[str, list[str]] = {}
    for table, column in columns(path):
        tables.setdefault(table, []).append(column)
    for table, names in tables.items():
        if table in NOBODYS:
            continue
        by, ids = which.get(table, ("mailbox", which["mailboxes"][1]))
        everybodys = connection.execute(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608 names of the schema
        rows = [dict(zip(names, row, strict=True)) for row in everybodys]
        found[table] = [row for row in rows if row[by] in ids]
    connection.close()
    return found


SHOWN: dict[str, type[ControlMessage]] = {
    "accounts": HeldAccount,
    "former_lists": HeldFormerList,
    "mailboxes": HeldMailbox,
    "prekeys": HeldPrekey,
    "tokens": HeldToken,
    "frames": HeldFrame,
}


def missing(rows: dict[str, list[dict[str, object]]], records: list[Stored]) -> list[str]:
    """Every column that no record shows, and every row of which not all values stand in one record."""
    left = []
    for table, found in rows.items():
        of_kind = [record for record in records if isinstance(record, SHOWN[table])]
        if len(of_kind) != len(found):
            left.append(f"{table}: {len(found)} rows, {len(of_kind)} shown")
        for row in found:
            blob = row.pop("envelope", None)
            if isinstance(blob, bytes):
                row |= {"size": len(blob), "sha256": hashlib.sha256(blob).digest()}
            told = {name: value for name, value in row.items() if f"{table}.{name}" not in LINKS}
            left += [f"{table}.{name}" for name in told if name not in SHOWN[table].model_fields]
            if not any(all(getattr(record, name, None) == told[name] for name in told) for record in of_kind):
                left.append(f"{table}: a row")
    return left


async def in_file(path: Path) -> tuple[SqliteStore, Account, Account, list[Stored]]:
    store = SqliteStore.open(path)
    stranger = await furnished(store)
    account = await furnished(store)
    await clear(store)
    records = await everything(store, account.device)
    return store, account, stranger, records


async def test_the_export_is_all_that_is_in_the_file_and_nothing_of_others(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store, account, stranger, records = await in_file(path)
    rows = rows_of(path, [device.key for device in account.devices])
    assert {table: len(found) for table, found in rows.items()} == {
        "accounts": 1, "former_lists": 2, "mailboxes": 3, "prekeys": 15, "tokens": 2, "frames": 8,
    }  # fmt: skip
    assert missing(rows, records) == []
    others = known(stranger, await everything(store, stranger.device), []) - {HELD}
    assert not known(account, records, []) & others
    assert not [value for value in others if any(value in record.encode().encode() for record in records)]
    await store.close()


async def test_control_what_an_export_does_not_show_is_found(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    store, account, _, records = await in_file(path)
    keys = [device.key for device in account.devices]
    assert missing(rows_of(path, keys), records[:-1])
    await store._writer.submit(
        lambda c: c.execute("ALTER TABLE mailboxes ADD COLUMN last_seen INTEGER DEFAULT 7")
    )
    assert "mailboxes.last_seen" in missing(rows_of(path, keys), records)
    await store._writer.submit(lambda c: c.execute("CREATE TABLE diary (mailbox INTEGER, note TEXT)"))
    with pytest.raises(KeyError, match="diary"):
        missing(rows_of(path, keys), records)
    await store.close()


def bytes_of(directory: Path) -> bytes:
    """Every file, whatever it is."""
    return b"\0".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


def parts(value: bytes) -> list[bytes]:
    """Begin, middle and end of a value, as far as they are not found everywhere."""
    at = len(value) // 2 - 8
    return [part for part in (value[:16], value[at : at + 16], value[-16:]) if len(set(part)) > 8]


def traces(directory: Path, values: set[bytes]) -> int:
    """How many of these stand anywhere in the files, or a part of them."""
    data = bytes_of(directory)
    return sum(any(part in data for part in parts(value)) for value in values)


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


async def test_a_memory_store_forgets_all_of_it() -> None:
    store = MemoryStore()
    account = await furnished(store)
    await store.delete(account.key)
    assert (store._lists, store._former, store._mailboxes) == ({}, {}, {})
    assert envelope()  # as random as ever
