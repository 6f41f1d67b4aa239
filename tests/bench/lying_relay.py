"""A relay of one thread that forwards what it is put, as it should, or with one lie.

Owns the far ends of two socket pairs, a sender's and a recipient's. Knows as much of the protocol as the load
generator speaks.
"""

import base64
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

TEXT, BINARY = 1, 2
ENVELOPE_AT = 50


@dataclass(frozen=True)
class Forwarded:
    """What becomes of one put: the parts of its DELIVER, how often it is delivered and accepted."""

    frame_id: bytes
    mailbox: bytes
    sequence: int
    envelope: bytes
    flags: int = 0
    deliveries: int = 1
    acceptances: int = 1


# Is given the number of the put, from 0, and what should become of it.
Lie = Callable[[int, Forwarded], Forwarded]


def server_frame(opcode: int, payload: bytes) -> bytes:
    """Unmasked, as servers send."""
    size = len(payload)
    return (
        bytes([0x80 | opcode])
        + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size))
        + payload
    )


class LyingRelay:
    """`sender` and `recipient` are for the generator."""

    def __init__(self, lie: Lie, *, swapped: int | None = None) -> None:
        self.sender, self._from_sender = socket.socketpair()
        self.recipient, self._to_recipient = socket.socketpair()
        self._lie, self._swapped = lie, swapped
        self._held: bytes | None = None
        self.acknowledged = 0
        self._threads = [threading.Thread(target=work) for work in (self._forward, self._hear)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.sender, self.recipient):
            each.close()  # the generator has copies of its own, and has ended
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        for each in (self._from_sender, self._to_recipient):
            each.close()

    def _forward(self) -> None:
        with contextlib.suppress(ConnectionError):  # the generator has ended
            self._forward_all()

    def _forward_all(self) -> None:
        for number, put in enumerate(_messages(self._from_sender)):
            honest = Forwarded(put[2:18], put[18:ENVELOPE_AT], number + 1, put[ENVELOPE_AT:])
            told = self._lie(number, honest)
            head = b"\x02\x01" + told.frame_id + told.mailbox + struct.pack(">QB", told.sequence, told.flags)
            delivery = server_frame(BINARY, head + told.envelope) * told.deliveries
            if number == self._swapped:
                self._held = delivery
            else:
                self._to_recipient.sendall(delivery + (self._held or b""))
                self._held = None
            name = base64.urlsafe_b64encode(honest.frame_id).decode().rstrip("=")
            answer = json.dumps({"type": "accepted", "frames": [name]}, separators=(",", ":")).encode()
            self._from_sender.sendall(server_frame(TEXT, answer) * told.acceptances)

    def _hear(self) -> None:
        with contextlib.suppress(ConnectionError):
            for message in _messages(self._to_recipient):
                said = json.loads(message)
                if said["type"] == "acknowledge":
                    self.acknowledged = said["through"]


def _messages(connected: socket.socket) -> Iterator[bytes]:
    """Unmasked payloads of what a client sends, until it has gone."""
    with connected.makefile("rb") as stream:
        while len(head := stream.read(2)) == 2:
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(stream.read(2), "big")
            key, payload = stream.read(4), stream.read(size)
            yield bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def honest(number: int, forwarded: Forwarded) -> Forwarded:
    """No lie."""
    del number
    return forwarded


def at(when: int, **changes: object) -> Lie:
    """At one put, these parts are otherwise."""

    def lie(number: int, forwarded: Forwarded) -> Forwarded:
        return replace(forwarded, **changes) if number == when else forwarded  # type: ignore[arg-type]

    return lie
