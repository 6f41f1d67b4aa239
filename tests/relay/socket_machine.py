"""Many WebSockets of one real relay, told legal and illegal things in any order, held against a small model.

Owns the machine that `tests/relay/test_socket_machine.py` runs for seconds and `make fuzz` for as long as it
is told. The model knows what became of each frame that was put, and what came out of which mailbox on which
line. Which steps are taken depends on nothing that the relay does, so that a run can be repeated.
"""

import asyncio
import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.relay.devices import HELD, NOW, TOKEN, Account, envelope
from tests.support.relay_process import RelayProcess
from wire import control
from wire.errors import CloseCode
from wire.frames import Deliver, Put, decode_deliver
from wire.login import Greeting, Mode

Result = TypeVar("Result")
PATIENCE = 10.0
LINES = 6  # open at once
LEGAL_ENDS = {*CloseCode} - {CloseCode.INTERNAL} | {1002}
KINDS = ("submit", "submit", "device", "device", "silent", "half", "wrong")
steps = Counter[str]()  # of this process, by rule


class Line:
    """One connection, and everything that was heard on it."""

    def __init__(self, websocket: ClientConnection, origin: str) -> None:
        self.websocket = websocket
        self.origin = origin
        self.said: list[control.RelayMessage] = []
        self.delivered: list[Deliver] = []
        self.account: int | None = None
        self.is_submit = False
        self.put: dict[
            bytes, int
        ] = {}  # frame id of every legal frame, in their order: the account it is for
        self.accepted: dict[bytes, bool] = {}  # by frame id, where it was answered
        self.ended_here = False
        self.news = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    @property
    def is_open(self) -> bool:
        """Whether the relay may still say something."""
        return not self.reading.done()

    async def _read(self) -> None:
        try:
            async for message in self.websocket:
                if isinstance(message, bytes):
                    self.delivered.append(decode_deliver(message))
                else:
                    self._hear(control.decode_relay_message(message))
                self.news.set()
        except ConnectionClosed:
            pass
        finally:
            self.news.set()

    def _hear(self, message: control.RelayMessage) -> None:
        self.said.append(message)
        match message:
            case control.Accepted() | control.QueuedAsRequest():
                for id in message.frames:
                    self._answered(id, True)
            case control.Refused() if message.frame in self.put:
                self._answered(message.frame, False)

    def _answered(self, id: bytes, is_accepted: bool) -> None:
        assert id in self.put, "accepted what was not put"
        assert id not in self.accepted, "answered twice"
        self.accepted[id] = is_accepted

    async def until(self, holds: Callable[[], object]) -> None:
        """Until this holds, or the connection has ended."""
        async with asyncio.timeout(PATIENCE):
            while not holds() and self.is_open:
                self.news.clear()
                await self.news.wait()
        if self.reading.done():
            self.reading.result()

    async def answered(self) -> None:
        """Until every frame has its answer, or the connection has ended."""
        await self.until(lambda: len(self.accepted) == len(self.put))

    async def send(self, message: str | bytes) -> None:
        """Say something, whether or not anybody still hears it."""
        with contextlib.suppress(ConnectionClosed):
            await self.websocket.send(message)

    async def ask(self, message: control.ControlMessage, answer: type[control.ControlMessage]) -> Any:
        """The first answer of a kind after this; None when the connection ended before it."""
        before = len(self.said)

        def found() -> Any:
            return next((item for item in self.said[before:] if isinstance(item, answer)), None)

        await self.send(message.encode())
        await self.until(found)
        return found()

    async def end(self, code: int | None) -> None:
        """Close with this code, or cut."""
        self.ended_here = True
        if code is None:
            self.websocket.transport.abort()
        else:
            await self.websocket.close(code)
        with contextlib.suppress(ConnectionClosed):
            await asyncio.wait_for(self.reading, PATIENCE)


def words(account: Account) -> list[str]:
    """Every control message, with values that mean something to this account's device."""
    key = account.device.key
    tokens = [control.AllowedToken(hash=bytes(32), until=NOW), control.AllowedToken(hash=HELD)]
    said: list[control.ControlMessage] = [
        control.Hello(mode=Mode.SUBMIT, version=1, origin="ws://elsewhere", nonce=bytes(32)),
        control.Login(device_key=key, signature=bytes(64)),
        control.Register(ref=1, device_list=account.list().encode()),
        control.Publish(ref=2, prekeys=[item.encode() for item in account.device.lasting()]),
        control.Pull(),
        control.Acknowledge(through=1),
        control.Acknowledge(through=2**62),
        control.Fetch(ref=3, account_key=account.key, take=True),
        control.Fetch(ref=4, account_key=bytes(32), take=False),
        control.Allow(ref=5, tokens=tokens),
        control.Appear(secrets=[bytes(16)]),
        control.Attach(mailbox=key, token=bytes(16)),
        control.Watch(ref=6, capability=bytes(32)),
    ]  # fmt: skip
    return [message.encode() for message in said]


class SocketMachine(RuleBasedStateMachine):
    """Two accounts and up to six open lines. `relay` is given by a subclass."""

    relay: RelayProcess

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.accounts = [Account(), Account()]
        self.words = words(self.accounts[0])
        self.lines: list[Line] = []
        self.ids = itertools.count()
        self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Carry out one step; the lines are read meanwhile."""
        return self.runner.run(work)

    async def _begin(self) -> None:
        for number in range(len(self.accounts)):  # so that both have mailboxes
            await (await self._device(number)).end(1000)

    def _line(self, which: int) -> Line:
        newest = self.lines[-LINES:]
        return newest[which % len(newest)]

    async def _connect(self) -> Line:
        for line in self.lines[: -LINES + 1]:
            if line.is_open:
                await line.end(1000)
        websocket = await connect(
            self.relay.url, compression=None, proxy=None, max_size=None, ping_interval=None
        )
        line = Line(websocket, self.relay.origin)
        self.lines.append(line)
        return line

    async def _hello(self, line: Line, mode: Mode) -> Greeting:
        nonce = os.urandom(32)
        hello = control.Hello(mode=mode, version=1, origin=line.origin, nonce=nonce)
        answer = await line.ask(hello, control.RelayHello)
        assert answer is not None, "a good hello was refused"
        return Greeting(mode, line.origin, answer.relay_key, answer.nonce, nonce, answer.time)

    async def _device(self, number: int) -> Line:
        line, account = await self._connect(), self.accounts[number]
        greeting = await self._hello(line, Mode.DEVICE)
        signature = account.device.sign(greeting.login_bytes(account.device.key))
        login = control.Login(device_key=account.device.key, signature=signature)
        assert await line.ask(login, control.Welcome), "a good login was refused"
        line.account = number
        assert await line.ask(
            control.Register(ref=1, device_list=account.list().encode()), control.Registered
        )
        tokens = [control.AllowedToken(hash=HELD)]
        assert await line.ask(control.Allow(ref=2, tokens=tokens), control.Allowed)
        await line.send(control.Pull().encode())
        return line

    # --- steps -------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), account=st.integers(0, 1))
    def open(self, kind: str, account: int) -> None:
        """A line that says nothing, puts, logs in, stops after the relay's hello, or logs in wrongly."""
        steps[f"{kind} line"] += 1
        self.run(self._open(kind, account))

    async def _open(self, kind: str, account: int) -> None:
        if kind == "device":
            await self._device(account)
            return
        line = await self._connect()
        if kind == "submit":
            await self._hello(line, Mode.SUBMIT)
            line.is_submit = True
        elif kind != "silent":
            await self._hello(line, Mode.DEVICE)
        if kind == "wrong":
            wrong = control.Login(device_key=self.accounts[account].device.key, signature=b"s" * 64)
            assert await line.ask(wrong, control.Error) is not None

    @rule(
        which=st.integers(0, 50),
        account=st.integers(0, 1),
        count=st.integers(1, 6),
        size=st.sampled_from([1024, 2048, 65536]),
        has_token=st.booleans(),
        waits=st.booleans(),
    )
    def put(self, which: int, account: int, count: int, size: int, has_token: bool, waits: bool) -> None:
        """Legal frames; with `waits` until they are answered."""
        mailbox = self.accounts[account].device.key
        if not any(line.is_submit for line in self.lines[-LINES:]):
            self.run(self._open("submit", account))
        submitting = [line for line in self.lines[-LINES:] if line.is_submit]
        line = submitting[which % len(submitting)]
        steps["frames put"] += count

        async def work() -> None:
            token = TOKEN if has_token else bytes(16)
            await line.send(control.Attach(mailbox=mailbox, token=token).encode())
            for _ in range(count):
                id = os.urandom(16)
                line.put[id] = account
                await line.send(Put(id, mailbox, envelope(size)).encode())
            if waits:
                await line.answered()

        self.run(work())

    @rule(which=st.integers(0, 50))
    def acknowledge(self, which: int) -> None:
        if not any(line.account is not None for line in self.lines[-LINES:]):
            self.run(self._open("device", which % len(self.accounts)))
        pulling = [line for line in self.lines[-LINES:] if line.account is not None]
        line = pulling[which % len(pulling)]
        if line.delivered:
            steps["acknowledge"] += 1
            self.run(line.send(control.Acknowledge(through=line.delivered[-1].sequence).encode()))

    @rule(which=st.integers(0, 50), word=st.integers(0, 12))
    def say_a_word(self, which: int, word: int) -> None:
        steps["word"] += 1
        self.run(self._line(which).send(self.words[word]))

    @rule(which=st.integers(0, 50), word=st.integers(0, 12), at=st.integers(0, 5000), by=st.characters())
    def say_a_spoiled_word(self, which: int, word: int, at: int, by: str) -> None:
        steps["spoiled word"] += 1
        text = self.words[word]
        at %= len(text)
        self.run(
            self._line(which).send((text[:at] + by + text[at + 1 :]).encode("utf-8", "replace").decode())
        )

    @rule(which=st.integers(0, 50), said=st.one_of(st.text(max_size=200), st.binary(max_size=1200)))
    def say_garbage(self, which: int, said: str | bytes) -> None:
        steps["garbage"] += 1
        self.run(self._line(which).send(said))

    @rule(which=st.integers(0, 50), code=st.sampled_from([None, 1000, 1001, 3000, 4999]))
    def end(self, which: int, code: int | None) -> None:
        steps["cut" if code is None else "close"] += 1
        self.run(self._line(which).end(code))

    # --- the account of it all ---------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.run(asyncio.wait_for(self._settle(), 4 * PATIENCE))
        finally:
            self.runner.close()

    async def _settle(self) -> None:
        lines = [*self.lines]
        for line in lines:
            if line.is_submit:
                await line.answered()
            await line.end(1000)
        for number in range(len(self.accounts)):
            accepted = {
                id for line in lines for id, kept in line.accepted.items() if kept and line.put[id] == number
            }
            last = await self._device(number)
            wanted = accepted - {frame.frame_id for line in lines for frame in line.delivered}
            await self._drain(last, wanted)
            await last.end(1000)
            self._check_mailbox(number, [*lines, last])
        for line in self.lines:
            code = line.websocket.close_code
            assert line.ended_here or code in LEGAL_ENDS, f"ended with {code}"

    async def _drain(self, line: Line, wanted: set[bytes]) -> None:
        """Take in and acknowledge until all of these have come."""
        done = -1

        def is_news() -> bool:
            return len(line.delivered) > max(done, 0)

        while not wanted <= {frame.frame_id for frame in line.delivered}:
            await line.until(is_news)
            assert line.is_open, "closed before everything was delivered"
            done = len(line.delivered)
            await line.send(control.Acknowledge(through=line.delivered[-1].sequence).encode())

    def _check_mailbox(self, number: int, lines: list[Line]) -> None:
        """Nothing is lost, invented or doubled on one line, and each sender's order holds."""
        put = {id for line in lines for id, account in line.put.items() if account == number}
        refused = {id for line in lines for id, kept in line.accepted.items() if not kept}
        places: dict[bytes, int] = {}
        for line in lines:
            if line.account == number:
                sequences = [frame.sequence for frame in line.delivered]
                assert sequences == sorted({*sequences}), "out of order on one connection"
                for frame in line.delivered:
                    assert frame.frame_id in put - refused, "nobody has put this"
                    assert places.setdefault(frame.frame_id, frame.sequence) == frame.sequence, "stored twice"
        for line in lines:
            kept = [id for id, account in line.put.items() if account == number and line.accepted.get(id)]
            assert {*kept} <= {*places}, "lost"
            assert [places[id] for id in kept] == sorted(places[id] for id in kept), "a sender's order"
