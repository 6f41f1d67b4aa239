"""Servers that forward WebSocket messages by number and promise nothing: in C, on FastAPI, on Node.

Owns their start, and the first message on each connection: its number. A connection is ready when what it
sent to itself has come back.
"""

import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.crowd import BINARY, Line, Unexpected, batches, connect, masked_frame
from bench.generator import BUILT
from bench.peers import programs
from bench.servers import Server

HERE = Path(__file__).parent
SENDER_ONLY = 60_000  # numbers from here on are nobody's address


class BareWebSocket(Server):
    """One of them; `command` prints its port first."""

    def __init__(self, command: Sequence[object], cwd: Path | None = None) -> None:
        super().__init__(command, speaks=True, cwd=cwd)
        self.port = int(self.first_line())

    def connect(self, flows: Sequence[tuple[int, int]], base: int) -> list[socket.socket]:
        """See `bench.systems.Network`."""
        numbers = {recipient: flow for flow, (_, recipient) in enumerate(flows, base)}
        places = range(1 + max(place for flow in flows for place in flow))
        ready = []
        for batch in batches(places):
            lines = [Line(connect("127.0.0.1", self.port)) for _ in batch]
            for line in lines:
                line.request("/")
            for line in lines:
                line.upgraded()
            for line, place in zip(lines, batch, strict=True):
                number = struct.pack(">I", numbers.get(place, SENDER_ONLY + place))
                line.socket.sendall(masked_frame(number, BINARY) + masked_frame(number + b"ready", BINARY))
            for line in lines:
                if line.receive()[1][4:] != b"ready":
                    raise Unexpected("a forwarder forwards something else than it was sent")
                ready.append(line.hand_on())
        return ready


def in_c() -> BareWebSocket:
    """The limit."""
    return BareWebSocket([BUILT / "forwarder"])


def on_fastapi() -> BareWebSocket:
    """A WebSocket route of FastAPI on uvicorn, with the packages that the relay has."""
    return BareWebSocket([sys.executable, HERE / "fastapi_route.py"])


def on_node() -> BareWebSocket:
    """The package ws."""
    return BareWebSocket([programs.node(), HERE / "node_ws.cjs"], cwd=programs.NODE)
