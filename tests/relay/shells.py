"""Connections over a socket of the test's own: one relay's parts, without a server."""

import asyncio
from collections import deque

from relay.admission import Admission, Caps
from relay.auth import Authority, RelayKey
from relay.backlog import Backlog
from relay.connection import Connection
from relay.directory import Directory
from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.presence import Presence
from relay.registration import Registration
from relay.session import Session
from relay.sockets import Receiver
from relay.store.memory import MemoryStore
from relay.surroundings import Surroundings
from tests.relay.devices import NOW, Account
from tests.relay.paces import Slow
from wire import control
from wire.control import ControlMessage
from wire.login import Greeting, Mode

ORIGIN = "ws://relay"


class FakeSocket:
    """What the relay hears comes from the test; what it says is queued for the test."""

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.said: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self.aborted = asyncio.Event()
        self._heard: deque[str | bytes | None] = deque()
        self._is_held = False
        self._is_due = False
        self._is_reading = True

    # --- what the test does ---

    def hear(self, message: ControlMessage | str | bytes) -> None:
        """One message, by itself."""
        self._heard.append(message if isinstance(message, str | bytes) else message.encode())
        self._hand_over()

    def leave(self) -> None:
        """The peer is gone."""
        self._heard.append(None)
        self._hand_over()

    def read(self, reads: bool) -> None:
        """Whether the peer reads."""
        self._is_reading = reads
        self.wake()

    async def next(self) -> ControlMessage | bytes | int:
        said = await asyncio.wait_for(self.said.get(), 20)
        return control.decode_relay_message(said) if isinstance(said, str) else said

    # --- what the connection asks for ---

    def wake(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._write)

    def hold(self) -> None:
        self._is_held = True

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._hand_over()

    def unsent(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted.set()
        asyncio.get_running_loop().call_soon(self._lose)

    def _hand_over(self) -> None:
        while self._heard and not self._is_held and self.receiver is not None:
            message = self._heard.popleft()
            if message is None:
                self._lose()
                return
            if isinstance(message, str):
                self.receiver.text(message)
            else:
                self.receiver.binary(message)
            self.receiver.read()

    def _write(self) -> None:
        self._is_due = False
        if self.receiver is None:
            return
        outbound = self.receiver.outbound
        if self._is_reading:
            for item in outbound.take(1 << 30):
                self.said.put_nowait(item)
            if outbound.farewell is not None:
                self.said.put_nowait(int(outbound.farewell))
                self._lose()
                return
        self.receiver.written()

    def _lose(self) -> None:
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost()


class Bench:
    """One relay's parts, without a server."""

    def __init__(
        self,
        store: MemoryStore | None = None,
        login_deadline: float = 10,
        slow: Slow | None = None,
        buffered_bytes: int = 1 << 30,
    ) -> None:
        self.login_deadline = login_deadline
        self.store = store or MemoryStore()
        self.metrics = Metrics()
        self.mailboxes = Mailboxes(self.store, self.metrics, lambda: NOW)
        self.faults: list[BaseException] = []
        directory = Directory(self.store, self.mailboxes, self.metrics)
        self.presence = Presence()
        self.backlog = Backlog(buffered_bytes)
        self.shared = Surroundings(
            self.mailboxes,
            directory,
            self.presence,
            self.metrics,
            self.backlog,
            Registration("open", None),
            lambda: NOW,
            self.login_deadline,
            120,
            self.faults.append,
        )
        self.admission = Admission(Caps(9, 9, 9, 9))
        self.slow = slow or Slow()
        self.key = RelayKey(bytes(32))
        self.sockets: list[FakeSocket] = []
        self.left: list[asyncio.Future[None]] = []

    def connect(self) -> tuple[FakeSocket, Connection, asyncio.Future[None]]:
        """A socket, the connection behind it, and what is done once nothing of that is left."""
        socket, pace = FakeSocket(), self.slow.pace()
        session = Session(Authority(self.key), {ORIGIN}, bytes(32), pace)
        ticket = self.admission.enter("here")
        assert ticket is not None
        loop = asyncio.get_running_loop()
        left: asyncio.Future[None] = loop.create_future()
        connection = Connection(
            socket, session, ticket, pace, self.shared, loop.time() + 10, lambda _: left.set_result(None)
        )
        socket.receiver = connection
        self.sockets.append(socket)
        self.left.append(left)
        return socket, connection, left

    async def close(self) -> None:
        """Cut every connection, and wait for what they leave to finish."""
        for socket in self.sockets:
            socket.abort()
        await asyncio.gather(*self.left)
        self.sockets.clear()
        self.left.clear()

    async def device(self, account: Account) -> tuple[FakeSocket, Connection, asyncio.Future[None]]:
        socket, connection, task = self.connect()
        socket.hear(control.Hello(mode=Mode.DEVICE, version=1, origin=ORIGIN, nonce=bytes(32)))
        await socket.next()
        greeting = Greeting(Mode.DEVICE, ORIGIN, self.key.public, bytes(32), bytes(32), NOW)
        signature = account.device.sign(greeting.login_bytes(account.device.key))
        socket.hear(control.Login(device_key=account.device.key, signature=signature))
        assert isinstance(await socket.next(), control.Welcome)
        return socket, connection, task

    async def submit(self) -> tuple[FakeSocket, Connection, asyncio.Future[None]]:
        socket, connection, task = self.connect()
        socket.hear(control.Hello(mode=Mode.SUBMIT, version=1, origin=ORIGIN, nonce=bytes(32)))
        assert isinstance(await socket.next(), control.RelayHello)
        return socket, connection, task
