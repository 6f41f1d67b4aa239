"""Whether a request becomes a WebSocket, and the answer: RFC 6455 section 4.2.

Owns the answers that come before a WebSocket exists, each a whole HTTP response. Knows no socket.
"""

import binascii
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from websockets.utils import accept_key

VERSION: Final = b"13"
KEY: Final = 16  # bytes, before they became base64
HEADERS_MAX: Final = 100  # of one request
LINE_MAX: Final = 8000  # bytes of the request line or of one header
_TOKEN: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 7230 section 3.2.6
READ: Final = frozenset(
    (
        b"host",
        b"transfer-encoding",
        b"content-length",
        b"upgrade",
        b"sec-websocket-version",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"x-forwarded-for",
    )
)


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


@dataclass(frozen=True, slots=True)
class Opening:
    """What is answered to a request, and with `is_open` what to know of it from now on."""

    response: bytes
    is_open: bool = False
    forwarded: tuple[str, ...] = ()  # the values of X-Forwarded-For


def _refuse(status: HTTPStatus, sentence: str, *headers: str) -> Opening:
    return Opening(refusal(status, sentence, *headers))


def _is_key(value: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) == KEY
    except binascii.Error:
        return False


def _is_list_of_tokens(value: bytes) -> bool:
    parts = [part.strip() for part in value.split(b",")]
    return any(parts) and all(_TOKEN.fullmatch(part) for part in parts if part)


def open_websocket(scope: Mapping[str, Any], target: bytes, paths: Container[bytes]) -> Opening:
    """Answer a request that asks for a WebSocket by its `Connection` and `Upgrade`.

    `scope` is the ASGI scope of its head, `target` the request target as it came, `paths` are where there is
    one.
    """
    if scope["method"] != "GET":
        return _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket begins with GET", "allow: GET")
    if scope["http_version"] != "1.1":
        return _refuse(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "a WebSocket needs HTTP/1.1")
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    longest, said = len(target), dict[bytes, list[bytes]]()
    for name, value in headers:
        longest = max(longest, len(name) + len(value))
        if name in READ:
            said.setdefault(name, []).append(value.strip())
    if len(said.get(b"host", ())) != 1:
        return _refuse(HTTPStatus.BAD_REQUEST, "exactly one Host is needed")
    if b"transfer-encoding" in said or set(said.get(b"content-length", ())) - {b"0"}:
        return _refuse(HTTPStatus.BAD_REQUEST, "a request for a WebSocket has no body")
    if len(headers) > HEADERS_MAX or longest > LINE_MAX:
        most = f"at most {HEADERS_MAX} headers of {LINE_MAX} bytes"
        return _refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, most)
    if said.get(b"sec-websocket-version") != [VERSION]:
        why = "a WebSocket of version 13 is needed"
        return _refuse(HTTPStatus.UPGRADE_REQUIRED, why, "sec-websocket-version: 13")
    if len(said.get(b"upgrade", ())) != 1:
        return _refuse(HTTPStatus.BAD_REQUEST, "exactly one Upgrade is needed")
    keys = said.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        return _refuse(
            HTTPStatus.BAD_REQUEST, "exactly one Sec-WebSocket-Key is needed, of 16 bytes in base64"
        )
    if not all(map(_is_list_of_tokens, said.get(b"sec-websocket-protocol", ()))):
        return _refuse(HTTPStatus.BAD_REQUEST, "a Sec-WebSocket-Protocol is no list of tokens")
    path = target.partition(b"?")[0]
    if (unquote_to_bytes(path) if b"%" in path else path) not in paths:
        return _refuse(HTTPStatus.FORBIDDEN, "there is no WebSocket here")
    response = (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(keys[0].decode('ascii'))}\r\n\r\n"
    )
    forwarded = tuple(value.decode("latin-1") for value in said.get(b"x-forwarded-for", ()))
    return Opening(response.encode("ascii"), True, forwarded)
