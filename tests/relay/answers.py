"""Every kind of HTTP answer that a relay gives, for whoever looks at their headers."""

import asyncio

from tests.support.relay_process import RelayProcess

_HEAD = "Host: here\r\nConnection: {connection}\r\n"
_UPGRADE = _HEAD.format(connection="Upgrade") + "Upgrade: websocket\r\n"
_KEY = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"

REQUESTS = (
    *(f"GET {path} HTTP/1.1\r\n{_HEAD.format(connection='close')}\r\n" for path in
      ("/v1/info", "/healthz", "/readyz", "/metrics", "/nothing", "/v1/info/")),
    f"POST /v1/info HTTP/1.1\r\n{_HEAD.format(connection='close')}Content-Length: 0\r\n\r\n",
    f"GET /metrics HTTP/1.1\r\n{_HEAD.format(connection='close')}X-Forwarded-For: 192.0.2.1\r\n\r\n",
    "NONSENSE\r\n\r\n",
    f"GET /v1/ws HTTP/1.1\r\n{_UPGRADE}Sec-WebSocket-Version: 13\r\n{_KEY}\r\n",
    f"GET /v1/ws HTTP/1.1\r\n{_UPGRADE}Sec-WebSocket-Version: 8\r\n{_KEY}\r\n",
    f"POST /v1/ws HTTP/1.1\r\n{_UPGRADE}Sec-WebSocket-Version: 13\r\n{_KEY}\r\n",
    f"GET /v1/elsewhere HTTP/1.1\r\n{_UPGRADE}Sec-WebSocket-Version: 13\r\n{_KEY}\r\n",
)  # fmt: skip


async def _head(port: int, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(10):
            return (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.close()
        await writer.wait_closed()


async def response_headers(relay: RelayProcess) -> set[str]:
    """The names of all headers, in lower case."""
    heads = [await _head(relay.port, request) for request in REQUESTS]
    return {line.partition(":")[0].lower() for head in heads for line in head.splitlines()[1:] if line}
