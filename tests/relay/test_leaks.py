"""Thousands of connections of every kind leave nothing behind in the relay's memory."""

import asyncio
import gc
import os
import tracemalloc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import apsw
import pytest

from relay import intake
from relay.admission import Admission, Caps
from relay.connection import Connection
from relay.lanes import Batch
from relay.outbound import Outbound
from relay.store.base import PutResult, Token
from relay.store.writer import Writer
from tests.relay.devices import HELD, TOKEN, Account, envelope
from tests.relay.shells import ORIGIN, Bench, FakeSocket
from wire import control
from wire.errors import ErrorCode, WireError
from wire.frames import Put
from wire.login import Mode

WARM, COUNTED = 1000, 2000
MOST_EACH = 32  # bytes on average: any object, or entry of a map with its key, takes more


@pytest.fixture
async def relay() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


async def end(bench: Bench, socket: FakeSocket, task: asyncio.Future[None]) -> None:
    socket.leave()
    await task
    await asyncio.sleep(0)  # the event loop lets go of the timers that were stopped
    bench.sockets.clear()
    bench.left.clear()


Kind = Callable[[Bench, Account], Awaitable[None]]


async def says_nothing(bench: Bench, owner: Account) -> None:
    socket, _, task = bench.connect()
    await end(bench, socket, task)


async def breaks_the_protocol(bench: Bench, owner: Account) -> None:
    socket, _, task = bench.connect()
    socket.hear("no hello")
    assert isinstance(await socket.next(), control.Error)
    await end(bench, socket, task)


async def greets_and_leaves(bench: Bench, owner: Account) -> None:
    socket, _, task = bench.connect()
    socket.hear(control.Hello(mode=Mode.DEVICE, version=1, origin=ORIGIN, nonce=bytes(32)))
    await socket.next()
    await end(bench, socket, task)


async def logs_in_pulls_and_appears(bench: Bench, owner: Account) -> None:
    socket, _, task = await bench.device(owner)
    socket.hear(control.Appear(secrets=[os.urandom(16)]))
    socket.hear(control.Pull())
    await asyncio.sleep(0)
    await end(bench, socket, task)


async def logs_in_with_a_key_out_of_thin_air(bench: Bench, owner: Account) -> None:
    socket, _, task = await bench.device(Account())
    await end(bench, socket, task)


async def submits_fetches_and_watches(bench: Bench, owner: Account) -> None:
    socket, _, task = await bench.submit()
    socket.hear(control.Attach(mailbox=owner.device.key, token=TOKEN))
    socket.hear(control.Watch(ref=1, capability=os.urandom(32)))
    socket.hear(control.Fetch(ref=2, account_key=Account().key, take=True))
    socket.hear(Put(os.urandom(16), owner.device.key, envelope()).encode())
    socket.hear(Put(os.urandom(16), os.urandom(32), envelope()).encode())
    said: set[type] = set()
    while not {control.Accepted, control.Refused, control.Error, control.Presence} <= said:
        said.add(type(await socket.next()))
    await end(bench, socket, task)
    await bench.mailboxes.acknowledge(owner.device.key, 1 << 40)


KINDS: tuple[Kind, ...] = (
    says_nothing,
    breaks_the_protocol,
    greets_and_leaves,
    logs_in_pulls_and_appears,
    logs_in_with_a_key_out_of_thin_air,
    submits_fetches_and_watches,
)


def held() -> int:
    """Bytes that Python objects hold, once what waits for the collector is gone."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_leaves_nothing_behind(
    relay: Bench, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "STRANGERS_WAIT", 0.0)
    owner = Account()
    await relay.store.register(owner.list())
    await relay.store.allow(owner.device.key, [Token(HELD)])
    tracemalloc.start()
    try:
        # The interpreter keeps what it freed, up to a limit: that is reached first, and under the count.
        for _ in range(WARM):
            await kind(relay, owner)
        before = held()
        for _ in range(COUNTED):
            await kind(relay, owner)
        grown = held() - before
    finally:
        tracemalloc.stop()
    assert relay.faults == []
    assert grown / COUNTED <= MOST_EACH, f"{grown} bytes after {COUNTED} connections"


def test_a_hundred_thousand_addresses_leave_no_count() -> None:
    admission = Admission(Caps(9, 9, 9, 9))
    for number in range(100_000):
        ticket = admission.enter(str(number))
        assert ticket is not None
        if number % 2:
            assert ticket.submit()
        ticket.leave()
    assert not admission.before_login
    assert not admission.submit
    assert (admission.waiting, admission.in_all) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_is_over_waits_for_no_search_for_cycles(
    relay: Bench, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "STRANGERS_WAIT", 0.0)
    owner = Account()
    await relay.store.register(owner.list())
    await relay.store.allow(owner.device.key, [Token(HELD)])
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await kind(relay, owner)
        left = Counter(
            type(item).__name__ for item in gc.get_objects() if isinstance(item, Connection | Outbound)
        )
    finally:
        gc.enable()
    assert relay.faults == []
    assert not left


async def test_what_the_store_refuses_waits_for_no_search_for_cycles(
    relay: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> list[PutResult]:
        raise WireError(ErrorCode.STORAGE_FULL, "the relay's disk is full; nothing was stored")

    monkeypatch.setattr(relay.store, "put", refuse)
    gc.collect()
    gc.disable()
    try:
        socket, _, task = await relay.submit()
        socket.hear(Put(os.urandom(16), os.urandom(32), envelope()).encode())
        assert isinstance(await socket.next(), control.Refused)
        await end(relay, socket, task)
        del socket, task, _
        left = [item for item in gc.get_objects() if isinstance(item, Connection | Batch)]
    finally:
        gc.enable()
    assert relay.faults == []
    assert not left


async def test_an_operation_that_fails_waits_for_no_search_for_cycles() -> None:
    class Wanted:
        def __call__(self, _: apsw.Connection) -> None:
            raise WireError(ErrorCode.QUOTA, "no room")

    writer = Writer(apsw.Connection(":memory:"), lambda *_: None)
    wanted = Wanted()
    held = weakref.ref(wanted)
    gc.collect()
    gc.disable()
    try:
        try:
            await writer.submit(wanted)
        except WireError:
            del wanted
        await writer.submit(lambda _: None)  # the thread keeps the last batch until the next one
        assert held() is None
    finally:
        gc.enable()
        writer.close()
