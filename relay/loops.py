"""The event loop: asyncio's or uvloop's, and what both lack where TLS is ended here.

Owns the choice, and a socket from its accept to the end of its TLS handshake. Knows no HTTP.
"""

import asyncio
import asyncio.sslproto
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal, Protocol, cast

from relay.complaints import OperatorError

Choice = Literal["auto", "asyncio", "uvloop"]

# Sockets accepted in one turn of the loop, while nobody else is served; the others wait in the kernel.
# asyncio takes as many as its backlog says; uvloop takes all, but for TLS.
ACCEPT_AT_ONCE: Final = 16
TLS_SHUTDOWN: Final = 5.0  # seconds for a peer to answer the end of its TLS
NO_DESCRIPTORS: Final = 1.0  # seconds until another accept is tried where the system had nothing left for one
# What one turn of the loop takes from one socket, where asyncio takes 256 KiB. Under TLS every socket holds a
# buffer of this size from its accept on.
READ_MAX: Final = 65_536


class LoopMissingError(OperatorError):
    """The event loop that is asked for is not installed; the text is one sentence for the operator."""


def loop_class(choice: Choice) -> Any:
    """asyncio's or uvloop's. Raises LoopMissingError."""
    if choice != "asyncio":
        try:
            import uvloop

            return uvloop.Loop
        except ImportError as error:
            if choice == "uvloop":
                raise LoopMissingError(
                    "loop uvloop is not installed here; run: pip install uvloop, or choose --loop auto"
                ) from error
    return asyncio.SelectorEventLoop


class Newcomer(Protocol):
    """The protocol of a socket whose TLS handshake is still to come."""

    def count(self, peer: str | None, abort: Callable[[], None]) -> bool:
        """Whether there is a place for it; `abort` ends it."""

    def discount(self) -> None:
        """It ended before its handshake did."""


class TlsListener:
    """Accepts sockets, and counts each before the relay pays for its handshake.

    The loops' own servers tell a protocol of its socket only afterwards, and bound a handshake by 60 s.
    """

    def __init__(
        self, listener: socket.socket, make: Callable[[], Newcomer], context: ssl.SSLContext, handshake: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._make = make
        self._limits = {
            "ssl": context,
            "ssl_handshake_timeout": handshake,
            "ssl_shutdown_timeout": TLS_SHUTDOWN,
        }
        self._handshakes: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._is_open = True
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError:  # no descriptor is left, or no memory: it would be ready again at once
                self._loop.remove_reader(self._listener)
                self._again = self._loop.call_later(NO_DESCRIPTORS, self._listen)
                return
            accepted.setblocking(False)
            newcomer = self._make()

            def end(accepted: socket.socket = accepted) -> None:
                # A transport cannot be aborted before its first turn; a socket ends at any time.
                with suppress(OSError):
                    accepted.shutdown(socket.SHUT_RDWR)

            if not newcomer.count(str(address[0]), end):
                newcomer.discount()
                accepted.close()
                continue
            task = self._loop.create_task(self._shake_hands(accepted, newcomer))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, accepted: socket.socket, newcomer: Newcomer) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: cast(Any, newcomer), accepted, **self._limits)  # type: ignore[arg-type]
        except OSError:  # of the handshake, which is the peer's own affair, or its time is over
            newcomer.discount()
        except asyncio.CancelledError:
            newcomer.discount()
            raise

    def close(self) -> None:
        """Let nobody in any more; what is not through its handshake ends."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._listener)
        if self._again is not None:
            self._again.cancel()
        for task in self._handshakes:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until those have ended."""
        await asyncio.gather(*self._handshakes, return_exceptions=True)


def runner(choice: Choice, handshake: float) -> asyncio.Runner:
    """A loop to open the store and serve in; TLS handshakes take at most `handshake` seconds.

    Raises LoopMissingError.
    """
    base: Any = loop_class(choice)

    class Loop(base):  # type: ignore[misc]  # a base known at run time only
        async def create_server(self, make: Any, *where: Any, **options: Any) -> Any:
            context = options.get("ssl")
            if context is None:
                return await super().create_server(make, *where, **options)
            return TlsListener(options["sock"], make, context, handshake)

    # No setting of asyncio: the class is the only place where it can be told. uvloop has no such thing.
    asyncio.sslproto.SSLProtocol.max_size = READ_MAX
    return asyncio.Runner(loop_factory=Loop)
