"""Peers that are slow on purpose, by raw socket. Each returns once the relay has closed it.

What they say is right as far as it goes: only time tells them from a good peer.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.relay.devices import Account, Device
from tests.support.relay_process import RelayProcess
from wire import control
from wire.control import ControlMessage
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

TEXT, BINARY, CONTINUATION, PING = 0x1, 0x2, 0x0, 0x9
DRIP = 0.05  # seconds between two bytes
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def frame(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """One masked frame; a mask of zeros is a mask."""
    head = bytes([opcode | (0x80 if fin else 0)])
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return head + size + bytes(4) + data


@dataclass
class Raw:
    relay: RelayProcess
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    def say(self, message: ControlMessage) -> None:
        self.write(frame(TEXT, message.encode().encode()))

    async def upgrade(self) -> None:
        self.write(UPGRADE)
        await self.reader.readuntil(b"\r\n\r\n")

    async def hear(self) -> ControlMessage:
        """The next text frame of the relay."""
        head = await self.reader.readexactly(2)
        size = head[1]
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        return control.decode_relay_message((await self.reader.readexactly(size)).decode())

    async def hello(self, mode: Mode) -> Greeting:
        nonce, origin = os.urandom(32), self.relay.origin
        self.say(control.Hello(mode=mode, version=PROTOCOL_VERSION, origin=origin, nonce=nonce))
        answer = await self.hear()
        assert isinstance(answer, control.RelayHello)
        return Greeting(mode, origin, answer.relay_key, answer.nonce, nonce, answer.time)

    async def log_in(self, device: Device) -> None:
        greeting = await self.hello(Mode.DEVICE)
        signature = device.sign(greeting.login_bytes(device.key))
        self.say(control.Login(device_key=device.key, signature=signature))
        assert isinstance(await self.hear(), control.Welcome)

    async def closed(self) -> None:
        """Read until the relay ends the connection, with or without a reset."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    async def cut(self, probe: bytes) -> None:
        """Until the relay ends the connection, of which nothing is read."""
        # Only a write tells: what the relay sent before stands in the way of its last word.
        with contextlib.suppress(ConnectionError):
            while not self.writer.is_closing():
                self.write(probe)
                await self.writer.drain()
                await asyncio.sleep(DRIP)

    async def drip(self, data: bytes) -> None:
        """A byte at a time, until all is said or the relay ends the connection."""
        dripping = asyncio.create_task(self._drip(data))
        await self.closed()
        dripping.cancel()

    async def _drip(self, data: bytes) -> None:
        for at in range(len(data)):
            if self.writer.is_closing():
                return
            self.write(data[at : at + 1])
            await asyncio.sleep(DRIP)


@asynccontextmanager
async def raw(relay: RelayProcess, tls: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    plain = socket.socket()
    # What is not read is to wait in the relay, not here.
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", relay.port))
    name = None if tls is None else "127.0.0.1"
    reader, writer = await asyncio.open_connection(sock=plain, ssl=tls, server_hostname=name, limit=8192)
    try:
        yield Raw(relay, reader, writer)
    finally:
        writer.transport.abort()


Case = Callable[[Raw], Coroutine[Any, Any, None]]


async def says_nothing(peer: Raw) -> None:
    await peer.closed()


async def says_half_a_head(peer: Raw) -> None:
    peer.write(b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n")
    await peer.closed()


async def drips_its_head(peer: Raw) -> None:
    await peer.drip(b"GET /v1/ws HTTP/1.1\r\nX: " + b"x" * 10_000)


async def upgrades_and_says_nothing(peer: Raw) -> None:
    await peer.upgrade()
    await peer.closed()


async def says_half_a_frame(peer: Raw) -> None:
    await peer.upgrade()
    peer.write(frame(TEXT, b"x" * 1000)[:500])
    await peer.closed()


async def drips_a_text(peer: Raw) -> None:
    await peer.upgrade()
    await peer.drip(frame(TEXT, b"x" * 65_000))


async def says_hello_alone(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.DEVICE)
    await peer.closed()


BEFORE_LOGIN: tuple[Case, ...] = (
    says_nothing,
    says_half_a_head,
    drips_its_head,
    upgrades_and_says_nothing,
    says_half_a_frame,
    drips_a_text,
    says_hello_alone,
)


async def logs_in_alone(peer: Raw) -> None:
    await peer.upgrade()
    await peer.log_in(Device())
    await peer.closed()


async def submits_nothing(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.SUBMIT)
    await peer.closed()


async def submits_half_a_frame(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.SUBMIT)
    peer.write(frame(BINARY, b"x" * 1074)[:500])
    await peer.closed()


async def drips_a_frame(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.SUBMIT)
    await peer.drip(frame(BINARY, b"x" * 65_000))


async def floods_with_pings(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.SUBMIT)
    peer.write(frame(PING, b"") * 5000)
    await peer.cut(frame(PING, b"x" * 100) * 100)


async def sends_empty_parts_without_an_end(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.SUBMIT)
    peer.write(frame(TEXT, b"", fin=False))
    await peer.cut(frame(CONTINUATION, b"", fin=False) * 1000)


async def answers_no_close(peer: Raw) -> None:
    await peer.upgrade()
    peer.write(frame(TEXT, b"no hello"))
    await peer.closed()


async def answers_no_close_and_reads_nothing(peer: Raw) -> None:
    await peer.upgrade()
    await peer.hello(Mode.SUBMIT)
    for _ in range(40):
        peer.write(frame(TEXT, b"not JSON"))
    await peer.cut(frame(PING, b""))


async def reads_no_http_answer(peer: Raw) -> None:
    """Pipelines requests and reads nothing: buffers fill, and the answers wait."""
    await peer.cut(b"GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n" * 200)


async def reads_nothing(peer: Raw, account: Account) -> None:
    """A device that pulls a full mailbox and never reads."""
    await peer.upgrade()
    await peer.log_in(account.device)
    peer.say(control.Pull())
    await peer.cut(frame(TEXT, control.Acknowledge(through=0).encode().encode()))
