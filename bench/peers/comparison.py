"""Which peers there are, started once and kept for the whole run; what is missing is said in a sentence.

Owns the list, and which of them takes part in which comparison.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.peers import bare_websocket, lines
from bench.peers.bare_websocket import BareWebSocket
from bench.peers.lines import LineServer
from bench.peers.mosquitto import Mosquitto
from bench.peers.programs import Absent
from bench.peers.prosody import Prosody
from bench.systems import Peer

SIZES: Final = (256, 1024)
APART: Final = 4096  # more than there are flows in one mode
LIMIT, FASTAPI, NODE = "C forwarder", "FastAPI route", "Node ws"
NATS, NATS_REQUEST = "nats-server", "nats request-reply"
JETSTREAM, JETSTREAM_SYNCED = "JetStream", "JetStream, sync always"
VALKEY, VALKEY_STREAMS = "Valkey pub/sub", "Valkey streams, fsync always"
SQLITE = "SQLite alone, 256 rows a commit"
PROSODY = "prosody"
MQTT_0, MQTT_1 = "mosquitto QoS 0", "mosquitto QoS 1"

Startable = BareWebSocket | LineServer | Mosquitto | Prosody


class Comparison:
    """The peers that are here."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self.live: list[Peer] = []
        self.durable: list[Peer] = []
        self.absent: list[str] = []

    def _start(
        self, make: Callable[[], Startable], into: list[Peer], names: dict[str, str], *sizes: int
    ) -> None:
        try:
            server = make()
        except Absent as absent:
            self.absent.append(f"{', '.join(names)} left out: {absent}")
            return
        self._stack.enter_context(server)
        kinds = [(name, dialect, size) for name, dialect in names.items() for size in sizes]
        into += [
            Peer(name, size, dialect, server, number * APART)
            for number, (name, dialect, size) in enumerate(kinds)
        ]

    def start_live(self) -> None:
        """Those that forward to who is there."""
        live, here = self.live, self._directory
        self._start(bare_websocket.in_c, live, {LIMIT: "bare"}, *SIZES)
        self._start(lines.nats, live, {NATS: "nats", NATS_REQUEST: "nats_request"}, *SIZES)
        self._start(lines.valkey, live, {VALKEY: "publish"}, *SIZES)
        self._start(lambda: Mosquitto(here / "mqtt0", 0), live, {MQTT_0: "mqtt_0"}, *SIZES)
        self._start(lambda: Mosquitto(here / "mqtt1", 1), live, {MQTT_1: "mqtt_1"}, *SIZES)
        self._start(lambda: Prosody(here / "prosody"), live, {PROSODY: "xmpp"}, *SIZES)
        self._start(bare_websocket.on_node, live, {NODE: "bare"}, *SIZES)
        self._start(bare_websocket.on_fastapi, live, {FASTAPI: "bare"}, *SIZES)

    def start_durable(self) -> None:
        """Those that keep frames; 1 KiB alone."""
        kept, here = self.durable, self._directory
        self._start(lambda: lines.jetstream(here / "js", "2m"), kept, {JETSTREAM: "jetstream"}, 1024)
        self._start(
            lambda: lines.jetstream(here / "js-always", "always"), kept, {JETSTREAM_SYNCED: "jetstream"}, 1024
        )
        self._start(lambda: lines.valkey_streams(here / "streams"), kept, {VALKEY_STREAMS: "stream"}, 1024)
