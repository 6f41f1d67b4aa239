"""Whether a request may become a WebSocket: RFC 6455 section 4.2.1, where the stack below asks for less.

Owns the answers that come before a WebSocket exists, each a whole HTTP response. Knows no socket. What is not
refused here is judged by the `websockets` library: key, version and subprotocols.
"""

import logging
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

from websockets.http11 import Request
from websockets.server import ServerProtocol

VERSION: Final = b"13"
HEADERS_MAX: Final = 100  # of one request; the library below stops reading at 128, and would then say nothing
LINE_MAX: Final = 8000  # bytes of the request line or of one header, for the same reason


def refusal(status: HTTPStatus, sentence: str, *headers: str) -> bytes:
    """A response that ends the connection. `sentence` never quotes the request."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: text/plain",
        f"content-length: {len(sentence) + 1}",
        "connection: close",
        *headers,
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{sentence}\n").encode("ascii")


UNREADABLE: Final = refusal(HTTPStatus.BAD_REQUEST, "this request cannot become a WebSocket")
ELSEWHERE: Final = refusal(HTTPStatus.FORBIDDEN, "there is no WebSocket here")

# The library would log what it refuses, and with it what a stranger wrote.
_SILENT: Final = logging.getLogger("blindpost.websockets")
_SILENT.disabled = True


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value.strip() for key, value in headers if key == name]


def refused(scope: Mapping[str, Any], target: bytes) -> bytes | None:
    """The answer to a request that must not become a WebSocket, or None.

    `scope` is the ASGI scope of its head, `target` the request target as it came.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if scope["method"] != "GET":
        return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket begins with GET", "allow: GET")
    if scope["http_version"] != "1.1":
        return refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "a WebSocket needs HTTP/1.1")
    if len(_values(headers, b"host")) != 1:
        return refusal(HTTPStatus.BAD_REQUEST, "exactly one Host is needed")
    if _values(headers, b"transfer-encoding") or set(_values(headers, b"content-length")) - {b"0"}:
        return refusal(HTTPStatus.BAD_REQUEST, "a request for a WebSocket has no body")
    longest = max(len(target), *(len(name) + len(value) for name, value in headers))
    if len(headers) > HEADERS_MAX or longest > LINE_MAX:
        return refusal(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"at most {HEADERS_MAX} headers of {LINE_MAX} bytes"
        )
    if _values(headers, b"sec-websocket-version") != [VERSION]:
        return refusal(
            HTTPStatus.UPGRADE_REQUIRED, "a WebSocket of version 13 is needed", "sec-websocket-version: 13"
        )
    return None


@dataclass(frozen=True, slots=True)
class Opening:
    """What was answered to a request, and with `is_open` what to know of it from now on."""

    response: bytes
    is_open: bool = False
    path: str = ""
    forwarded: tuple[str, ...] = ()  # the values of X-Forwarded-For


def open_websocket(head: bytes, paths: Container[str]) -> Opening:
    """Answer a request head that `refused` lets pass. `paths`: where a WebSocket is."""
    handshake = ServerProtocol(logger=_SILENT)
    handshake.receive_data(head)
    events = handshake.events_received()
    if not events or not isinstance(request := events[0], Request):
        return Opening(UNREADABLE)
    response = handshake.accept(request)
    is_open = response.status_code == HTTPStatus.SWITCHING_PROTOCOLS
    path = unquote(request.path.partition("?")[0])
    if is_open and path not in paths:
        return Opening(ELSEWHERE)
    handshake.send_response(response)
    forwarded = tuple(request.headers.get_all("x-forwarded-for"))
    return Opening(b"".join(handshake.data_to_send()), is_open, path, forwarded)
