"""Mosquitto, an MQTT broker, over WebSocket: Debian's package, where it is.

Owns its start, and CONNECT and SUBSCRIBE of each connection.
"""

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from bench.crowd import BINARY, Line, Unexpected, batches, connect, masked_frame
from bench.peers import programs
from bench.servers import Server

CONNACK, SUBACK = b"\x20\x02\x00\x00", b"\x90\x03\x00\x01"


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


class Mosquitto(Server):
    """A broker for anybody, in memory, without a bound in flight; `qos` is that of its subscribers."""

    def __init__(self, directory: Path, qos: int) -> None:
        program = programs.from_system("mosquitto")
        self._port, self._qos = programs.free_port(), qos
        directory.mkdir()
        config = directory / "mosquitto.conf"
        config.write_text(
            f"listener {self._port} 127.0.0.1\nsocket_domain ipv4\nprotocol websockets\n"
            "allow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 0\n"
            f"max_queued_messages 0\nlog_type error\nuser root\nlistener 0 {directory}/unused\n"
        )  # 2.0.11 does not start without a listener beside that for WebSockets
        super().__init__([program, "-c", config])
        self.listens_on(self._port)

    def connect(self, flows: Sequence[tuple[int, int]], base: int) -> list[socket.socket]:
        """See `bench.systems.Network`."""
        receives = {recipient: flow for flow, (_, recipient) in enumerate(flows, base)}
        ready = []
        for batch in batches(range(1 + max(place for flow in flows for place in flow))):
            lines = [Line(connect("127.0.0.1", self._port)) for _ in batch]
            for line in lines:
                line.request("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n")
            for line, place in zip(lines, batch, strict=True):
                line.upgraded()
                body = _text("MQTT") + b"\x04\x02\x00\x00" + _text(f"bench{base}-{place}")
                line.socket.sendall(masked_frame(bytes([0x10, len(body)]) + body, BINARY))
            for line, place in zip(lines, batch, strict=True):
                self._expect(line, CONNACK)
                if place in receives:
                    body = b"\x00\x01" + _text(f"b/{receives[place]}") + bytes([self._qos])
                    line.socket.sendall(masked_frame(bytes([0x82, len(body)]) + body, BINARY))
            for line, place in zip(lines, batch, strict=True):
                if place in receives:
                    self._expect(line, SUBACK + bytes([self._qos]))
                ready.append(line.hand_on())
        return ready

    def _expect(self, line: Line, packet: bytes) -> None:
        heard = b""
        while len(heard) < len(packet):
            heard += line.receive()[1]
        if heard != packet:
            raise Unexpected(f"mosquitto answered {heard!r}")
