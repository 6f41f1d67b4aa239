"""Connections over a socket of the test's own: one relay's parts, without a server."""

import asyncio

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
from relay.sockets import SocketClosed
from relay.store.memory import MemoryStore
from relay.surroundings import Surroundings
from tests.relay.devices import NOW, Account
from tests.relay.paces import Slow
from wire import control
from wire.control import ControlMessage
from wire.login import Greeting, Mode

ORIGIN = "ws://relay"


class FakeSocket:
    """What the relay hears is queued by the test; what it says is queued for the test."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.said: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.aborted = asyncio.Event()
        self.gone = asyncio.Event()

    async def receive(self) -> str | bytes:
        message = await self.incoming.get()
        if message is None:
            self.gone.set()
            raise SocketClosed
        return message

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.said.put_nowait(text)

    async def send_bytes(self, data: bytes) -> None:
        await self.reads.wait()
        self.said.put_nowait(data)

    async def close(self, code: int) -> None:
        await self.reads.wait()
        self.said.put_nowait(code)
        self.incoming.put_nowait(None)

    def unsent(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted.set()
        self.incoming.put_nowait(None)

    def hear(self, message: ControlMessage) -> None:
        self.incoming.put_nowait(message.encode())

    async def next(self) -> ControlMessage | bytes | int:
        said = await asyncio.wait_for(self.said.get(), 5)
        return control.decode_relay_message(said) if isinstance(said, str) else said


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
        self.mailboxes = Mailboxes(self.store, self.metrics)
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
        self.running: list[asyncio.Task[None]] = []

    def connect(self) -> tuple[FakeSocket, Connection, asyncio.Task[None]]:
        socket, pace = FakeSocket(), self.slow.pace()
        session = Session(Authority(self.key), {ORIGIN}, bytes(32), pace)
        ticket = self.admission.enter("here")
        assert ticket is not None
        login_by = asyncio.get_running_loop().time() + 10
        connection = Connection(socket, session, ticket, pace, self.shared, login_by)
        task = asyncio.create_task(connection.run())
        self.running.append(task)
        return socket, connection, task

    async def device(self, account: Account) -> tuple[FakeSocket, Connection, asyncio.Task[None]]:
        socket, connection, task = self.connect()
        socket.hear(control.Hello(mode=Mode.DEVICE, version=1, origin=ORIGIN, nonce=bytes(32)))
        await socket.next()
        greeting = Greeting(Mode.DEVICE, ORIGIN, self.key.public, bytes(32), bytes(32), NOW)
        signature = account.device.sign(greeting.login_bytes(account.device.key))
        socket.hear(control.Login(device_key=account.device.key, signature=signature))
        assert isinstance(await socket.next(), control.Welcome)
        return socket, connection, task

    async def submit(self) -> tuple[FakeSocket, Connection, asyncio.Task[None]]:
        socket, connection, task = self.connect()
        socket.hear(control.Hello(mode=Mode.SUBMIT, version=1, origin=ORIGIN, nonce=bytes(32)))
        assert isinstance(await socket.next(), control.RelayHello)
        return socket, connection, task
