"""What clients say on each of their connections: the first bytes of TLS, and all that is inside it.

A tap ends the TLS of clients in front of a real relay, offers them tickets to come back with, and keeps what
they say. Knows no client.
"""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from wire.control_values import decode_base64url, encode_base64url
from wire.errors import WireError
from wire.strict_json import parse

PRE_SHARED_KEY: Final = 41  # RFC 8446 section 4.2
TICKET: Final = 35  # RFC 5077 section 3.2
WINDOW: Final = 6  # bytes that two connections have in common by chance once in 2**48
TEXT_WINDOW: Final = 8  # the same in base64
_BASE64: Final = re.compile(r"[\w+/-]{8,}", re.ASCII)


@dataclass
class Call:
    """One connection of a client."""

    at: float
    hello: bytes = b""  # its first TLS record
    said: bytearray = field(default_factory=bytearray)  # inside TLS
    resumed: bool = False

    @property
    def head(self) -> bytes:
        return bytes(self.said).partition(b"\r\n\r\n")[0]

    def messages(self) -> list[bytes | str]:
        """The WebSocket messages, each of one frame: RFC 6455 section 5.2."""
        data, found = bytes(self.said).partition(b"\r\n\r\n")[2], list[bytes | str]()
        while len(data) >= 2:
            opcode, size, at = data[0] & 15, data[1] & 127, 2
            if size > 125:
                wide = 2 if size == 126 else 8
                size, at = int.from_bytes(data[2 : 2 + wide]), 2 + wide
            mask, masked = data[at : at + 4], data[at + 4 : at + 4 + size]
            payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
            if opcode in (1, 2):
                found.append(payload.decode() if opcode == 1 else payload)
            data = data[at + 4 + size :]
        return found

    def objects(self) -> list[dict[str, Any]]:
        """The control messages."""
        return [parse(message) for message in self.messages() if isinstance(message, str)]

    def windows(self, apart: Collection[bytes] = ()) -> set[bytes | str]:
        """Every few bytes in a row that were said, but for these names; of base64 the bytes as well."""
        found: set[bytes | str] = set()
        raw = [message for message in self.messages() if isinstance(message, bytes)]
        for text in (self.head.decode("latin-1"), *self.messages()):
            if isinstance(text, str):
                for name in apart:
                    text = text.replace(encode_base64url(name), "")
                for run in _BASE64.findall(text):
                    found.update(run[at : at + TEXT_WINDOW] for at in range(len(run) - TEXT_WINDOW + 1))
        for value in _texts(self.objects()):
            with contextlib.suppress(WireError, ValueError):
                raw.append(decode_base64url(value))
        for data in raw:
            for name in apart:
                data = data.replace(name, b"")
            found.update(data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1))
        return found

    def extensions(self) -> dict[int, int]:
        """The extensions of its ClientHello, in order, and how long each is: RFC 8446 section 4.1.2."""
        at = 5 + 4 + 2 + 32
        at += 1 + self.hello[at]
        at += 2 + int.from_bytes(self.hello[at : at + 2])
        at += 1 + self.hello[at] + 2
        found = {}
        while at + 4 <= len(self.hello):
            kind, size = int.from_bytes(self.hello[at : at + 2]), int.from_bytes(self.hello[at + 2 : at + 4])
            found[kind] = size
            at += 4 + size
        return found


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inside for text in _texts(each)]


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None = None
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            if kept is not None:
                kept += data
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


class Tap:
    """Listens at `port`, and keeps what everybody says who dials it."""

    def __init__(self, relay_port: int, context: ssl.SSLContext) -> None:
        self._relay_port = relay_port
        self._context = context
        self._by_port: dict[int, Call] = {}
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Future[object]] = []
        self._inner: asyncio.Server
        self.calls: list[Call] = []
        self.port = 0

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator["Tap"]:
        self._inner = await asyncio.start_server(self._inside, "127.0.0.1", 0, ssl=self._context)
        outer = await asyncio.start_server(self._outside, "127.0.0.1", port)
        self.port = port
        try:
            yield self
        finally:
            for server in (outer, self._inner):
                server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._tasks)

    async def _outside(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = Call(time.monotonic())
        self.calls.append(call)
        head = await reader.readexactly(5)
        call.hello = head + await reader.readexactly(int.from_bytes(head[3:5]))
        inner = self._inner.sockets[0].getsockname()[1]
        back, forth = await asyncio.open_connection("127.0.0.1", inner)
        self._by_port[forth.get_extra_info("sockname")[1]] = call
        forth.write(call.hello)
        self._pass_on(reader, forth)
        self._pass_on(back, writer)

    def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None = None
    ) -> None:
        self._writers.append(writer)
        self._tasks.append(asyncio.ensure_future(_pump(reader, writer, kept)))

    async def _inside(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = self._by_port[writer.get_extra_info("peername")[1]]
        call.resumed = bool(writer.get_extra_info("ssl_object").session_reused)
        back, forth = await asyncio.open_connection("127.0.0.1", self._relay_port)
        self._pass_on(reader, forth, call.said)
        self._pass_on(back, writer)
