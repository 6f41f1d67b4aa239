"""Frames that are handed over before they are stored: who is answered when, and what is never written."""

import asyncio
import os
import time
from collections.abc import Callable

import pytest

from relay import intake, tails
from relay.rates import Granted
from relay.store.base import ANYBODY, NewFrame
from relay.store.memory import MemoryStore
from tests.relay.devices import ALLOWED, HELD, NOW, TOKEN, Account, envelope
from tests.relay.shells import Bench, FakeSocket
from wire import control
from wire.errors import ErrorCode, WireError
from wire.frames import Deliver, Put, decode_deliver


class Watched(MemoryStore):
    """Counts what is written, and refuses to on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.kept = 0
        self.is_full = False

    async def put(self, *arguments, **named):  # type: ignore[no-untyped-def]  # a store's method, as it is
        self.puts += 1
        return await super().put(*arguments, **named)

    async def keep(self, frames, ended, now):  # type: ignore[no-untyped-def]  # as above
        if frames and self.is_full:
            raise WireError(ErrorCode.STORAGE_FULL, "full")
        self.kept += len(frames)
        return await super().keep(frames, ended, now)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(5000):
        if is_so():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("in vain")


class Scene:
    """One sender, and one device that reads and has a tail."""

    def __init__(self) -> None:
        self.store = Watched()
        self.bench = Bench(self.store)
        self.owner = Account()
        self.key = self.owner.device.key

    async def begin(self) -> None:
        await self.store.register(self.owner.list())
        await self.store.allow(self.key, ALLOWED)
        self.device, _, _ = await self.bench.device(self.owner)
        self.device.hear(control.Pull())
        self.sender, _, _ = await self.bench.submit()
        self.sender.hear(control.Attach(mailbox=self.key, token=TOKEN))
        await until(lambda: self.bench.mailboxes.tails.of(self.key) is not None)
        self.store.puts = self.store.kept = 0

    def put(self, frame_id: bytes | None = None, size: int = 1024) -> bytes:
        frame_id = frame_id or os.urandom(16)
        self.sender.hear(Put(frame_id, self.key, envelope(size)).encode())
        return frame_id

    async def delivered(self, device: FakeSocket | None = None) -> Deliver:
        said = await (device or self.device).next()
        assert isinstance(said, bytes), said
        return decode_deliver(said)

    async def accepted(self) -> list[bytes]:
        said = await self.sender.next()
        assert isinstance(said, control.Accepted), said
        return said.frames

    async def through(self, frame_id: bytes) -> int:
        """Until it is acknowledged and its sender knows; its sequence."""
        frame = await self.delivered()
        assert frame.frame_id == frame_id
        self.device.hear(control.Acknowledge(through=frame.sequence))
        assert await self.accepted() == [frame_id]
        return frame.sequence

    async def held(self) -> list[bytes]:
        return [frame.frame_id for frame in await self.store.pull(self.key, 0, 999, 1 << 24)]


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is old enough to be written."""
    monkeypatch.setattr(tails, "WRITE_AFTER", 60.0)


async def test_what_is_acknowledged_in_time_is_never_written(slow: None, scene: Scene) -> None:
    sequences = [await scene.through(scene.put()) for _ in range(20)]
    assert sequences == list(range(sequences[0], sequences[0] + 20))
    assert (scene.store.puts, scene.store.kept) == (0, 0)
    assert await scene.held() == []
    text = scene.bench.metrics.render().decode()
    for name in ("accepted", "delivered", "acknowledged"):
        assert f"blindpost_frames_{name}_total 20.0" in text


async def test_it_is_handed_over_before_it_is_written_and_answered_once_it_is(scene: Scene) -> None:
    frame_id = scene.put()
    frame = await scene.delivered()
    assert scene.store.kept == 0
    assert scene.sender.said.empty()
    assert await scene.accepted() == [frame_id]
    assert await scene.held() == [frame_id]
    scene.device.hear(control.Acknowledge(through=frame.sequence))
    await until(lambda: not scene.store._mailboxes[scene.key].frames)
    await scene.through(scene.put())
    text = scene.bench.metrics.render().decode()
    for name in ("accepted", "acknowledged"):
        assert f"blindpost_frames_{name}_total 2.0" in text


async def test_a_device_that_goes_leaves_what_it_had_not_acknowledged(slow: None, scene: Scene) -> None:
    frame_ids = [scene.put() for _ in range(3)]
    first = await scene.delivered()
    scene.device.leave()
    assert await scene.accepted() == [frame_ids[0]]
    assert await scene.accepted() == frame_ids[1:]
    assert await scene.held() == frame_ids
    device, _, _ = await scene.bench.device(scene.owner)
    device.hear(control.Pull())
    again = [await scene.delivered(device) for _ in range(3)]
    assert [frame.frame_id for frame in again] == frame_ids
    assert again[0].sequence == first.sequence


async def test_the_connection_that_takes_over_gets_what_the_other_had_not_acknowledged(
    slow: None, scene: Scene
) -> None:
    frame_id = scene.put()
    await scene.delivered()
    newer, _, _ = await scene.bench.device(scene.owner)
    newer.hear(control.Pull())
    assert (await scene.delivered(newer)).frame_id == frame_id
    assert await scene.accepted() == [frame_id]


async def test_a_frame_that_comes_again_is_handed_over_once(slow: None, scene: Scene) -> None:
    frame_id = scene.put()
    await scene.delivered()
    other, _, _ = await scene.bench.submit()
    other.hear(control.Attach(mailbox=scene.key, token=TOKEN))
    other.hear(Put(frame_id, scene.key, envelope()).encode())
    assert await other.next() == control.Accepted(frames=[frame_id])
    assert await scene.accepted() == [frame_id]
    assert await scene.held() == [frame_id]
    assert scene.device.said.empty()


@pytest.mark.parametrize("token", [None, b"n" * 16])
async def test_who_has_no_token_that_holds_is_for_the_store_to_judge(
    slow: None, scene: Scene, token: bytes | None
) -> None:
    stranger, _, _ = await scene.bench.submit()
    if token is not None:
        stranger.hear(control.Attach(mailbox=scene.key, token=token))
    before = scene.put()
    stranger.hear(Put(bytes(16), scene.key, envelope()).encode())
    assert await stranger.next() == control.QueuedAsRequest(frames=[bytes(16)])
    assert await scene.accepted() == [before]
    frames = [await scene.delivered() for _ in range(2)]
    assert [frame.flags for frame in frames] == [0, 1]
    assert frames[0].sequence < frames[1].sequence


async def test_a_stranger_is_answered_as_late_whether_the_device_is_there_or_not(
    slow: None, scene: Scene
) -> None:
    stranger, _, _ = await scene.bench.submit()

    async def time_of_a_request() -> float:
        begun, frame_id = time.monotonic(), os.urandom(16)
        stranger.hear(Put(frame_id, scene.key, envelope()).encode())
        assert await stranger.next() == control.QueuedAsRequest(frames=[frame_id])
        return time.monotonic() - begun

    there = min([await time_of_a_request() for _ in range(5)])
    scene.device.leave()
    await scene.bench.mailboxes.tails.settled(scene.key)
    away = min([await time_of_a_request() for _ in range(5)])
    assert min(there, away) >= intake.STRANGERS_WAIT - 0.001
    assert abs(there - away) < intake.STRANGERS_WAIT / 5


async def test_a_token_that_is_taken_back_holds_no_longer(slow: None, scene: Scene) -> None:
    scene.device.hear(control.Allow(ref=1, tokens=[]))
    assert isinstance(await scene.device.next(), control.Allowed)
    frame_id = scene.put()
    assert await scene.sender.next() == control.QueuedAsRequest(frames=[frame_id])


async def test_who_reads_slowly_is_served_from_the_store(scene: Scene) -> None:
    scene.device.read(False)
    frame_ids = []
    for _ in range(300):
        frame_ids.append(scene.put())
        assert await scene.accepted() == [frame_ids[-1]]
    assert await scene.held() == frame_ids
    assert scene.bench.mailboxes.tails.of(scene.key) is None
    scene.device.read(True)
    for frame_id in frame_ids:
        frame = await scene.delivered()
        assert frame.frame_id == frame_id
        scene.device.hear(control.Acknowledge(through=frame.sequence))


async def test_a_full_disk_is_told_to_the_sender_and_order_holds(scene: Scene) -> None:
    scene.store.is_full = True
    frame_id = scene.put()
    await scene.delivered()
    refused = await scene.sender.next()
    assert isinstance(refused, control.Refused)
    assert (refused.frame, refused.code) == (frame_id, ErrorCode.STORAGE_FULL)
    later = scene.put()
    refused = await scene.sender.next()
    assert isinstance(refused, control.Refused)
    assert (refused.frame, refused.code) == (later, ErrorCode.GO_BACK)
    scene.store.is_full = False
    scene.put(frame_id)
    assert await scene.accepted() == [frame_id]


async def test_a_defect_of_the_store_is_told_and_stops_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*arguments: object) -> None:
        raise KeyError("a defect that quotes CANARY")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store, "keep", broken)
        frame_id = scene.put()
        await scene.delivered()
        refused = await scene.sender.next()
        assert isinstance(refused, control.Refused)
        assert (refused.frame, refused.code) == (frame_id, ErrorCode.INTERNAL)
        assert "CANARY" not in refused.message
    scene.put(frame_id)  # the tail ends, and the store takes it
    assert await scene.accepted() == [frame_id]


async def test_a_dropped_device_gets_nothing_more_and_its_sender_is_told(slow: None, scene: Scene) -> None:
    scene.put()
    await scene.delivered()
    first = scene.owner.list()
    other = Account().device
    scene.owner.devices = [other]
    await scene.bench.mailboxes.register(scene.owner.successor(first), terms=ANYBODY)
    refused = await scene.sender.next()
    assert isinstance(refused, control.Refused)
    assert refused.code is ErrorCode.NOT_FOUND


async def test_all_tails_end_with_the_relay(slow: None, scene: Scene) -> None:
    frame_id = scene.put()
    await scene.delivered()
    await scene.bench.mailboxes.tails.end_all()
    assert await scene.held() == [frame_id]
    assert await scene.accepted() == [frame_id]


async def test_who_has_no_rate_left_ends_nobodys_tail(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    other, connection, _ = await scene.bench.submit()
    monkeypatch.setattr(connection._pace, "put", lambda token_hash, count: Granted(0, 5))
    before = scene.bench.mailboxes.tails.of(scene.key)
    for token in (None, TOKEN):
        if token is not None:
            other.hear(control.Attach(mailbox=scene.key, token=token))
        other.hear(Put(bytes(16), scene.key, envelope()).encode())
        refused = await other.next()
        assert isinstance(refused, control.Refused)
        assert refused.code is ErrorCode.RATE_LIMITED
    assert scene.bench.mailboxes.tails.of(scene.key) is before


async def test_one_id_twice_in_a_batch_is_one_frame(slow: None, scene: Scene) -> None:
    frame_id = os.urandom(16)
    twice = [NewFrame(frame_id, envelope()), NewFrame(frame_id, envelope())]
    tail = scene.bench.mailboxes.tails.of(scene.key)
    assert tail is not None
    assert not tail.takes(twice, HELD, NOW)
    assert tail.takes(twice[:1], HELD, NOW)


async def test_what_tails_take_of_a_queue_leaves_nothing_behind_it() -> None:
    store = Gated()
    bench, owners = Bench(store), [Account() for _ in range(5)]
    sender, _, _ = await bench.submit()
    for owner in owners:
        await store.register(owner.list())
        await store.allow(owner.device.key, ALLOWED)
        sender.hear(control.Attach(mailbox=owner.device.key, token=TOKEN))
    store.gate.clear()
    for owner in owners:  # two of them are with the store now
        sender.hear(Put(os.urandom(16), owner.device.key, envelope()).encode())
    tails_of = bench.mailboxes.tails
    for owner in owners[2:4]:
        device, _, _ = await bench.device(owner)
        device.hear(control.Pull())
        await until(lambda key=owner.device.key: tails_of.of(key) is not None)  # type: ignore[misc]  # mypy cannot infer it
    store.gate.set()
    for _ in owners:
        assert isinstance(await sender.next(), control.Accepted)


class Gated(MemoryStore):
    """Puts wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, *arguments, **named):  # type: ignore[no-untyped-def]  # a store's method, as it is
        await self.gate.wait()
        return await super().put(*arguments, **named)
