"""A WebSocket to a relay that reads only when it is told to, and only as much.

Owns the socket, whose receive buffer is kept small, so that what is not read here waits in the relay. Knows
enough of the protocol to log in.
"""

import asyncio
import contextlib
import os
import socket
from typing import Final, Self

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from keys.identities import Device
from wire.addresses import RelayUrl
from wire.control import ControlMessage, Hello, Login, RelayHello, RelayMessage, Welcome, decode_relay_message
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

BUFFER: Final = 4096


class Closed(Exception):
    """The relay ended the connection."""


class RawPeer:
    """One connection. Use `open`."""

    def __init__(self, url: RelayUrl, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer
        self._protocol = ClientProtocol(parse_uri(url.websocket), max_size=None)
        self.received = 0  # bytes

    @classmethod
    async def open(cls, url: RelayUrl) -> Self:
        """Connect and upgrade."""
        loop, plain = asyncio.get_running_loop(), socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        plain.setblocking(False)
        await loop.sock_connect(plain, (url.host, url.port))
        peer = cls(url, *await asyncio.open_connection(sock=plain, limit=BUFFER))
        peer._protocol.send_request(peer._protocol.connect())
        peer._flush()
        await peer._next()
        return peer

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)

    async def read(self, at_most: int = BUFFER) -> list[Frame]:
        """Take up to so many bytes from the socket; returns the frames that are complete now."""
        data = await self._reader.read(at_most)
        if not data:
            raise Closed
        self.received += len(data)
        self._protocol.receive_data(data)
        self._flush()  # pongs
        return [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    async def _next(self) -> Frame | None:
        """The next frame; None once upgraded."""
        while True:
            upgraded = self._protocol.handshake_exc is None and self._protocol.state.name == "OPEN"
            frames = await self.read()
            for frame in frames:
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                    return frame
            if not upgraded and self._protocol.state.name == "OPEN":
                return None

    def send(self, message: ControlMessage) -> None:
        """Send without waiting."""
        self._protocol.send_text(message.encode().encode())
        self._flush()

    def probe(self) -> None:
        """Say something harmless; reads nothing. Raises Closed once the relay has cut the connection."""
        if self._writer.is_closing():
            raise Closed
        self._protocol.send_ping(b"")
        self._flush()

    async def hear(self) -> RelayMessage:
        """The next control message."""
        frame = await self._next()
        assert frame is not None
        return decode_relay_message(bytes(frame.data).decode())

    async def log_in(self, device: Device) -> None:
        """Log in as a registered device."""
        nonce = os.urandom(32)
        origin = self._url.origin
        self.send(Hello(mode=Mode.DEVICE, version=PROTOCOL_VERSION, origin=origin, nonce=nonce))
        hello = await self.hear()
        assert isinstance(hello, RelayHello)
        greeting = Greeting(Mode.DEVICE, origin, hello.relay_key, hello.nonce, nonce, hello.time)
        self.send(Login(device_key=device.key, signature=device.sign_login(greeting)))
        assert isinstance(await self.hear(), Welcome)

    async def close(self) -> None:
        """Cut the connection."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
