"""Tails in every order of events that chance finds: puts, acknowledgements, take-overs, losses, crashes.

The store answers late, and does what it is asked for at some moment in between. What must hold after all of
it: what a sender was told to be accepted is with the device, in its sender's order, and no sequence ever
stood for two frames.
"""

import asyncio
import random
from collections import deque

import pytest

from relay import tails
from relay.store.memory import MemoryStore
from tests.relay.devices import ALLOWED, TOKEN, Account, envelope
from tests.relay.shells import Bench, FakeSocket
from wire import control
from wire.errors import ErrorCode, WireError
from wire.frames import Put, decode_deliver

SEEDS = range(60)
SENDERS = 3
STEPS = 400


class Late(MemoryStore):
    """Takes its time before and after each thing it does. What a dead relay asks for never happens."""

    def __init__(self, chance: random.Random, former: "Late | None" = None) -> None:
        super().__init__()
        self._chance = chance
        self._is_dead = False
        if former is not None:
            former._is_dead = True
            self._lists, self._mailboxes, self._stored = former._lists, former._mailboxes, former._stored

    async def _dally(self) -> None:
        for _ in range(self._chance.choice((0, 0, 1, 3, 12))):
            await asyncio.sleep(0)
        if self._is_dead:
            raise WireError(ErrorCode.INTERNAL, "whoever asks is dead")

    async def put(self, *arguments, **named):  # type: ignore[no-untyped-def]  # a store's method, as it is
        await self._dally()
        results = await super().put(*arguments, **named)
        await self._dally()
        return results

    async def pull(self, *arguments):  # type: ignore[no-untyped-def]  # as above
        await self._dally()
        frames = await super().pull(*arguments)
        await self._dally()
        return frames

    async def lease(self, mailbox):  # type: ignore[no-untyped-def]  # as above
        await self._dally()
        lease = await super().lease(mailbox)
        await self._dally()
        return lease

    async def keep(self, *arguments):  # type: ignore[no-untyped-def]  # as above
        await self._dally()
        kept = await super().keep(*arguments)
        await self._dally()
        return kept

    async def acknowledge(self, *arguments):  # type: ignore[no-untyped-def]  # as above
        await self._dally()
        return await super().acknowledge(*arguments)


class Sender:
    """Sends numbered frames, goes back where it is told to, and begins anew with what has no answer."""

    def __init__(self, name: int, mailbox: bytes) -> None:
        self._name = name
        self._mailbox = mailbox
        self._made = 0
        self._unsent: deque[bytes] = deque()
        self._sent: deque[bytes] = deque()
        self.accepted: list[bytes] = []
        self.socket: FakeSocket | None = None

    async def connect(self, bench: Bench) -> None:
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self.socket, _, _ = await bench.submit()
        self.socket.hear(control.Attach(mailbox=self._mailbox, token=TOKEN))

    def send(self) -> None:
        assert self.socket is not None
        if not self._unsent:
            self._made += 1
            self._unsent.append(bytes([self._name]) + self._made.to_bytes(15))
        frame_id = self._unsent.popleft()
        self._sent.append(frame_id)
        self.socket.hear(Put(frame_id, self._mailbox, envelope()).encode())

    def hear(self) -> None:
        assert self.socket is not None
        while not self.socket.said.empty():
            said = self.socket.said.get_nowait()
            assert isinstance(said, str), said
            answer = control.decode_relay_message(said)
            if isinstance(answer, control.Accepted):
                for frame_id in answer.frames:
                    assert frame_id == self._sent.popleft()
                    self.accepted.append(frame_id)
            else:
                assert isinstance(answer, control.Refused), answer
                self._unsent.appendleft(self._sent.pop())  # in reverse, at worst: sorted when it goes on
                self._unsent = deque(sorted(self._unsent))

    @property
    def is_done(self) -> bool:
        return not self._sent and not self._unsent


class Device:
    """Keeps each frame once, as clients do, and notes which sequence it came under."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.got: list[bytes] = []
        self.of: dict[int, bytes] = {}
        self._seen: set[bytes] = set()
        self._last = 0
        self.socket: FakeSocket | None = None

    async def connect(self, bench: Bench) -> None:
        self._last = 0
        self.socket, _, _ = await bench.device(self._account)
        self.socket.hear(control.Pull())

    def hear(self) -> None:
        assert self.socket is not None
        while not self.socket.said.empty():
            said = self.socket.said.get_nowait()
            if not isinstance(said, bytes):
                continue
            frame = decode_deliver(said)
            assert frame.sequence > self._last, "sequences only rise"
            self._last = frame.sequence
            assert self.of.setdefault(frame.sequence, frame.frame_id) == frame.frame_id
            if frame.frame_id not in self._seen:
                self._seen.add(frame.frame_id)
                self.got.append(frame.frame_id)

    def acknowledge(self) -> None:
        self.hear()
        if self._last:
            assert self.socket is not None
            self.socket.hear(control.Acknowledge(through=self._last))


class World:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store = Late(self.chance)
        self.bench = Bench(self.store)
        self.account = Account()
        self.device = Device(self.account)
        self.senders = [Sender(number, self.account.device.key) for number in range(SENDERS)]
        self.tails_seen = 0

    async def begin(self) -> None:
        await self.store.register(self.account.list())
        await self.store.allow(self.account.device.key, ALLOWED)
        await self.connect()

    async def connect(self) -> None:
        await self.device.connect(self.bench)
        for sender in self.senders:
            await sender.connect(self.bench)

    async def crash(self) -> None:
        """All that was in memory is gone; what the store was asked for has happened or never will."""
        self.device.hear()
        for sender in self.senders:
            sender.hear()
        for socket in (self.device.socket, *(sender.socket for sender in self.senders)):
            assert socket is not None
            socket.receiver = None
        self.store = Late(self.chance, self.store)
        self.bench = Bench(self.store)
        await self.connect()

    async def step(self) -> None:
        sender = self.chance.choice(self.senders)
        match self.chance.choices(range(8), (60, 25, 15, 30, 2, 2, 2, 1))[0]:
            case 0:
                sender.send()
            case 1:
                self.device.acknowledge()
            case 2:
                await asyncio.sleep(0.001)
            case 3:
                for _ in range(self.chance.randrange(20)):
                    await asyncio.sleep(0)
            case 4:
                assert self.device.socket is not None
                self.device.hear()
                self.device.socket.leave()
                await self.device.connect(self.bench)
            case 5:
                await self.device.connect(self.bench)  # takes over
            case 6:
                assert sender.socket is not None
                sender.hear()
                sender.socket.leave()
                await sender.connect(self.bench)
            case _:
                await self.crash()
        self.device.hear()
        for sender in self.senders:
            sender.hear()
        self.tails_seen += self.bench.mailboxes.tails.of(self.account.device.key) is not None

    async def settle(self) -> None:
        for _ in range(20_000):
            for sender in self.senders:
                sender.hear()
                if not sender.is_done and sender._unsent:
                    sender.send()
            self.device.acknowledge()
            held = self.store._mailboxes[self.account.device.key].frames
            if not held and all(sender.is_done for sender in self.senders):
                return
            await asyncio.sleep(0)
        raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_accepted_is_lost_or_out_of_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "WRITE_AFTER", random.Random(seed).choice((0.0, 0.0005, 0.002, 60.0)))
    monkeypatch.setattr(tails, "WRITTEN_TOGETHER", random.Random(seed).choice((1, 3, 256)))
    world = World(seed)
    await world.begin()
    for _ in range(STEPS):
        await world.step()
    if tails.WRITE_AFTER == 60.0:
        monkeypatch.setattr(tails, "WRITE_AFTER", 0.0)
    await world.settle()
    assert world.tails_seen > STEPS / 20, "tails are what is tried here"
    for name, sender in enumerate(world.senders):
        got = [frame_id for frame_id in world.device.got if frame_id[0] == name]
        assert got == sorted(got), "out of order"
        assert set(sender.accepted) <= set(got), "lost"
        assert len(got) == sender._made
    assert world.bench.faults == []
    await world.bench.close()
