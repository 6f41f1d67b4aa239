"""HTTP before anybody is known: a place for each socket, a rate of requests, and a bound on every wait.

Owns the limits in time and size on request heads and on answers that nobody reads, and what is said to whom
there is no place for. Knows no route and no message.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from relay import endpoints
from relay.admission import Ticket, is_proxy, prefix_of
from relay.app import Relay
from relay.loops import READ_MAX
from relay.metrics import Drop
from relay.websocket import opening
from relay.websocket.protocol import WebSocket

HEAD_MAX: Final = 65_536
# The headers that anything here may know of; the last two are uvicorn's to read.
READ: Final = opening.READ | endpoints.READ | {b"connection", b"expect"}
COME_BACK: Final = 10  # seconds, where a cap on sockets was reached
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


class _RequestRefused(Exception):
    """Ends the parsing of what a socket sent, after its end was decided."""


class HeadDeadline(HttpToolsProtocol):
    """HTTP with a place for each socket, a rate of requests, and a limit on what comes before a head.

    uvicorn bounds none of it: without this, a silent socket or an endless head is held for ever.
    """

    relay: Relay
    place: str | None = None  # the prefix of the socket, once it is counted
    ticket: Ticket | None = None
    retry_after = 0
    _is_made = False

    def count(self, peer: str | None, abort: Callable[[], None]) -> bool:
        """Count this socket in, and say whether there is a place for it; `abort` ends it."""
        relay, self.place = self.relay, prefix_of(peer, (), ())
        relay.sockets += 1
        shared = is_proxy(peer, relay.config.proxies)
        # Who is behind a proxy is told by its request, and is counted then.
        self.retry_after = 0 if shared else relay.rates.socket(self.place)
        if not self.retry_after and relay.sockets <= relay.most_sockets:
            self.ticket = relay.heads.enter(self.place, shared=shared)
        if self.ticket is None:
            relay.metrics.dropped(Drop.SOCKET_RATE if self.retry_after else Drop.TOO_MANY_SOCKETS)
            return False

        def give_way() -> None:
            relay.metrics.dropped(Drop.TOO_MANY_SOCKETS)
            abort()

        self.ticket.give_way = give_way
        return True

    def discount(self) -> None:
        """The socket ended before it was more than counted; else nothing."""
        if self._is_made:
            return
        self.relay.sockets -= 1
        if self.ticket is not None:
            self.ticket.leave()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own class narrows it
        """Note the time of the accept and start the clock."""
        self._is_made = True
        self.accepted_at = self.loop.time()
        self.head_bytes = 0
        self.head_timer: asyncio.TimerHandle | None = None
        self.deaf_timer: asyncio.TimerHandle | None = None
        _take_little(transport)
        super().connection_made(transport)
        # Under TLS it was counted before the handshake.
        if self.place is None and not self.count(self.client[0] if self.client else None, transport.abort):
            self._answer_and_close(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many connections", self.retry_after or COME_BACK
            )
            return
        self._start_clock()

    def _answer_and_close(self, status: HTTPStatus, sentence: str, retry_after: int) -> None:
        self.transport.write(opening.refusal(status, sentence, f"retry-after: {retry_after}"))
        self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header that is read here; of any other one nothing is kept but that it was there."""
        if name.lower() not in READ:
            name, value = b"", bytes(len(name) + len(value))  # their number and length have limits
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request, if its prefix may make another one now."""
        if self.parser.should_upgrade() and self._should_upgrade():
            self.scope["method"] = self.parser.get_method().decode("ascii")
            self.scope["http_version"] = self.parser.get_http_version()
            return
        hops = [value.decode("latin-1") for name, value in self.headers if name == b"x-forwarded-for"]
        peer = self.client[0] if self.client else None
        retry_after = self.relay.rates.http(prefix_of(peer, hops, self.relay.config.proxies))
        if retry_after:
            self.relay.metrics.dropped(Drop.HTTP_RATE)
            if self._between_requests:
                self._answer_and_close(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", retry_after)
            self.transport.close()  # before any answer that is still owed: they come in order
            raise _RequestRefused
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, unless the socket has its last answer."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Between two requests a socket gives way to whoever has something to say."""
        super().on_response_complete()
        if self.ticket is not None:
            self.ticket.idle = self._between_requests

    def handle_websocket_upgrade(self) -> None:
        """From here on the session's own admission counts this socket."""
        answer = opening.open_websocket(self.scope, self.url, self.relay.websocket_paths)
        self.transport.write(answer.response)
        if not answer.is_open:
            self.transport.close()
            return
        self._leave()
        self.connections.discard(self)
        self.parser = None  # type: ignore[assignment]  # as uvicorn does at the end: else it and this keep each other
        websocket = WebSocket(self.config, self.server_state, self.app_state)
        websocket.connection_made(self.transport)
        self.transport.set_protocol(websocket)
        websocket.open(self.client[0] if self.client else None, answer.forwarded)

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
        if len(data) > READ_MAX:  # uvloop's reads, which nothing bounds at less than 250 KiB
            for at in range(0, len(data), READ_MAX):
                protocol = cast(asyncio.Protocol, self.transport.get_protocol())
                protocol.data_received(data[at : at + READ_MAX])
            return
        if self.ticket is None or self.transport.is_closing():
            return
        self.ticket.idle = False
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
