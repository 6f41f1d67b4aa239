"""uvicorn, bounded: deadlines and caps it does not have by itself, and an orderly end.

Owns signals and the drain; `relay.heads` owns what comes before a WebSocket, `relay.loops` what runs it all.
Knows no message.
"""

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from relay.app import Relay, create_app
from relay.heads import HeadDeadline
from relay.listening import BACKLOG, ListenError, check_readable
from relay.loops import ACCEPT_AT_ONCE
from relay.websocket.protocol import WebSocket
from wire.limits import DRAIN

KEEP_ALIVE: Final = 5


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
    if settings.ssl is not None:
        # A ticket would tell that whoever comes is who came before.
        settings.ssl.options |= ssl.OP_NO_TICKET
        settings.ssl.num_tickets = 0
    return Server(settings, relay, on_listening)
