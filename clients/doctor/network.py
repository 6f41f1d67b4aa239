"""The plain network under a relay: names, ports and one small HTTP request.

Owns no deadline but takes them. Knows nothing of what the answers mean.
"""

import asyncio
import contextlib
import socket
import threading

from clients.route import Route
from clients.tunnel import ANSWER_MAX, connect, status_of
from wire.addresses import RelayUrl


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
    if (status := status_of(head)) is None:
        raise ValueError("not HTTP")
    return status, body
