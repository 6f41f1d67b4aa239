"""Prosody, an XMPP server, over plain TCP: Debian's package, where it is.

Owns its start, and the login of each connection; everybody is let in.
"""

import base64
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.crowd import Unexpected, batches, connect
from bench.peers import programs
from bench.servers import Server

STREAM: Final = (
    b"<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
CONFIG: Final = """\
run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}"
modules_enabled = {{ "saslauth" }}
modules_disabled = {{ "s2s", "offline" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "insecure"
insecure_open_authentication = "Yes please, I know what I'm doing!"
log = {{ error = "{directory}/prosody.log" }}
VirtualHost "localhost"
"""


class Prosody(Server):
    """A server whose users are called b7 where they receive flow 7, and s7 where they only send."""

    def __init__(self, directory: Path) -> None:
        program = programs.from_system("prosody")
        self._port = programs.free_port()
        directory.mkdir()
        config = directory / "prosody.cfg.lua"
        config.write_text(CONFIG.format(directory=directory, port=self._port))
        super().__init__([program, "--config", config, "-F"])
        self.listens_on(self._port)

    def connect(self, flows: Sequence[tuple[int, int]], base: int) -> list[socket.socket]:
        """See `bench.systems.Network`."""
        receives = {recipient: flow for flow, (_, recipient) in enumerate(flows, base)}
        ready = []
        for batch in batches(range(1 + max(place for flow in flows for place in flow))):
            sockets = [connect("127.0.0.1", self._port) for _ in batch]
            names = [f"b{receives[place]}" if place in receives else f"s{base + place}" for place in batch]
            steps = [
                ([STREAM] * len(names), b"</stream:features>"),
                ([_login(name) for name in names], b"xmpp-sasl'/>"),
                ([STREAM] * len(names), b"</stream:features>"),
                ([BIND] * len(names), b"</iq>"),
            ]
            for words, last in steps:
                for each, said in zip(sockets, words, strict=True):
                    each.sendall(said)
                for each in sockets:
                    _await(each, last)
            ready += sockets
        return ready


BIND: Final = (
    b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    b"<resource>x</resource></bind></iq>"
)


def _login(name: str) -> bytes:
    secret = base64.b64encode(f"\0{name}\0any".encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>".encode()


def _await(each: socket.socket, last: bytes) -> None:
    heard = b""
    while not heard.endswith(last):
        data = each.recv(65_536)
        heard += data
        if not data or b"<failure" in heard or b"stream:error" in heard:
            raise Unexpected(f"prosody answered {heard[-300:]!r}")
