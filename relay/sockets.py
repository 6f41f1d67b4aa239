"""A WebSocket as a connection knows it.

Owns the six things that a connection does with one. Knows no framework: `relay.endpoints` adapts it.
"""

from typing import Protocol


class SocketClosed(Exception):
    """The peer is gone, or the socket was closed from this side."""


class Socket(Protocol):
    """One WebSocket connection. Every method raises SocketClosed once it is closed."""

    async def receive(self) -> str | bytes:
        """The next message."""

    async def send_text(self, text: str) -> None:
        """Write a text message; waits while the peer does not read."""

    async def send_bytes(self, data: bytes) -> None:
        """Write a binary message; waits while the peer does not read."""

    async def close(self, code: int) -> None:
        """Close with a code."""

    def unsent(self) -> int:
        """Bytes that were written and have not left this machine's process yet."""

    def abort(self) -> None:
        """Cut the connection now, sending nothing."""
