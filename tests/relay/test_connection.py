"""The shell of one socket against a socket of the test's own: ends, faults and what they leave behind."""

import asyncio
import os
import time

import pytest

from relay import connection as shell
from relay.connection import Connection
from relay.mailboxes import Mailboxes
from relay.outbound import CONTROL_MESSAGES, Outbound
from relay.store.base import DeviceStatus, StockCount, StoredFrame
from relay.store.memory import MemoryStore
from tests.relay.devices import Account, envelope
from tests.relay.shells import ORIGIN, Bench
from wire import control
from wire.errors import CloseCode, ErrorCode, WireError
from wire.frames import Put
from wire.limits import OUTBOUND_BUFFER
from wire.login import Mode


async def test_a_gone_peer_leaves_nothing_running_and_nothing_counted(bench: Bench) -> None:
    account = Account()
    await bench.store.register(account.list())
    before = len(asyncio.all_tasks())
    socket, _, task = await bench.device(account)
    socket.hear(control.Pull())
    socket.leave()
    await task
    assert len(asyncio.all_tasks()) == before
    assert bench.mailboxes.resident(account.device.key) is None
    assert bench.admission.waiting == 0
    assert 'connections{mode="device"} 0.0' in bench.metrics.render().decode()
    assert bench.faults == []


async def test_a_connection_that_is_cut_in_the_middle_of_a_request_cleans_up_as_well() -> None:
    store = SlowStore()
    bench, account = Bench(store), Account()
    await store.register(account.list())
    before = len(asyncio.all_tasks())
    socket, connection, left = bench.connect()
    store.gate.clear()
    socket.hear(control.Hello(mode=Mode.SUBMIT, version=1, origin=ORIGIN, nonce=bytes(32)))
    socket.hear(control.Fetch(ref=1, account_key=account.key, take=False))
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before + 1
    connection.abort()
    await left
    assert len(asyncio.all_tasks()) == before
    assert bench.admission.in_all == 0
    assert bench.faults == []


class SlowStore(MemoryStore):
    """Puts and fetches wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def put(self, *arguments, **named):  # type: ignore[no-untyped-def]  # a store's method, as it is
        await self.gate.wait()
        return await super().put(*arguments, **named)

    async def fetch(self, *arguments, **named):  # type: ignore[no-untyped-def]  # as above
        await self.gate.wait()
        return await super().fetch(*arguments, **named)


async def test_a_frame_in_the_store_rings_though_its_sender_is_gone() -> None:
    store = SlowStore()
    bench, account, content = Bench(store), Account(), envelope()
    await store.register(account.list())
    receiver, _, receiving = await bench.device(account)
    receiver.hear(control.Pull())
    sender, _, sending = await bench.submit()
    sender.hear(Put(os.urandom(16), account.device.key, content).encode())
    sender.leave()
    assert sender.receiver is None
    store.gate.set()
    await sending
    frame = await receiver.next()
    assert isinstance(frame, bytes)
    assert frame.endswith(content)
    receiver.leave()
    await receiving


class BrokenStore(MemoryStore):
    """Has a defect."""

    async def pull(self, *arguments: object) -> list[StoredFrame]:
        raise KeyError("a defect that quotes CANARY")

    async def status(self, device_key: bytes) -> DeviceStatus:
        return DeviceStatus(registered=True)


async def test_a_defect_of_ours_ends_one_connection_with_a_code() -> None:
    bench = Bench(BrokenStore())
    socket, _, task = await bench.device(Account())
    socket.hear(control.Pull())
    error = await socket.next()
    assert isinstance(error, control.Error)
    assert error.code is ErrorCode.INTERNAL
    assert "CANARY" not in error.message
    assert await socket.next() == CloseCode.INTERNAL
    await task
    assert [type(fault) for fault in bench.faults] == [KeyError]


class FailingStore(MemoryStore):
    """Its disk is full."""

    async def fetch(self, account_key: bytes, take: bool, since: int | None = None) -> None:
        raise WireError(ErrorCode.STORAGE_FULL, "full")


async def test_a_store_that_refuses_is_an_answer_not_an_end() -> None:
    bench = Bench(FailingStore())
    socket, _, task = await bench.submit()
    for ref in (1, 2):
        socket.hear(control.Fetch(ref=ref, account_key=bytes(32), take=True))
        error = await socket.next()
        assert isinstance(error, control.Error)
        assert (error.code, error.ref) == (ErrorCode.STORAGE_FULL, ref)
        assert error.retry_after is not None
    socket.leave()
    await task


async def test_a_peer_that_takes_no_last_words_is_cut(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "LAST_WORDS", 0.05)
    socket, connection, task = await bench.submit()
    socket.read(False)
    began = time.monotonic()
    connection.restart()
    await task
    assert socket.aborted.is_set()
    assert time.monotonic() - began < 2
    assert 'dropped_total{reason="deaf"} 1.0' in bench.metrics.render().decode()


async def test_the_queue_of_answers_is_bounded_in_number_and_bytes() -> None:
    outbound = Outbound()
    assert all(outbound.add_control("x") for _ in range(CONTROL_MESSAGES))
    assert not outbound.add_control("x")
    outbound = Outbound()
    assert outbound.add_control("x" * OUTBOUND_BUFFER)
    assert not outbound.add_control("x")


class TakenStore(MemoryStore):
    """A stranger takes a prekey while the device logs in."""

    def __init__(self) -> None:
        super().__init__()
        self.mailboxes: Mailboxes | None = None

    async def status(self, device_key: bytes) -> DeviceStatus:
        assert self.mailboxes is not None
        self.mailboxes.notify_stocks([(device_key, StockCount(9, 9)), (device_key, StockCount(8, 8))])
        await asyncio.sleep(0.01)  # time enough to write, were it allowed
        return await super().status(device_key)


async def test_the_welcome_comes_before_any_notice_of_the_stock() -> None:
    store = TakenStore()
    bench, account = Bench(store), Account()
    store.mailboxes = bench.mailboxes
    await store.register(account.list())
    socket, connection, task = await bench.device(account)  # asserts that the login is answered first
    assert await socket.next() == control.Stock(one_time=8, one_time_kem=8)
    connection.notify_stock(StockCount(7, 7))
    assert await socket.next() == control.Stock(one_time=7, one_time_kem=7)
    socket.leave()
    await task


async def test_an_unregistered_login_keeps_its_place_until_it_registers() -> None:
    bench, account = Bench(login_deadline=1.0), Account()
    socket, _, task = await bench.device(account)
    assert bench.admission.waiting == 1
    socket.hear(control.Register(ref=1, device_list=account.list().encode()))
    assert isinstance(await socket.next(), control.Registered)
    assert (bench.admission.waiting, bench.admission.in_all) == (0, 1)
    await asyncio.sleep(1.1)
    assert socket.said.empty()
    socket.leave()
    await task
    assert bench.admission.in_all == 0


async def test_notices_replace_each_other() -> None:
    outbound = Outbound()
    for number in range(5000):
        outbound.set_notice("stock", f"stock {number}")
    outbound.add_control("answer")
    outbound.add_frames([b"frame"])
    assert outbound.take(100) == ["answer", "stock 4999", b"frame"]


class ReplacingStore(MemoryStore):
    """Whoever pulls is replaced meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.pulls = 0
        self.connections: list[Connection] = []

    async def pull(self, *arguments: object) -> list[StoredFrame]:
        self.pulls += 1
        self.connections[0].replace()
        return [StoredFrame(1, bytes(16), envelope())]


async def test_an_ended_session_pulls_no_more() -> None:
    store = ReplacingStore()
    bench, account = Bench(store), Account()
    await store.register(account.list())
    socket, connection, task = await bench.device(account)
    store.connections.append(connection)
    socket.hear(control.Pull())
    error = await socket.next()
    assert isinstance(error, control.Error)
    assert error.code is ErrorCode.REPLACED
    await task
    assert store.pulls == 1


async def test_answers_go_before_frames_and_the_farewell_drops_frames_only() -> None:
    outbound = Outbound()
    outbound.add_frames([b"frame"])
    outbound.add_control("answer")
    assert outbound.take(100) == ["answer", b"frame"]
    outbound.add_frames([b"frame"])
    outbound.add_control("last words")
    outbound.end(CloseCode.REPLACED)
    outbound.add_frames([b"late"])
    outbound.add_control("late")
    assert outbound.farewell is None
    assert outbound.take(100) == ["last words"]
    assert outbound.farewell is CloseCode.REPLACED
