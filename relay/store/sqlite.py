"""The durable store: one SQLite file, one writing thread, one reading thread.

Owns the pairing of the two: what writes goes to the group commit and returns after its fsync, what only
reads sees every commit made so far and never waits for one. Knows no SQL.
"""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import apsw

from relay.store import tables
from relay.store.base import (
    DeviceStatus,
    NewFrame,
    Offer,
    PutResult,
    Quota,
    StockCount,
    StoredFrame,
    Token,
)
from relay.store.schema import open_reader, open_writer
from relay.store.writer import Log, Writer, as_wire_error
from wire.device_lists import DeviceList
from wire.prekeys import Prekey

Result = TypeVar("Result")

FREE_SPACE: Final = 1024 * 1024  # below this the relay is not ready: some envelopes would be refused


def _silent(event: str, reason: str) -> None:
    """Where nobody wants to know."""


def _touch(connection: apsw.Connection) -> None:
    """The smallest change there is: it makes the commit a real one."""
    connection.pragma("user_version", int(connection.pragma("user_version")))


class SqliteStore:
    """A `Store` in one file. Open it inside a running event loop."""

    def __init__(self, path: Path, writer: Writer, reader: apsw.Connection, quota: Quota) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._quota = quota
        self._reading = ThreadPoolExecutor(1, "relay-reader")

    @classmethod
    def open(cls, path: Path, quota: Quota | None = None, log: Log = _silent, vfs: str | None = None) -> Self:
        """Open or create the file. Raises StoreUnusableError with a sentence for the operator."""
        connection = open_writer(path, vfs)
        reader = open_reader(path)  # before the writer's thread starts, which would outlive a failure
        return cls(path, Writer(connection, log), reader, quota or Quota())

    async def _read(self, operation: Callable[[apsw.Connection], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, operation, self._reader)
        except apsw.Error as error:
            raise as_wire_error(error) from error

    async def register(self, device_list: DeviceList) -> tuple[bytes, ...]:
        """See `Store.register`."""
        return await self._writer.submit(partial(tables.register, device_list=device_list))

    async def publish(self, device_key: bytes, prekeys: Sequence[Prekey], anew: bool = False) -> StockCount:
        """See `Store.publish`."""
        return await self._writer.submit(
            partial(tables.publish, device_key=device_key, prekeys=prekeys, anew=anew)
        )

    async def keep_checkpoint(self, device_key: bytes, checkpoint: bytes) -> None:
        """See `Store.keep_checkpoint`."""
        operation = partial(tables.keep_checkpoint, device_key=device_key, checkpoint=checkpoint)
        await self._writer.submit(operation)

    async def fetch(self, account_key: bytes, take: bool) -> Offer | None:
        """See `Store.fetch`."""
        operation = partial(tables.fetch, account_key=account_key, take=take)
        return await (self._writer.submit(operation) if take else self._read(operation))

    async def allow(self, device_key: bytes, tokens: Sequence[Token]) -> None:
        """See `Store.allow`."""
        await self._writer.submit(partial(tables.allow, device_key=device_key, tokens=tokens))

    async def put(
        self, mailbox: bytes, frames: Sequence[NewFrame], now: int, token_hash: bytes | None
    ) -> list[PutResult]:
        """See `Store.put`."""
        operation = partial(
            tables.put,
            quota=self._quota,
            device_key=mailbox,
            frames=frames,
            now=now,
            token_hash=token_hash,
        )
        return await self._writer.submit(operation, sum(len(frame.envelope) for frame in frames))

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        """See `Store.pull`."""
        return await self._read(
            partial(
                tables.pull,
                device_key=mailbox,
                after_sequence=after_sequence,
                max_frames=max_frames,
                max_bytes=max_bytes,
            )
        )

    async def acknowledge(self, mailbox: bytes, through: int) -> int:
        """See `Store.acknowledge`."""
        return await self._writer.submit(partial(tables.acknowledge, device_key=mailbox, through=through))

    async def expire(self, stored_before: int, at_most: int) -> int:
        """See `Store.expire`."""
        return await self._writer.submit(partial(tables.expire, stored_before=stored_before, at_most=at_most))

    async def prune(self, now: int) -> int:
        """See `Store.prune`."""
        return await self._writer.submit(partial(tables.prune, now=now))

    async def status(self, device_key: bytes) -> DeviceStatus:
        """See `Store.status`."""
        return await self._read(partial(tables.status, device_key=device_key))

    async def writable(self) -> bool:
        """Whether a commit succeeds right now."""
        if self._writer.broken:
            return False
        # The commit below is small, and may fit where an envelope does not.
        if shutil.disk_usage(self._path.parent).free < FREE_SPACE:
            return False
        try:
            await self._writer.submit(_touch)
        except Exception:
            return False
        return True

    async def close(self) -> None:
        """Finish what waits, then close both connections."""
        loop = asyncio.get_running_loop()
        self._reading.shutdown(wait=True)
        self._reader.close()
        await loop.run_in_executor(None, self._writer.close)
