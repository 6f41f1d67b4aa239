"""An export is all that the rows of the file hold of an account, read as plain SQLite, and nothing else."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.relay.devices import HELD
from tests.relay.furnished import everything, in_file, known
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

# Numbers by which rows point to each other: they say nothing of anybody.
LINKS = {"accounts.id", "mailboxes.id", "mailboxes.account", "frames.id", "frames.mailbox"}
LINKS |= {"prekeys.mailbox", "tokens.mailbox", "former_lists.account"}
# Of no account: the store's own life, invites that nobody is named in, and what is about to be cleared.
NOBODYS = {"life", "invites", "dropped"}


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
