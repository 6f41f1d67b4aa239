"""uvicorn, bounded: deadlines and caps it does not have by itself, and an orderly end.

Owns the WebSocket's limits, the event loop, signals and the drain; what comes before a WebSocket is
`relay.heads`'. Knows no message.
"""

import asyncio
import asyncio.sslproto
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from relay import upgrade
from relay.app import Relay, create_app
from relay.heads import READ_MAX, HeadDeadline
from relay.listening import BACKLOG, ListenError, check_readable
from relay.metrics import Drop
from wire.errors import CloseCode
from wire.frames import FRAME_MAX
from wire.limits import CONTROL_FRAMES_MAX, DEAD_AFTER, DRAIN, FRAGMENTS_MAX, PING_EVERY

# asyncio accepts as many sockets in one turn of its loop as its backlog says, and nobody else is served
# meanwhile. The others wait in the kernel.
ACCEPT_AT_ONCE: Final = 16
CLOSE_HANDSHAKE: Final = 5.0  # seconds for a peer to answer a close frame
MESSAGE_MAX: Final = FRAME_MAX + 64  # checked before anything is buffered
KEEP_ALIVE: Final = 5
SLICE: Final = 8192  # bytes parsed before frames are looked at: a thousand of the smallest


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which tells when its socket was accepted and can be cut.

    A peer that reads nothing would otherwise outlive every close: what is buffered for it is never sent.
    """

    relay: Relay

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket that began as HTTP ends here."""
        self.relay.sockets -= 1
        if self.abort_timer is not None:
            self.abort_timer.cancel()
        super().connection_lost(exc)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on what only the transport knows."""
        super().connection_made(transport)
        self.abort_timer: asyncio.TimerHandle | None = None
        self.control_frames = 0
        self.counting_until = 0.0
        http = transport.get_protocol()
        self.app_state = {
            **self.app_state,
            "accepted_at": getattr(http, "accepted_at", None),
            "abort": self.transport.abort,
            "unsent": self.transport.get_write_buffer_size,
        }

    def data_received(self, data: bytes) -> None:
        """Take a read in slices: who floods with tiny frames is cut before the rest is parsed."""
        for at in range(0, len(data), SLICE):
            super().data_received(data[at : at + SLICE])
            if self.transport.is_closing():
                # What is buffered for a peer that reads nothing would keep its socket open for ever.
                self._abort_soon()
                return
        if not self.handshake_initiated:
            # The library has stopped reading without an event, and nobody would ever close this socket.
            self.transport.write(upgrade.UNREADABLE)
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        """Bound the parts of a message: empty ones would else pile up below every limit in bytes."""
        if len(self.frames) >= FRAGMENTS_MAX:
            self._refuse(CloseCode.MESSAGE_TOO_BIG, Drop.TOO_MANY_FRAGMENTS)
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, unless it is a flood."""
        if self._control_frame_counted():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Note that the peer lives, unless it is a flood."""
        if self._control_frame_counted():
            super().handle_pong(event)

    def _control_frame_counted(self) -> bool:
        now = self.loop.time()
        if now >= self.counting_until:
            self.control_frames, self.counting_until = 0, now + PING_EVERY
        self.control_frames += 1
        if self.control_frames > CONTROL_FRAMES_MAX:
            self._refuse(CloseCode.BAD_REQUEST, Drop.PING_FLOOD)
            return False
        return True

    def _refuse(self, code: CloseCode, reason: Drop) -> None:
        """Close over something that no session gets to see."""
        if not self.transport.is_closing():
            self.relay.metrics.dropped(reason)
            self.conn.fail(int(code))
            self.handle_parser_exception()

    def keepalive_timeout(self) -> None:
        """Cut a peer that does not answer pings."""
        if not self.transport.is_closing() and not self.close_sent:
            self.relay.metrics.dropped(Drop.DEAD)
        super().keepalive_timeout()
        self._abort_soon()

    async def run_asgi(self) -> None:
        """Serve; afterwards the peer may take what is left for it, within a limit."""
        try:
            await super().run_asgi()
        finally:
            self._abort_soon()

    def _abort_soon(self) -> None:
        if self.abort_timer is None and not self.disconnected:
            self.abort_timer = self.loop.call_later(CLOSE_HANDSHAKE, self.transport.abort)

    async def send(self, message: Any) -> None:
        """Send; a peer that missed the first deadline is not waited for after its close frame."""
        await super().send(message)
        if message["type"] == "websocket.close" and message.get("code") == CloseCode.LOGIN_TIMEOUT:
            # It had its ten seconds: what is buffered still goes out.
            self.transport.close()


class Server(uvicorn.Server):
    """uvicorn with our own signals and drain; exits 0 when asked to stop."""

    def __init__(self, config: uvicorn.Config, relay: Relay, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._relay = relay
        self._on_listening = on_listening
        self._stop = asyncio.Event()

    def ask_to_stop(self) -> None:
        """Begin the drain; a second time, do not wait for anybody."""
        if self._stop.is_set():
            # Not `force_exit`: that would leave the application running when the loop ends under it.
            self._relay.cut()
        self._stop.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal again at the end, and so exits with -15; ours ends with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self.ask_to_stop)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.ask_to_stop))
        yield
        # Nothing is left to hurry: what remains is the store's last commit, and the loop's own end.
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that we listen once we do."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)
        if self.started:
            self._on_listening()

    async def main_loop(self) -> None:
        """Wait for a signal, stop accepting, drain."""
        await self.on_tick(0)
        await self._stop.wait()
        for server in self.servers:
            server.close()
        # The rest of the ten seconds is for HTTP requests and the store.
        await self._relay.drain(DRAIN * 0.6)


def _loop_factory(handshake: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """An event loop that bounds TLS handshakes; asyncio would wait 60 s, and uvicorn passes no limit."""
    usual = auto_loop_factory()()  # uvloop's where that is installed
    base: Any = type(usual)
    usual.close()

    class Loop(base):  # type: ignore[misc]  # a base known at run time only
        def _make_ssl_transport(
            self, rawsock: socket.socket, protocol: Any, context: Any, waiter: Any = None, **options: Any
        ) -> Any:
            """Count a socket before its handshake: asyncio tells its protocol only afterwards, uvloop too."""
            make = super()._make_ssl_transport
            if not isinstance(protocol, HeadDeadline) or waiter is None:
                return make(rawsock, protocol, context, waiter, **options)

            def end() -> None:
                # A transport cannot be aborted before its first turn; a socket ends at any time.
                with contextlib.suppress(OSError):
                    rawsock.shutdown(socket.SHUT_RDWR)

            peer = (options.get("extra") or {}).get("peername")
            if not protocol.count(peer[0] if peer else None, end):
                protocol.discount()
                rawsock.close()
                raise ConnectionRefusedError
            waiter.add_done_callback(
                lambda done: protocol.discount() if done.cancelled() or done.exception() else None
            )
            return make(rawsock, protocol, context, waiter, **options)

        async def create_server(self, *arguments: Any, **options: Any) -> Any:
            if options.get("ssl") is not None:
                options["ssl_handshake_timeout"] = handshake
                options["ssl_shutdown_timeout"] = CLOSE_HANDSHAKE
            return await super().create_server(*arguments, **options)

    return Loop


def make_server(relay: Relay, on_listening: Callable[[], None]) -> Server:
    """A server for `relay`, not started. Raises ListenError for TLS files that cannot be used."""
    config = relay.config
    settings = uvicorn.Config(
        create_app(relay),
        http=type("Http", (HeadDeadline,), {"relay": relay}),
        ws=type("WebSocket", (BoundedWebSocket,), {"relay": relay}),
        ws_max_size=MESSAGE_MAX,
        ws_ping_interval=PING_EVERY,
        ws_ping_timeout=DEAD_AFTER - PING_EVERY,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        workers=1,
        backlog=ACCEPT_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, int(DRAIN * 0.2)),
        ssl_certfile=config.tls_certificate,
        ssl_keyfile=config.tls_key,
    )
    check_readable("tls_certificate", config.tls_certificate)
    check_readable("tls_key", config.tls_key)
    try:
        settings.load()
    except ssl.SSLError as error:
        raise ListenError(
            f"tls_certificate {config.tls_certificate} and tls_key {config.tls_key} do not work together; "
            "both must be PEM files, and the key must be the certificate's"
        ) from error
    return Server(settings, relay, on_listening)


def runner(handshake: float) -> asyncio.Runner:
    """An event loop to open the store and serve in; TLS handshakes take at most `handshake` seconds."""
    # No setting of asyncio: the class is the only place where it can be told.
    asyncio.sslproto.SSLProtocol.max_size = READ_MAX
    return asyncio.Runner(loop_factory=_loop_factory(handshake))
