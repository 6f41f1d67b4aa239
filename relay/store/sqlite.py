"""The durable store: one SQLite file, one writing thread, two reading threads.

Owns who does what: what writes goes to the group commit and returns after its fsync, what only reads sees
every commit made so far and never waits for one. Frames are read by a thread of their own, so that a login
or a fetch waits behind nobody's mailbox. Knows no SQL.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import apsw

from relay.store import checksums, drops, holdings, leases, tables
from relay.store.base import (
    ANYBODY,
    Condition,
    Deletion,
    DeviceStatus,
    Lease,
    LeasedFrame,
    Measure,
    NewFrame,
    Offer,
    PutResult,
    Quota,
    Returned,
    StockCount,
    StoredFrame,
    Terms,
    Token,
)
from relay.store.life import Gap, count_commit, settle
from relay.store.mark import Mark, mark_path, write_mark
from relay.store.reader import Reader
from relay.store.room import CHANGE, has_room
from relay.store.schema import columns, open_reader, open_writer, truncate_log, unusable
from relay.store.soundness import Inspection
from relay.store.writer import DAMAGE, Log, Writer, as_wire_error, uncounted
from wire.device_lists import DeviceList
from wire.errors import ErrorCode, WireError
from wire.prekeys import Prekey

Result = TypeVar("Result")

MARK_EVERY: Final = 1.0  # seconds: what is lost of the last one is not noticed
WRITABLE_WITHIN: Final = 2.0  # seconds: a store that is held, or far behind, is not ready either


def _silent(event: str, reason: str) -> None:
    """Where nobody wants to know."""


def _touch(connection: apsw.Connection, directory: Path) -> bool:
    """The smallest change there is, which makes the commit a real one; and whether frames may be put."""
    connection.pragma("user_version", int(connection.pragma("user_version")))
    return has_room(connection, directory)


def _with_room(
    connection: apsw.Connection, directory: Path, add: Callable[[apsw.Connection], Result]
) -> Result:
    if not has_room(connection, directory):
        raise WireError(ErrorCode.STORAGE_FULL, "the relay's disk is full; nothing was stored")
    return add(connection)


class SqliteStore:
    """A `Store` in one file. Open it inside a running event loop."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        readers: tuple[apsw.Connection, apsw.Connection],
        quota: Quota,
        log: Log,
        stored: Mark,
    ) -> None:
        self._path = path
        self._writer = writer
        self._frames = Reader(readers[0], "relay-frames")
        self._rest = Reader(readers[1], "relay-reader")
        self._quota = quota
        self._log = log
        self._inspection: Inspection | None = None
        self._mark = self._marked = stored
        self._keeping = asyncio.get_running_loop().create_task(self._keep_mark())
        self.missing: Gap | None = None  # what the start found to be lost
        self.columns: frozenset[str] = frozenset()  # each `table.column` of the file

    @classmethod
    def open(
        cls,
        path: Path,
        quota: Quota | None = None,
        log: Log = _silent,
        vfs: str | None = None,
        on_commit: Callable[[float], None] = uncounted,
    ) -> Self:
        """Open or create the file. Raises StoreUnusableError with a sentence for the operator.

        `on_commit` is told, in the writing thread, how many seconds each commit took.
        """
        connection, is_checked = open_writer(path, vfs)
        try:
            # Before the writer's thread starts, which would outlive a failure.
            readers = open_reader(path), open_reader(path)
            gap, stored = settle(connection, mark_path(path), log)
            found = columns(connection)
        except apsw.Error as error:
            connection.close()
            raise unusable(path, error) from error
        except BaseException:
            connection.close()
            raise
        store = cls(
            path, Writer(connection, log, count_commit, on_commit), readers, quota or Quota(), log, stored
        )
        store.missing, store.columns = gap, found
        if not is_checked:
            loop = asyncio.get_running_loop()

            def mend() -> None:
                """In the inspection's thread: the writer makes the indexes anew."""
                asyncio.run_coroutine_threadsafe(store._writer.submit(checksums.mend), loop).result()

            store._inspection = Inspection(path, partial(store._writer.stop, Condition.DAMAGED), mend, log)
        return store

    async def _read(self, reader: Reader, operation: Callable[[apsw.Connection], Result]) -> Result:
        try:
            return await reader.read(operation)
        except (apsw.Error, UnicodeDecodeError) as error:
            if isinstance(error, DAMAGE):
                # What is read next may be wrong without a word: at least nothing is deleted after it.
                self._writer.stop(Condition.DAMAGED)
            raise as_wire_error(error) from error

    async def _keep_mark(self) -> None:
        while True:
            await asyncio.sleep(MARK_EVERY)
            await self._write_mark()

    async def _write_mark(self) -> None:
        mark = replace(self._mark, commits=self._mark.commits + self._writer.commits, at=int(time.time()))
        if mark.commits == self._marked.commits:
            return
        try:
            await asyncio.to_thread(write_mark, mark_path(self._path), mark)
            self._marked = mark
        except OSError as error:
            self._log("the mark could not be written", type(error).__name__)

    async def _add(self, add: Callable[[apsw.Connection], Result], size: int = 0) -> Result:
        """Run what adds rows, or more than it deletes: not where the room is kept for deletions."""
        operation = partial(_with_room, directory=self._path.parent, add=add)
        return await self._writer.submit(operation, size + CHANGE)

    async def register(self, device_list: DeviceList, terms: Terms = ANYBODY) -> tuple[bytes, ...]:
        """See `Store.register`."""
        operation = partial(tables.register, device_list=device_list, terms=terms)
        return await self._add(operation, len(device_list.encode()))

    async def publish(self, device_key: bytes, prekeys: Sequence[Prekey], anew: bool = False) -> StockCount:
        """See `Store.publish`."""
        operation = partial(tables.publish, device_key=device_key, prekeys=prekeys, anew=anew)
        return await self._add(operation, sum(len(prekey.encode()) for prekey in prekeys))

    async def keep_checkpoint(self, device_key: bytes, checkpoint: bytes) -> None:
        """See `Store.keep_checkpoint`."""
        await self._add(partial(tables.keep_checkpoint, device_key=device_key, checkpoint=checkpoint))

    async def fetch(self, account_key: bytes, take: bool, since: int | None = None) -> Offer | None:
        """See `Store.fetch`."""
        operation = partial(tables.fetch, account_key=account_key, take=take, since=since)
        return await (self._writer.submit(operation) if take else self._read(self._rest, operation))

    async def allow(self, device_key: bytes, tokens: Sequence[Token]) -> None:
        """See `Store.allow`."""
        await self._add(partial(tables.allow, device_key=device_key, tokens=tokens))

    async def put(
        self,
        mailbox: bytes,
        frames: Sequence[NewFrame],
        now: int,
        token_hash: bytes | None,
        request_room: int | None = None,
    ) -> list[PutResult]:
        """See `Store.put`."""
        put = partial(
            tables.put,
            quota=self._quota,
            device_key=mailbox,
            frames=frames,
            now=now,
            token_hash=token_hash,
            request_room=request_room,
        )
        operation = partial(_with_room, directory=self._path.parent, add=put)
        results = await self._writer.submit(operation, sum(len(frame.envelope) for frame in frames))
        stored = sum(result in (PutResult.STORED, PutResult.REQUESTED) for result in results)
        self._mark = replace(self._mark, frames=self._mark.frames + stored)
        return results

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        """See `Store.pull`."""
        return await self._read(
            self._frames,
            partial(
                checksums.pull,
                device_key=mailbox,
                after_sequence=after_sequence,
                max_frames=max_frames,
                max_bytes=max_bytes,
            ),
        )

    async def lease(self, mailbox: bytes) -> Lease | None:
        """See `Store.lease`."""
        return await self._add(partial(leases.lease, device_key=mailbox, quota=self._quota))

    async def keep(self, frames: Sequence[LeasedFrame], ended: Sequence[Returned], now: int) -> list[bool]:
        """See `Store.keep`."""
        keep = partial(leases.keep, frames=frames, ended=ended, now=now)
        # What only gives sequences back needs no room.
        operation = partial(_with_room, directory=self._path.parent, add=keep) if frames else keep
        kept = await self._writer.submit(operation, sum(len(frame.envelope) for frame in frames))
        self._mark = replace(self._mark, frames=self._mark.frames + sum(kept))
        return kept

    async def discard(self, mailbox: bytes, sequences: Sequence[int]) -> int:
        """See `Store.discard`."""
        operation = partial(checksums.discard, device_key=mailbox, sequences=sequences)
        return await self._writer.submit(operation)

    async def acknowledge(self, mailbox: bytes, through: int) -> int:
        """See `Store.acknowledge`."""
        return await self._writer.submit(partial(tables.acknowledge, device_key=mailbox, through=through))

    async def expire(self, stored_before: int, at_most: int) -> int:
        """See `Store.expire`."""
        return await self._writer.submit(partial(tables.expire, stored_before=stored_before, at_most=at_most))

    async def prune(self, now: int) -> int:
        """See `Store.prune`."""
        return await self._writer.submit(partial(tables.prune, now=now))

    async def clear(self, at_most: int) -> int:
        """See `Store.clear`."""
        return await self._writer.submit(partial(drops.clear, at_most=at_most))

    async def forget(self, dropped_before: int, at_most: int) -> int:
        """See `Store.forget`."""
        operation = partial(drops.forget, dropped_before=dropped_before, at_most=at_most)
        return await self._writer.submit(operation)

    async def export(self, device_key: bytes, place: bytes | None) -> holdings.Page:
        """See `Store.export`. By the thread that reads frames, as it reads many."""
        return await self._read(self._frames, partial(holdings.export, device_key=device_key, place=place))

    async def delete(self, account_key: bytes) -> Deletion:
        """See `Store.delete`."""
        return await self._writer.submit(partial(drops.delete, account_key=account_key))

    async def wipe(self) -> bool:
        """See `Store.wipe`."""
        if self._writer.stopped is not None:
            return False
        try:
            return await asyncio.to_thread(truncate_log, self._path)
        except apsw.Error as error:
            raise as_wire_error(error) from error

    async def status(self, device_key: bytes) -> DeviceStatus:
        """See `Store.status`."""
        return await self._read(self._rest, partial(tables.status, device_key=device_key))

    async def condition(self) -> Condition:
        """Whether a commit succeeds right now."""
        try:
            async with asyncio.timeout(WRITABLE_WITHIN):
                is_room = await self._writer.submit(partial(_touch, directory=self._path.parent))
        except Exception:
            is_room = False
        if self._writer.stopped or not is_room:
            return self._writer.stopped or Condition.FULL
        return Condition.READY

    async def measure(self) -> Measure:
        """See `Store.measure`; bytes are those on the disk, the log's among them."""
        frames = await self._read(self._rest, tables.frames)
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        size = sum(path.stat().st_size for path in files if path.exists())
        missing = self.missing.frames if self.missing is not None else 0
        return Measure(frames, size, self._writer.waiting, missing)

    async def close(self) -> None:
        """Finish what waits, then close all connections and leave a mark of the last commit."""
        self._keeping.cancel()
        await asyncio.wait((self._keeping,))
        loop = asyncio.get_running_loop()
        if self._inspection is not None:
            await loop.run_in_executor(None, self._inspection.close)
        await self._frames.close()
        await self._rest.close()
        await loop.run_in_executor(None, self._writer.close)
        await self._write_mark()
