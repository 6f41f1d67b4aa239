"""A plain connection to a relay, through the proxy if there is one: never past it.

Owns the CONNECT for whoever needs bytes and no WebSocket. Owns no deadline; callers do.
"""

import asyncio
from typing import Final

from clients.connection import tls_context, trusting
from clients.route import Route
from wire.addresses import RelayUrl

ANSWER_MAX: Final = 64 * 1024  # bytes that are read ahead


class ProxyRefused(Exception):
    """The proxy does not connect; `status` is its answer, None for one that is no HTTP."""

    def __init__(self, status: int | None) -> None:
        super().__init__()
        self.status = status


async def connect(
    relay: RelayUrl, route: Route, *, tls: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the relay, in its TLS if it has any and `tls` says so.

    Raises OSError, ValueError for what is no host, or ProxyRefused.
    """
    context = tls_context(relay, route.ca) if tls else None
    if route.proxy is None:
        return await asyncio.open_connection(relay.host, relay.port, ssl=context, limit=ANSWER_MAX)
    proxy = route.proxy
    outer = trusting(route.ca) if proxy.scheme == "https" else None
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port, ssl=outer, limit=ANSWER_MAX)
    try:
        place = f"[{relay.host}]:{relay.port}" if ":" in relay.host else f"{relay.host}:{relay.port}"
        known = "" if proxy.basic is None else f"Proxy-Authorization: Basic {proxy.basic}\r\n"
        writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{known}\r\n".encode())
        await writer.drain()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (EOFError, asyncio.LimitOverrunError):
            raise ProxyRefused(None) from None
        status = status_of(head)
        if status is None or status // 100 != 2:
            raise ProxyRefused(status)
        if context is not None:
            await writer.start_tls(context, server_hostname=relay.host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def status_of(answer: bytes) -> int | None:
    """The status of an HTTP answer, or None if it is none."""
    words = answer.split(b"\r\n")[0].split(b" ")
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and len(words[1]) == 3 and words[1].isdigit()
    return int(words[1]) if is_http else None
