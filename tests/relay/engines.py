"""Both engines of the store, under a small quota, as the list of promises needs them."""

import os
from pathlib import Path
from typing import Protocol

from relay.store.base import NewFrame, Quota, Store
from relay.store.memory import MemoryStore
from relay.store.sqlite import SqliteStore
from tests.relay.devices import ALLOWED, Account, Device, envelope

QUOTA = Quota(frames=4, bytes=4 * 1024 + 2048, request_frames=3, request_bytes=3 * 1024 + 2048)


class Engine(Protocol):
    store: Store

    async def reopen(self) -> None: ...


class Memory:
    """Cannot be reopened: what it promises about that is nothing."""

    def __init__(self) -> None:
        self.store: Store = MemoryStore(QUOTA)

    async def reopen(self) -> None:
        return None


class Sqlite:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.store: Store = SqliteStore.open(path, QUOTA)

    async def reopen(self) -> None:
        await self.store.close()
        self.store = SqliteStore.open(self._path, QUOTA)


def new_frame(size: int = 1024) -> NewFrame:
    return NewFrame(os.urandom(16), envelope(size))


def frames(count: int, size: int = 1024) -> list[NewFrame]:
    return [new_frame(size) for _ in range(count)]


async def pulled(store: Store, device: Device, after: int = 0) -> list[tuple[int, bytes]]:
    return [(f.sequence, f.envelope) for f in await store.pull(device.key, after, 256, 1 << 20)]


async def registered(store: Store, account: Account | None = None) -> Account:
    account = account or Account()
    assert await store.register(account.list()) == ()
    for device in account.devices:
        await store.allow(device.key, ALLOWED)
    return account
