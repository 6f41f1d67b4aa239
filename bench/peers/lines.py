"""Servers that speak in lines over plain TCP: NATS and Valkey.

Owns their start and the words before the steady state: every connection subscribes to its own flow, and is
ready when the answer to a last ping has come.
"""

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench.crowd import Unexpected, batches, connect
from bench.peers import programs
from bench.servers import Server
from bench.verdict import BrokenHarness

Greeting = Callable[[int | None, list[int]], bytes]


class LineServer(Server):
    """`greeting` makes the first words of who receives one flow and sends others; `last` ends the answer."""

    def __init__(self, command: Sequence[object], port: int, greeting: Greeting, last: bytes) -> None:
        super().__init__(command)
        self.port, self._greeting, self._last = port, greeting, last
        self.listens_on(port)

    def connect(self, flows: Sequence[tuple[int, int]], base: int) -> list[socket.socket]:
        """See `bench.systems.Network`."""
        receives = {recipient: flow for flow, (_, recipient) in enumerate(flows, base)}
        sends: dict[int, list[int]] = {}
        for flow, (sender, _) in enumerate(flows, base):
            sends.setdefault(sender, []).append(flow)
        places = range(1 + max(place for flow in flows for place in flow))
        ready = []
        for batch in batches(places):
            sockets = [connect("127.0.0.1", self.port) for _ in batch]
            for each, place in zip(sockets, batch, strict=True):
                each.sendall(self._greeting(receives.get(place), sends.get(place, [])))
            for each in sockets:
                self._await_last(each)
            ready += sockets
        return ready

    def _await_last(self, each: socket.socket) -> bytes:
        heard = b""
        while not heard.endswith(self._last):
            data = each.recv(65_536)
            heard += data
            if not data or b"-ERR" in heard:
                raise Unexpected(f"a server answered {heard[-200:]!r}")
        return heard

    def ask(self, words: bytes, until: bytes) -> bytes:
        """Say something on a connection of its own and read until this comes."""
        with connect("127.0.0.1", self.port) as each:
            each.sendall(words)
            heard = b""
            while until not in heard:
                data = each.recv(65_536)
                if not data:
                    raise Unexpected(f"a server answered {heard[-200:]!r}")
                heard += data
            return heard


def _nats_greeting(receives: int | None, sends: list[int]) -> bytes:
    words = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
    if receives is not None:
        words += f"SUB b.{receives} 1\r\n".encode()
    words += b"".join(f"SUB r.{flow}.* 2\r\n".encode() for flow in sends)
    return words + b"PING\r\n"


def nats() -> LineServer:
    """Best effort, and request and reply."""
    port = programs.free_port()
    command = [programs.nats_server(), "-a", "127.0.0.1", "-p", port]
    return LineServer(command, port, _nats_greeting, b"PONG\r\n")


def jetstream(directory: Path, sync: str) -> LineServer:
    """A stream of files; `sync` is a duration, or `always`: fsync before each acknowledgement."""
    port = programs.free_port()
    directory.mkdir()
    config = directory / "nats.conf"
    config.write_text(
        f"listen: 127.0.0.1:{port}\n"
        f"jetstream {{ store_dir: {json.dumps(str(directory))}, sync_interval: {sync} }}\n"
    )
    server = LineServer([programs.nats_server(), "-c", config], port, _nats_greeting, b"PONG\r\n")
    stream = json.dumps({"name": "B", "subjects": ["js.*"], "storage": "file"}).encode()
    words = b'CONNECT {"verbose":false}\r\nSUB made 1\r\nPUB $JS.API.STREAM.CREATE.B made %d\r\n%s\r\n'
    answer = server.ask(words % (len(stream), stream), b"}\r\n")
    if b'"error"' in answer or b"MSG made" not in answer:
        server.__exit__()
        raise BrokenHarness(f"JetStream made no stream: {answer[-300:]!r}")
    return server


def _valkey_greeting(receives: int | None, sends: list[int]) -> bytes:
    del sends
    words = b"HELLO 3\r\n"
    if receives is not None:
        words += f"SUBSCRIBE b.{receives}\r\n".encode()
    return words + b"PING\r\n"


VALKEY: Final = ("--bind", "127.0.0.1", "--save", "", "--maxclients", "15000", "--io-threads", "1")


def valkey() -> LineServer:
    """Publish and subscribe; nothing is kept."""
    port = programs.free_port()
    command = [programs.valkey_server(), "--port", port, *VALKEY, "--appendonly", "no"]
    return LineServer(command, port, _valkey_greeting, b"+PONG\r\n")


def valkey_streams(directory: Path) -> LineServer:
    """Streams in an append-only file that is fsynced before each answer."""
    port = programs.free_port()
    directory.mkdir()
    kept = ("--appendonly", "yes", "--appendfsync", "always", "--dir", directory)
    command = [programs.valkey_server(), "--port", port, *VALKEY, *kept]
    return LineServer(command, port, _valkey_greeting, b"+PONG\r\n")
