"""An HTTP proxy for tests, which connects to one relay whatever it is asked for.

Owns what it was asked. Knows no HTTP but CONNECT.
"""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

NAME = "relay.invalid"  # RFC 6761: no name server knows it, but the proxy does


@dataclass
class Forwarder:
    """An HTTP proxy that knows NAME, and may want a password."""

    relay_port: int
    wants: str = ""
    says: bytes = b"HTTP/1.1 200 Connection established\r\nVia: a\r\n\r\n"
    hangs_up: bool = False  # on what comes for the relay
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *headers = head.split("\r\n")
        self.asked.append(first.split(" ")[1])
        known = f"Proxy-Authorization: Basic {base64.b64encode(self.wants.encode()).decode()}"
        if self.wants and known not in headers:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(self.says)
        if self.hangs_up:
            await reader.read(65_536)
            writer.close()
            return
        if b" 200 " in self.says:
            relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", self.relay_port)
            await asyncio.gather(self._pass_on(reader, relay_writer), self._pass_on(relay_reader, writer))
            relay_writer.close()
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
            writer.close()


@contextlib.asynccontextmanager
async def running(proxy: Forwarder, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """`host:port` of the proxy."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
