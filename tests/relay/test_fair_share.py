"""What one connection may take of the relay while others wait: memory, the store's threads, its commits."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import apsw
import pytest

from relay.lanes import BATCH_BYTES as LANE_BYTES
from relay.lanes import Batch, Lanes
from relay.outbound import FRAMES_HIGH, FRAMES_LOW, Outbound
from relay.store.base import NewFrame, StoredFrame
from relay.store.memory import MemoryStore
from relay.store.schema import open_writer
from relay.store.sqlite import SqliteStore
from relay.store.writer import BATCH_BYTES, SMALL, Writer
from tests.relay.devices import ALLOWED, HELD, NOW, Account, envelope
from tests.relay.shells import Bench
from wire import control
from wire.errors import ErrorCode
from wire.frames import Put

LARGE = 65_536


class CountingStore(MemoryStore):
    """Counts what was pulled, and holds puts until the test lets them go."""

    def __init__(self) -> None:
        super().__init__()
        self.pulled = 0
        self.most_pulled = 0
        self.putting: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def pull(
        self, mailbox: bytes, after_sequence: int, max_frames: int, max_bytes: int
    ) -> list[StoredFrame]:
        frames = await super().pull(mailbox, after_sequence, max_frames, max_bytes)
        size = sum(len(frame.envelope) for frame in frames)
        self.pulled += size
        self.most_pulled = max(self.most_pulled, size)
        return frames

    async def put(  # type: ignore[no-untyped-def]  # a store's method, as it is
        self, mailbox, frames, now, token_hash, request_room=None
    ):
        self.putting.append(sum(len(frame.envelope) for frame in frames))
        await self.gate.wait()
        return await super().put(mailbox, frames, now, token_hash, request_room)


@pytest.fixture
async def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
async def shared(store: CountingStore) -> AsyncIterator[Bench]:
    bench = Bench(store)
    yield bench
    store.gate.set()
    await bench.close()


async def full_mailbox(store: MemoryStore, account: Account, count: int, size: int) -> None:
    await store.register(account.list())
    await store.allow(account.device.key, ALLOWED)
    for _ in range(count):
        await store.put(account.device.key, [NewFrame(os.urandom(16), envelope(size))], NOW, HELD)


async def settled(bench: Bench) -> None:
    """Until no task of the bench has anything left to do without the test."""
    for _ in range(500):
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1024, LARGE])
async def test_a_reader_that_never_reads_holds_little_of_the_relay(
    shared: Bench, store: CountingStore, size: int
) -> None:
    account = Account()
    await full_mailbox(store, account, 2 * 1024 * 1024 // size, size)
    socket, _, _ = await shared.device(account)
    socket.read(False)
    socket.hear(control.Pull())
    await settled(shared)
    held = store.pulled
    assert 0 < held <= FRAMES_HIGH
    # Read on, it gets everything that may be unacknowledged, in parts that hold up nobody.
    socket.read(True)
    await settled(shared)
    assert held < store.pulled <= 1024 * 1024
    assert store.most_pulled <= FRAMES_HIGH


async def test_nobody_waits_for_a_reader_that_never_reads(shared: Bench, store: CountingStore) -> None:
    deaf, bob = Account(), Account()
    await full_mailbox(store, deaf, 40, LARGE)
    await full_mailbox(store, bob, 0, LARGE)
    silent, _, _ = await shared.device(deaf)
    reading, _, _ = await shared.device(bob)
    silent.read(False)
    for device in (silent, reading):
        device.hear(control.Pull())
    sender, _, _ = await shared.submit()
    for account in (deaf, bob):
        sender.hear(Put(os.urandom(16), account.device.key, envelope()).encode())
    answers = [await sender.next(), await sender.next()]
    assert all(isinstance(answer, control.Accepted | control.QueuedAsRequest) for answer in answers)
    assert isinstance(await reading.next(), bytes)


async def test_frames_are_fetched_again_once_half_of_them_is_written() -> None:
    outbound = Outbound()
    assert outbound.frame_room() == FRAMES_HIGH
    for _ in range(3):
        outbound.add_frames([bytes(LARGE)])
    assert outbound.frame_room() == 0
    assert not outbound.has_room_again()
    outbound.take(1)
    assert outbound.has_room_again()
    assert outbound.frame_room() == FRAMES_HIGH - FRAMES_LOW
    assert not outbound.has_room_again()  # it was told


async def test_answers_go_before_frames_that_wait() -> None:
    outbound = Outbound()
    outbound.add_frames([b"frame"])
    outbound.add_control("answer")
    assert outbound.take(100) == ["answer", b"frame"]


async def test_one_connection_has_two_batches_with_the_store_at_a_time(
    shared: Bench, store: CountingStore
) -> None:
    accounts = [Account() for _ in range(5)]
    for account in accounts:
        await full_mailbox(store, account, 0, 1024)
    store.gate.clear()
    socket, _, _ = await shared.submit()
    for account in accounts:
        for _ in range(3):
            socket.hear(Put(os.urandom(16), account.device.key, envelope(LARGE)).encode())
    await settled(shared)
    assert len(store.putting) == 2
    store.gate.set()
    accepted = 0
    while accepted < 15:
        answer = await socket.next()
        accepted += len(getattr(answer, "frames", ()))
    assert sum(store.putting) == 15 * LARGE


def test_a_batch_is_bounded_in_bytes_and_never_empty() -> None:
    lanes, mailbox = Lanes(), bytes(32)
    for _ in range(9):
        assert lanes.offer(mailbox, NewFrame(os.urandom(16), envelope(LARGE)), None) is None
    (batch,) = lanes.batches()
    sizes = list[int]()
    following: Batch | None = batch
    while following is not None:
        sizes.append(sum(len(frame.envelope) for frame in following.frames))
        _, following = lanes.settle(mailbox, [ErrorCode.NOT_FOUND] * len(following.frames))
    assert sizes == [LANE_BYTES, LANE_BYTES, LARGE]


# --- the writer's batches ---


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    connection, _ = open_writer(tmp_path / "relay.db")
    writer = Writer(connection, lambda event, reason: None)
    yield writer
    await asyncio.to_thread(writer.close)


class Order:
    """Notes in which commit each operation ran; the first one holds the writer until all others wait."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._hold = threading.Event()
        self._held = threading.Event()
        self.ran: list[str] = []

    def _wait(self, connection: apsw.Connection) -> None:
        self._held.set()
        self._hold.wait(10)

    def _note(self, name: str, connection: apsw.Connection) -> None:
        self.ran.append(name)

    async def run(self, waiting: list[tuple[str, int]]) -> list[str]:
        first = asyncio.create_task(self._writer.submit(self._wait))
        await asyncio.to_thread(self._held.wait, 10)
        tasks = [
            asyncio.create_task(self._writer.submit(partial(self._note, name), size))
            for name, size in waiting
        ]
        await asyncio.sleep(0)
        self._hold.set()
        await asyncio.gather(first, *tasks)
        return self.ran


async def test_small_operations_do_not_wait_for_a_flood_of_large_ones(writer: Writer) -> None:
    flood = [(f"large {number}", 256 * 1024) for number in range(40)]
    ran = await Order(writer).run([*flood, ("put", 1024), ("publish", 0)])
    assert ran[:2] == ["put", "publish"]
    assert ran[2:] == [name for name, _ in flood]  # in their own order


async def test_large_operations_do_not_wait_for_a_flood_of_small_ones(writer: Writer) -> None:
    flood = [(f"small {number}", SMALL) for number in range(4 * BATCH_BYTES // SMALL)]
    ran = await Order(writer).run([*flood, ("large", 512 * 1024)])
    assert ran.index("large") <= BATCH_BYTES // SMALL


async def test_a_login_and_a_fetch_wait_for_nobodys_mailbox(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "relay.db")
    hold, held = threading.Event(), threading.Event()

    def slow(connection: apsw.Connection) -> None:
        held.set()
        hold.wait(60)

    account = Account()
    await store.register(account.list())
    pulling = asyncio.create_task(store._frames.read(slow))
    await asyncio.to_thread(held.wait, 10)
    try:
        async with asyncio.timeout(20):
            assert (await store.status(account.device.key)).registered
            assert await store.fetch(account.key, take=False) is not None
        assert not pulling.done()
    finally:
        hold.set()
        await pulling
        await store.close()
