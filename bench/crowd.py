"""Many connections to a relay, made in step: upgrade, hello, login, register, attach, over raw sockets.

Owns what comes before the steady state; then the sockets are handed to the load generator as they are.
Nothing is left read ahead. Knows the protocol from docs/protocol.md; signatures and bytes are those of wire/.
"""

import base64
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from bench.verdict import BrokenHarness
from keys.identities import Account, Device
from wire.addresses import RelayUrl
from wire.capabilities import token_hash
from wire.control import (
    Allow,
    AllowedToken,
    Attach,
    ControlMessage,
    Hello,
    Login,
    Pull,
    Register,
)
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting, Mode

AT_ONCE: Final = 200  # connections that are between accept and login: fewer than a relay's deadline bounds
PATIENCE: Final = 60.0  # seconds for one answer
TEXT, BINARY, PING, PONG = 1, 2, 9, 10
Each = TypeVar("Each")
Dial = Callable[[RelayUrl], socket.socket]


class Unexpected(BrokenHarness):
    """The server said something else than it has to."""


def masked_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A masked WebSocket frame of up to 64 KiB."""
    mask = os.urandom(4)
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    masked = (int.from_bytes(payload, "little") ^ key).to_bytes(size, "little")
    head = (
        bytes([0x80 | opcode, 0x80 | size]) if size < 126 else struct.pack(">BBH", 0x80 | opcode, 254, size)
    )
    return head + mask + masked


class Line:
    """One WebSocket, used in step with many others. `socket` may be handed on while nothing is read ahead."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._ahead = b""

    def request(self, path: str, more: str = "") -> None:
        """Ask for the upgrade; `more` are whole header lines."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
        )

    def upgraded(self) -> None:
        """Read the answer to that."""
        while b"\r\n\r\n" not in self._ahead:
            self._read()
        head, _, self._ahead = self._ahead.partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise Unexpected(head.partition(b"\r\n")[0].decode(errors="replace"))

    def send(self, message: ControlMessage) -> None:
        """Say one control message."""
        self.socket.sendall(masked_frame(message.encode().encode()))

    def hear(self, kind: str) -> dict[str, Any]:
        """The next control message, which must be of this kind; news of the stock is passed over."""
        while True:
            opcode, payload = self.receive()
            if opcode == PING:
                self.socket.sendall(masked_frame(payload, PONG))
            elif opcode == TEXT:
                message: dict[str, Any] = json.loads(payload)
                if message["type"] == kind:
                    return message
                if message["type"] != "stock":
                    raise Unexpected(f"{kind} was due, and {payload.decode()[:300]} came")
            else:
                raise Unexpected(f"{kind} was due, and a WebSocket frame of type {opcode} came")

    def hand_on(self) -> socket.socket:
        """The socket, for somebody else to read on from here."""
        if self._ahead:
            raise Unexpected("the server spoke before it was asked")
        return self.socket

    def _read(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise Unexpected("the server ended the connection")
        self._ahead += data

    def receive(self) -> tuple[int, bytes]:
        """The next WebSocket frame: opcode and payload."""
        while len(self._ahead) < 2:
            self._read()
        size, head = self._ahead[1] & 0x7F, 2
        if size >= 126:
            head = 4 if size == 126 else 10
            while len(self._ahead) < head:
                self._read()
            size = int.from_bytes(self._ahead[2:head], "big")
        while len(self._ahead) < head + size:
            self._read()
        opcode, payload = self._ahead[0] & 0x0F, self._ahead[head : head + size]
        self._ahead = self._ahead[head + size :]
        return opcode, payload


def connect(host: str, port: int) -> socket.socket:
    """A connected TCP socket, without Nagle's wait."""
    connected = socket.create_connection((host, port), PATIENCE)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


@dataclass(frozen=True, slots=True)
class Person:
    """One account with one device, and the token that others attach."""

    device_key: bytes
    secret: bytes = field(repr=False)
    device_list: bytes
    token: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "Person":
        """Somebody new."""
        now = int(time.time())
        account, device = Account.generate(os.urandom), Device.generate(os.urandom, now)
        devices = account.sign_device_list((device.entry(account.key),), now)
        key, secret = crypto_sign_seed_keypair(device.seed)
        return cls(key, secret, devices.encode(), os.urandom(16))

    def login(self, greeting: Greeting) -> Login:
        """The answer to a relay's hello."""
        signed = crypto_sign(greeting.login_bytes(self.device_key), self.secret)
        return Login(device_key=self.device_key, signature=signed[:64])


def unpadded(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_relay(url: RelayUrl) -> socket.socket:
    """A socket of its own; the other kind of `Dial` takes one end of a tunnel."""
    return connect(url.host, url.port)


def open_lines(url: RelayUrl, count: int, dial: Dial) -> list[Line]:
    """So many upgraded connections."""
    lines = [Line(dial(url)) for _ in range(count)]
    for line in lines:
        line.request("/v1/ws")
    for line in lines:
        line.upgraded()
    return lines


def greet(url: RelayUrl, lines: Sequence[Line], mode: Mode) -> list[Greeting]:
    """Hello on each, and what the relay answered."""
    nonces = [os.urandom(32) for _ in lines]
    for line, nonce in zip(lines, nonces, strict=True):
        line.send(Hello(mode=mode, version=PROTOCOL_VERSION, origin=url.origin, nonce=nonce))
    greetings = []
    for line, nonce in zip(lines, nonces, strict=True):
        answer = line.hear("relay_hello")
        key, theirs = unpadded(answer["relay_key"]), unpadded(answer["nonce"])
        greetings.append(Greeting(mode, url.origin, key, theirs, nonce, answer["time"]))
    return greetings


def log_in(url: RelayUrl, people: Sequence[Person], dial: Dial = to_relay) -> list[Line]:
    """A connection for each, logged in; no more than a few hundred at once."""
    lines = open_lines(url, len(people), dial)
    for line, person, greeting in zip(lines, people, greet(url, lines, Mode.DEVICE), strict=True):
        line.send(person.login(greeting))
    for line in lines:
        line.hear("welcome")
    return lines


def batches(people: Sequence[Each]) -> Iterator[Sequence[Each]]:
    """A few hundred at a time."""
    for start in range(0, len(people), AT_ONCE):
        yield people[start : start + AT_ONCE]


def enter(
    url: RelayUrl, people: Sequence[Person], *, tokens: bool = True, pull: bool = True, dial: Dial = to_relay
) -> list[Line]:
    """Log in and register people that are new to the relay; each is left logged in."""
    entered = []
    for batch in batches(people):
        lines = log_in(url, batch, dial)
        for line, person in zip(lines, batch, strict=True):
            line.send(Register(ref=0, device_list=person.device_list))
            if tokens:
                line.send(Allow(ref=1, tokens=[AllowedToken(hash=token_hash(person.token))]))
        for line in lines:
            line.hear("registered")
            if tokens:
                line.hear("allowed")
            if pull:
                line.send(Pull())
        entered += lines
    return entered


def submit(url: RelayUrl, recipients: Sequence[Person | None], dial: Dial = to_relay) -> list[Line]:
    """A submit connection for each, with the recipient's token attached where there is a recipient."""
    ready = []
    for batch in batches(recipients):
        lines = open_lines(url, len(batch), dial)
        greet(url, lines, Mode.SUBMIT)
        for line, recipient in zip(lines, batch, strict=True):
            if recipient is not None:
                line.send(Attach(mailbox=recipient.device_key, token=recipient.token))
        ready += lines
    return ready
