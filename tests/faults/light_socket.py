"""A WebSocket client as small as can be, so that thousands of devices fit into one process.

Owns one socket and the framing of RFC 6455 as far as our relay uses it: whole messages, no extension. Knows
no message. Not for anything that tests the framing itself.
"""

import asyncio
import base64
import os
import socket
import struct
from typing import Self

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
NO_MASK = bytes(4)  # a mask like any other to the peer, and nothing to do for us


class Closed(OSError):
    """The connection ended; `code` is the close code, if there was one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__("closed")
        self.code = code


class LightSocket:
    """One open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def dial(cls, port: int, source: str) -> Self:
        """Connect from `source`, an address of loopback. Raises OSError: refused, or not let in."""
        plain = socket.socket()
        plain.setblocking(False)
        try:
            plain.bind((source, 0))
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=plain, limit=256 * 1024)
        except BaseException:
            plain.close()
            raise
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.transport.abort()
            raise Closed from None
        except BaseException:
            writer.transport.abort()
            raise
        if not head.startswith(b"HTTP/1.1 101"):
            writer.transport.abort()
            raise Closed(int(head.split()[1]))
        return cls(reader, writer)

    def send(self, data: str | bytes) -> None:
        """Write a message; what a test sends is small enough not to wait for room."""
        is_text = isinstance(data, str)
        self._write(TEXT if is_text else BINARY, data.encode() if isinstance(data, str) else data)

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((0x80 | opcode, 0x80 | min(size, 126)))
        if size >= 126:
            head = bytes((0x80 | opcode, 0x80 | 126)) + struct.pack(">H", size)
        if size >= 65536:
            head = bytes((0x80 | opcode, 0x80 | 127)) + struct.pack(">Q", size)
        self._writer.write(head + NO_MASK + payload)

    async def receive(self) -> str | bytes:
        """The next message. Raises Closed."""
        try:
            while True:
                first, second = await self._reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack(">H", await self._reader.readexactly(2))
                elif size == 127:
                    (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
                payload = await self._reader.readexactly(size)
                match first & 0x0F:
                    case 0x1:
                        return payload.decode()
                    case 0x2:
                        return payload
                    case 0x9:
                        self._write(PONG, payload)
                    case 0x8:
                        self._write(CLOSE, payload[:2])
                        raise Closed(struct.unpack(">H", payload[:2])[0] if payload else None)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Closed from None

    def abort(self) -> None:
        """Cut it."""
        self._writer.transport.abort()
