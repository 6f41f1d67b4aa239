"""An account with something of everything in a store; what a store shows of it, and where its bytes are."""

import os
from collections.abc import Sequence
from pathlib import Path

from relay.store.base import Store, Token
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, HELD, NOW, Account, Device
from tests.relay.engines import frames, registered
from wire.account_messages import Stored
from wire.control_message import ControlMessage
from wire.prekeys import PrekeyKind


async def everything(store: Store, device: Device) -> list[Stored]:
    page = await store.export(device.key, None)
    records = list(page.records)
    while page.place is not None:
        page = await store.export(device.key, page.place)
        records += page.records
    return records


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


async def in_file(path: Path) -> tuple[SqliteStore, Account, Account, list[Stored]]:
    store = SqliteStore.open(path)
    stranger = await furnished(store)
    account = await furnished(store)
    await clear(store)
    records = await everything(store, account.device)
    return store, account, stranger, records


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
