"""A WebSocket by hand: every byte of the handshake and of each frame is the test's own."""

import asyncio
import base64
import contextlib
import hashlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from tests.support.relay_process import RelayProcess

PATIENCE: Final = 10.0  # seconds; the relay answers in milliseconds
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455 section 1.3
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK: Final = b"\x37\xfa\x21\x3d"


def accept_of(key: str) -> str:
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode()


def request(
    start: str = "GET /v1/ws HTTP/1.1",
    extra: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    **changed: str,
) -> bytes:
    """An opening handshake; `changed` names headers with underscores, `without` in lower case."""
    headers = {
        "host": "relay.example",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if name not in without]
    return ("\r\n".join([start, *lines, *extra]) + "\r\n\r\n").encode("latin-1")


def masked(payload: bytes) -> bytes:
    whole = MASK * (len(payload) // 4 + 1)
    return bytes(a ^ b for a, b in zip(payload, whole, strict=False))


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bool = True,
    length: int = 0,
) -> bytes:
    """One frame as a client sends it. `length` is 7, 16 or 64 bits for the length, 0 for the least."""
    size = len(payload)
    if not length:
        length = 7 if size < 126 else 16 if size < 65536 else 64
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = mask << 7
    match length:
        case 7:
            head += bytes([bit | size])
        case 16:
            head += bytes([bit | 126]) + struct.pack(">H", size)
        case _:
            head += bytes([bit | 127]) + struct.pack(">Q", size)
    return head + (MASK + masked(payload) if mask else payload)


def announced(opcode: int, size: int) -> bytes:
    """The head of a masked frame that says it is so long, without its payload."""
    return bytes([0x80 | opcode, 0xFF]) + struct.pack(">Q", size) + MASK


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return struct.pack(">H", code) + reason


@dataclass(frozen=True)
class Heard:
    """One frame of the relay's, or the end of its side."""

    opcode: int | None
    payload: bytes = b""

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2]) if self.payload else 1005


END = Heard(None)


class RawSocket:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of a response."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def next(self) -> Heard:
        """The next frame; END when the relay closed its side of the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                first, second = await self.reader.readexactly(2)
                assert first & 0x70 == 0, "a reserved bit"
                assert first & 0x80, "the relay does not fragment"
                assert not second & 0x80, "a server does not mask"
                size = second
                if size == 126:
                    size = int.from_bytes(await self.reader.readexactly(2))
                elif size == 127:
                    size = int.from_bytes(await self.reader.readexactly(8))
                return Heard(first & 15, await self.reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return END

    async def ended(self) -> bytes:
        """What is left until the relay has closed its side."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read()
        return b""


@asynccontextmanager
async def connected(relay: RelayProcess) -> AsyncIterator[RawSocket]:
    """A TCP connection on which nothing has been said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def opened(relay: RelayProcess) -> AsyncIterator[RawSocket]:
    """A WebSocket on which nothing has been said."""
    async with connected(relay) as socket:
        socket.send(request())
        status, _ = await socket.head()
        assert status == 101
        yield socket
