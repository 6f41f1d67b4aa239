"""The plain network under a relay: names, ports and one small HTTP request.

Owns no deadline but takes them. Knows nothing of what the answers mean.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Final

from clients.connection import tls_context, trusting
from clients.route import Route
from wire.addresses import RelayUrl

ANSWER_MAX: Final = 64 * 1024  # bytes of an HTTP answer that are read


async def look_up(relay: RelayUrl) -> list[str]:
    """The host's addresses. Raises OSError if there are none.

    In a thread of its own that nobody waits for: a name server may never answer.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def settle(places: list[str] | OSError) -> None:
        if found.done():  # nobody waits any more
            return
        if isinstance(places, OSError):
            found.set_exception(places)
        else:
            found.set_result(places)

    def look() -> None:
        answer: list[str] | OSError
        try:
            infos = socket.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
            answer = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            answer = OSError(str(error))
        with contextlib.suppress(RuntimeError):  # the loop has ended: the answer came too late
            loop.call_soon_threadsafe(settle, answer)

    threading.Thread(target=look, name="name lookup", daemon=True).start()
    return await found


async def reach(place: str, port: int, deadline: asyncio.Timeout) -> str | None:
    """Connect by TCP and hang up: None, or why it did not work."""
    try:
        async with deadline:
            _, writer = await asyncio.open_connection(place, port)
    except TimeoutError:
        return "no answer in time"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return error.strerror or "cannot be reached"
    writer.transport.abort()
    return None


class ProxyRefused(Exception):
    """The proxy does not connect; `status` is its answer, None for one that is no HTTP."""

    def __init__(self, status: int | None) -> None:
        super().__init__()
        self.status = status


async def connect(
    relay: RelayUrl, route: Route, *, tls: bool
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the relay, through the proxy if there is one: never past it.

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
        status = _status(head)
        if status is None or status // 100 != 2:
            raise ProxyRefused(status)
        if context is not None:
            await writer.start_tls(context, server_hostname=relay.host)
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _status(answer: bytes) -> int | None:
    """The status of an HTTP answer, or None if it is none."""
    words = answer.split(b"\r\n")[0].split(b" ")
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and len(words[1]) == 3 and words[1].isdigit()
    return int(words[1]) if is_http else None


async def get(relay: RelayUrl, route: Route, path: str) -> tuple[int, bytes]:
    """Status and body of `path` below the relay's own. Raises as `connect`, and ValueError for no HTTP.

    HTTP/1.0, whose answers end with the connection and come in one piece.
    """
    reader, writer = await connect(relay, route, tls=True)
    try:
        host = relay.origin.partition("://")[2].partition("/")[0]
        writer.write(f"GET {relay.path}{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        await writer.drain()
        answer = bytearray()
        while len(answer) < ANSWER_MAX and (part := await reader.read(ANSWER_MAX)):
            answer += part
    finally:
        writer.transport.abort()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    if (status := _status(head)) is None:
        raise ValueError("not HTTP")
    return status, body
