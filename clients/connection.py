"""One WebSocket to a relay: dial, check its hello, log in, exchange control messages and frames.

Owns the socket and the relay's identity on it. The relay's key is compared with the pinned one before
anything else is believed. Knows nothing of envelopes, contacts or retries.
"""

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

import websockets
from websockets.asyncio.client import ClientConnection, connect

from clients.errors import RelayError, TrustError
from clients.route import DIRECT, Proxy, Route
from keys.identities import Device, verify_hello, verify_welcome
from keys.primitives import Random, equal
from wire.addresses import RelayUrl
from wire.control import (
    ControlMessage,
    Error,
    Hello,
    Login,
    RelayHello,
    RelayMessage,
    Welcome,
    decode_relay_message,
)
from wire.errors import CloseCode, ErrorCode, WireError
from wire.frames import FRAME_MAX, Deliver, Put, decode_deliver
from wire.limits import CONTROL_MAX, DEAD_AFTER, LOGIN_DEADLINE, NONCE, PING_EVERY, PROTOCOL_VERSION
from wire.login import Greeting, Mode

Incoming = RelayMessage | Deliver
_MAX_SIZE: Final = max(CONTROL_MAX, FRAME_MAX)
_REQUEST_DEADLINE: Final = 20.0
_CLOSE_DEADLINE: Final = 2.0
_AUTHORITIES_HOLD: Final = 3600.0  # seconds: what the system trusts no more is believed for no longer
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_BEHIND_A_PROXY: Final = (websockets.WebSocketException, ssl.SSLError, ConnectionResetError, TimeoutError)
RETRY_AFTER_MAX: Final = 300.0  # seconds: no relay keeps a client waiting for longer


_M = TypeVar("_M", bound=ControlMessage)


def takes_no_more(seconds: float) -> str:
    """The sentence for whoever waits because a rate of the relay was reached."""
    return f"The relay takes no more for now; it goes on in {seconds:.0f} s."


class Disconnected(RelayError):
    """The connection ended; `error` is the relay's last word, if it gave one.

    `retry_after`: the seconds that it asked to wait, five minutes at most.
    """

    def __init__(self, sentence: str, error: Error | None = None, retry_after: float | None = None) -> None:
        if retry_after is None:
            retry_after = float((error and error.retry_after) or 0)
        self.retry_after = min(retry_after, RETRY_AFTER_MAX)
        self.error = error
        if error is not None and error.code is ErrorCode.RATE_LIMITED:
            sentence = takes_no_more(self.retry_after)
        super().__init__(sentence)


class RelayConnection:
    """An open connection whose relay has proved its key. Use `dial`."""

    def __init__(self, socket: ClientConnection, greeting: Greeting) -> None:
        self._socket = socket
        self.greeting = greeting
        self._last_error: Error | None = None
        self.login_hash = b""  # of the login, once there was one; see `wire.login`

    async def send(self, *messages: ControlMessage | Put) -> None:
        """Send control messages or frames, together if they are several. Raises Disconnected."""
        try:
            async with asyncio.timeout(_REQUEST_DEADLINE), self._socket.send_context():
                for message in messages:
                    data = message.encode()
                    if isinstance(data, str):
                        self._socket.protocol.send_text(data.encode())
                    else:
                        self._socket.protocol.send_binary(data)
        except (websockets.ConnectionClosed, TimeoutError):
            raise self._disconnected() from None

    async def receive(self) -> Incoming:
        """The next message or frame. Raises Disconnected, also when the relay breaks the protocol."""
        try:
            data = await self._socket.recv()
        except websockets.ConnectionClosed:
            raise self._disconnected() from None
        try:
            message = decode_relay_message(data) if isinstance(data, str) else decode_deliver(data)
        except WireError as error:
            raise Disconnected(f"The relay sent something that is not blindpost ({error}).") from None
        if isinstance(message, Error) and message.ref is None:
            self._last_error = message
        return message

    async def expect(self, kind: type[_M], deadline: float = _REQUEST_DEADLINE) -> _M:
        """The next message, which must be of `kind`. Raises Disconnected."""
        try:
            async with asyncio.timeout(deadline):
                message = await self.receive()
        except TimeoutError:
            raise Disconnected("The relay does not answer.") from None
        if isinstance(message, Error):
            raise Disconnected(message.message, message)
        if not isinstance(message, kind):
            raise Disconnected("The relay answers out of turn.")
        return message

    async def log_in(self, device: Device) -> Welcome:
        """Log in as `device`; both signatures are checked. Raises Disconnected or TrustError."""
        signature = device.sign_login(self.greeting)
        await self.send(Login(device_key=device.key, signature=signature))
        welcome = await self.expect(Welcome, LOGIN_DEADLINE)
        if not verify_welcome(self.greeting, device.key, signature, welcome.signature):
            raise Disconnected("The relay's answer to the login is not signed by its key. Nothing was sent.")
        self.login_hash = self.greeting.login_hash(device.key, signature)
        return welcome

    def _disconnected(self) -> Disconnected:
        error = self._last_error
        if error is None and self._socket.close_code == CloseCode.REPLACED:
            # The words stand unread in front of the close, which a send has met first. Whoever overlooks them
            # comes back, and takes the place of the newer connection.
            error = Error(code=ErrorCode.REPLACED, message="This device is connected elsewhere now.")
        return Disconnected(error.message if error else "The connection to the relay ended.", error)


class _Connection(ClientConnection):
    """Writes to its socket once for all frames that are sent together."""

    _was_made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The WebSocket may begin."""
        self._was_made = True
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its end; behind a proxy also the end of a connection whose TLS never came about."""
        if self._was_made:
            super().connection_lost(exc)

    def send_data(self) -> None:
        """Whatever is to go out; an empty part among it ends the connection, which is left to the library."""
        parts = self.protocol.writes
        if len(parts) > 1 and all(parts):
            self.protocol.writes = [b"".join(parts)]
        super().send_data()


class _Connect(connect):
    """Follows no redirect: else a relay could have its users knock at doors inside their own networks."""

    def process_redirect(self, exc: Exception) -> Exception:
        """The answer as it came, which is a failure."""
        return exc


def tls_context(url: RelayUrl, ca: bytes | None) -> ssl.SSLContext | None:
    """The TLS settings for `url`: the system's authorities and, if given, one more in PEM."""
    if url.scheme != "wss":
        return None
    return trusting(ca)


def trusting(ca: bytes | None) -> ssl.SSLContext:
    """The TLS settings that believe the system's authorities and, if given, one more in PEM.

    The authorities are read once an hour: it costs more than all the rest of a dial, and each contact has a
    connection. Those share no TLS session: one goes on with another's only if it is told to.
    """
    return _trusting(ca, int(time.monotonic() / _AUTHORITIES_HOLD))


@lru_cache(maxsize=2)
def _trusting(ca: bytes | None, _period: int) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(cadata=ca.decode("ascii"))
    return context


@asynccontextmanager
async def dial(
    url: RelayUrl, mode: Mode, pinned: bytes | None, random: Random, route: Route = DIRECT
) -> AsyncIterator[RelayConnection]:
    """Connect and check the relay's signed hello, within the login deadline.

    Raises RelayError when it cannot be reached, TrustError when its key is not `pinned`.
    """
    proxy = route.proxy
    to_proxy: dict[str, Any] = {}
    if proxy is not None and proxy.scheme == "https":
        to_proxy = {"proxy_ssl": trusting(route.ca)}
    try:
        async with asyncio.timeout(LOGIN_DEADLINE):
            socket = await _Connect(
                url.websocket,
                ssl=tls_context(url, route.ca),
                compression=None,
                max_size=_MAX_SIZE,
                ping_interval=PING_EVERY,
                ping_timeout=DEAD_AFTER - PING_EVERY,
                close_timeout=_CLOSE_DEADLINE,
                open_timeout=None,
                proxy=None if proxy is None else proxy.url,
                user_agent_header=None,
                create_connection=_Connection,
                **to_proxy,
            )
    except websockets.InvalidStatus as refusal:
        raise _refused(url, refusal) from None
    except (OSError, ValueError, websockets.WebSocketException) as error:  # ValueError: no name of a host
        raise RelayError(_why_not(url, proxy, error)) from None
    try:
        yield await _greet(socket, url, mode, pinned, random)
    finally:
        with contextlib.suppress(OSError, websockets.WebSocketException):
            await socket.close()


def _why_not(url: RelayUrl, proxy: Proxy | None, error: Exception) -> str:
    """Why there is no connection. What went wrong behind a proxy is told from what went wrong before it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        others = "" if proxy is None or proxy.scheme == "http" else f", or of the proxy {proxy},"
        return (
            f"The certificate of the relay {url}{others} cannot be verified. If it is your own authority's, "
            "name it: blindpost init --ca FILE."
        )
    if proxy is None:
        return f"The relay {url} cannot be reached."
    if isinstance(error, websockets.InvalidProxyStatus):
        return proxy.refusal(url.origin, error.response.status_code)
    if isinstance(error, websockets.ProxyError):
        return proxy.strange
    if isinstance(error, _BEHIND_A_PROXY):
        return f"The relay {url} cannot be reached through the proxy {proxy}."
    return f"The proxy {proxy} cannot be reached."


def _refused(url: RelayUrl, refusal: websockets.InvalidStatus) -> RelayError:
    """What an HTTP answer in place of a WebSocket comes to."""
    wait = refusal.response.headers.get("retry-after", "")
    if refusal.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or not _SECONDS.fullmatch(wait):
        return RelayError(f"The relay {url} cannot be reached.")
    seconds = min(float(wait), RETRY_AFTER_MAX)
    return Disconnected(
        f"The relay takes no more connections for now; it is tried again in {seconds:.0f} s.",
        retry_after=seconds,
    )


async def _greet(
    socket: ClientConnection, url: RelayUrl, mode: Mode, pinned: bytes | None, random: Random
) -> RelayConnection:
    nonce = random(NONCE)
    blank = Greeting(mode, url.origin, b"", b"", nonce, 0)
    connection = RelayConnection(socket, blank)
    await connection.send(Hello(mode=mode, version=PROTOCOL_VERSION, origin=url.origin, nonce=nonce))
    hello = await connection.expect(RelayHello, LOGIN_DEADLINE)
    greeting = Greeting(mode, url.origin, hello.relay_key, hello.nonce, nonce, hello.time)
    if hello.version != PROTOCOL_VERSION or not verify_hello(greeting, hello.signature):
        raise RelayError(f"What answers as relay {url} does not prove that it holds its key.")
    if pinned is not None and not equal(pinned, hello.relay_key):
        raise TrustError(
            f"The relay {url} has another key than before. Somebody else may have taken its place: ask its "
            f"operator. If the change is genuine, run: blindpost trust-relay {url}"
        )
    connection.greeting = greeting
    return connection
