"""uvicorn, bounded: deadlines and caps it does not have by itself, and an orderly end.

Owns the HTTP head's deadline and size, signals and the drain.
Knows no message.
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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from relay.admission import Ticket, is_proxy, prefix_of
from relay.app import Relay, create_app
from relay.listening import BACKLOG, ListenError, check_readable
from relay.metrics import Drop
from relay.websocket import opening
from relay.websocket.protocol import CLOSE_HANDSHAKE, WebSocket
from wire.limits import DRAIN

HEAD_MAX: Final = 65_536
# asyncio accepts as many sockets in one turn of its loop as its backlog says, and nobody else is served
# meanwhile. The others wait in the kernel.
ACCEPT_AT_ONCE: Final = 16
COME_BACK: Final = 10  # seconds, where a cap on sockets was reached
TOO_MANY: Final = (
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 21\r\n"
    "retry-after: {}\r\nconnection: close\r\n\r\ntoo many connections\n"
)
KEEP_ALIVE: Final = 5
# What one turn of the event loop takes from one socket, where asyncio takes 256 KiB. Under TLS every socket
# holds a buffer of this size from its accept on.
READ_MAX: Final = 65_536
# What waits in the system for its turn on the wire: more would only put answers and pings behind frames.
UNSENT_MAX: Final = 131_072


def _take_little(transport: asyncio.BaseTransport) -> None:
    """Let one read take READ_MAX bytes, and the system hold UNSENT_MAX, where they have such settings."""
    if hasattr(transport, "max_size"):
        transport.max_size = READ_MAX
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with contextlib.suppress(OSError):  # not TCP
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX
            )


class HeadDeadline(HttpToolsProtocol):
    """HTTP with a limit in time and size on everything before a complete request head.

    uvicorn bounds neither: without this, a silent socket or an endless head is held for ever.
    """

    relay: Relay

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own class narrows it
        """Note the time of the accept and start the clock."""
        self.accepted_at = self.loop.time()
        self.head_bytes = 0
        self.head_timer: asyncio.TimerHandle | None = None
        self.deaf_timer: asyncio.TimerHandle | None = None
        _take_little(transport)
        super().connection_made(transport)
        self.relay.sockets += 1
        self.ticket: Ticket | None = None
        peer, proxies = self.client[0] if self.client else None, self.relay.config.proxies
        place, shared = prefix_of(peer, (), ()), is_proxy(peer, proxies)
        # Who is behind a proxy is told by its request, and is counted then.
        retry_after = 0 if shared else self.relay.rates.socket(place)
        if not retry_after and self.relay.sockets <= self.relay.most_sockets:
            self.ticket = self.relay.heads.enter(place, shared=shared)
        if self.ticket is None:
            self.relay.metrics.dropped(Drop.SOCKET_RATE if retry_after else Drop.TOO_MANY_SOCKETS)
            transport.write(TOO_MANY.format(retry_after or COME_BACK).encode())
            transport.close()
            return
        self._start_clock()

    def handle_websocket_upgrade(self) -> None:
        """From here on the session's own admission counts this socket."""
        answer = opening.refused(self.scope, self.url)
        if answer is not None:
            self.transport.write(answer)
            self.transport.close()
            return
        self._leave()
        super().handle_websocket_upgrade()

    def _leave(self) -> None:
        self._stop_clock()
        if self.ticket is not None:
            self.ticket.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock, give the place back."""
        self.relay.sockets -= 1
        self._leave()
        self._stop_deaf_timer()
        super().connection_lost(exc)

    @property
    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return self in self.connections and (cycle is None or cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        """Count what comes while no request is being answered."""
        if self.ticket is None:
            return
        if self._between_requests:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_MAX:
                self._cut(Drop.HEAD_TOO_LARGE)
                return
            if self.head_timer is None:
                self._start_clock()
        super().data_received(data)
        if not self._between_requests:
            self._stop_clock()
            self.head_bytes = 0

    def _start_clock(self) -> None:
        # The same limit as for a login: nobody holds a socket longer without saying who or what for.
        deadline = self.relay.config.login_deadline
        self.head_timer = self.loop.call_later(deadline, self._cut, Drop.HEAD_TIMEOUT)

    def _stop_clock(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def pause_writing(self) -> None:
        """The peer does not read its answer: for so long and no longer."""
        super().pause_writing()
        self.deaf_timer = self.loop.call_later(self.relay.config.login_deadline, self._cut, Drop.DEAF)

    def resume_writing(self) -> None:
        """The peer read on."""
        super().resume_writing()
        self._stop_deaf_timer()

    def _stop_deaf_timer(self) -> None:
        if self.deaf_timer is not None:
            self.deaf_timer.cancel()
            self.deaf_timer = None

    def _cut(self, reason: Drop) -> None:
        self._stop_clock()
        self.relay.metrics.dropped(reason)
        self.transport.abort()


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
        ws=WebSocket,
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
