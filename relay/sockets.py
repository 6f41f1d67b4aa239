"""A WebSocket as a connection knows it, and the connection as its WebSocket does.

Owns what the two ask of each other. Nothing here waits: a socket hands over what it has read, and takes what
there is to write when everything has been read that was there (`relay.turns`).
"""

from typing import Protocol

from relay.outbound import Outbound


class Socket(Protocol):
    """One WebSocket connection. Once it is closed, nothing here does anything."""

    def wake(self) -> None:
        """There is something to write, or to count."""

    def hold(self) -> None:
        """Hand over nothing more, and read nothing more, until `release`."""

    def release(self) -> None:
        """Go on handing over what was read."""

    def unsent(self) -> int:
        """Bytes that were written and have not left this process yet."""

    def abort(self) -> None:
        """Cut the connection now, sending nothing."""


class Receiver(Protocol):
    """Who is behind a socket. None of these may block or raise."""

    outbound: Outbound

    def text(self, message: str) -> None:
        """A text message came."""

    def binary(self, message: bytes) -> None:
        """A binary message came."""

    def read(self) -> None:
        """For now that was all."""

    def written(self) -> None:
        """Something was taken from `outbound`, or the socket holds less than before."""

    def lost(self) -> None:
        """The socket is closed."""
