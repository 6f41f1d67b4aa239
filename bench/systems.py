"""What is measured, behind one face: the relay here, others in bench/peers.

Owns how connections are arranged for a mode. A system opens a generator over connections of its own, and says
what CPU its server has used.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bench.crowd import Line, Person, batches, connect, enter, log_in, submit
from bench.generator import Flow, Generator
from bench.measured_relay import RELAY, MeasuredRelay


@dataclass(frozen=True, slots=True)
class Mode:
    """So many flows with so many frames in flight on each; both ways: every user sends and receives."""

    name: str
    flows: int
    window: int
    both_ways: bool = False

    def arrangement(self) -> list[tuple[int, int]]:
        """For each flow its sender and its recipient, by connection, where one connection does both."""
        if self.both_ways:
            return [(number, number ^ 1) for number in range(self.flows)]
        return [(number, self.flows + number) for number in range(self.flows)]


BURST: Final = Mode("burst", 50, 64)
LONE: Final = Mode("lone", 50, 1)
USERS: Final = Mode("2000", 2000, 1, both_ways=True)
PAIR: Final = Mode("pair", 1, 1)
LIVE: Final = (LONE, USERS, BURST, PAIR)
DURABLE: Final = (Mode("durable", 256, 16), Mode("durable 1", 256, 1))


class System(Protocol):
    """A server with a dialect of the generator."""

    @property
    def name(self) -> str:
        """As it stands in the table."""
        ...

    @property
    def size(self) -> int:
        """Bytes of payload."""
        ...

    def open(self, mode: Mode) -> Generator:
        """Connections for this mode, in a generator."""
        ...

    def cpu(self) -> float:
        """Seconds that the server has used."""
        ...


def _flows(people: Sequence[Person], *, senders: bool, devices: bool, sent: int = 0) -> list[Flow]:
    """One to each; connections are numbered senders first."""
    before = len(people) if senders else 0
    return [
        Flow(place if senders else -1, before + place if devices else -1, person.device_key, sent)
        for place, person in enumerate(people)
    ]


class Blindpost:
    """The relay: a submit connection for each sender, a device connection for each recipient."""

    def __init__(
        self,
        directory: Path,
        *flags: str,
        name: str = "blindpost",
        size: int = 1024,
        program: Sequence[str] = RELAY,
    ) -> None:
        self.name, self.size = name, size
        self.relay = MeasuredRelay(directory, *flags, program=program)

    def cpu(self) -> float:
        """See `System`."""
        return self.relay.cpu()

    def open(self, mode: Mode) -> Generator:
        """Everybody is registered anew, so that mailboxes are empty."""
        people = [Person.generate() for _ in range(mode.flows)]
        if self.relay.url.scheme == "wss":
            return self._through_tunnels(people)
        devices = enter(self.relay.url, people)
        return self._generator(submit(self.relay.url, people), devices, people)

    def away(self, people: Sequence[Person]) -> Generator:
        """Senders to people of whom none is there."""
        for line in enter(self.relay.url, people, pull=False):
            line.socket.close()
        return self._generator(submit(self.relay.url, people), [], people)

    def back(self, people: Sequence[Person], waiting: int) -> Generator:
        """The same people, logged in and about to pull so many frames each."""
        devices = [line for batch in batches(people) for line in log_in(self.relay.url, batch)]
        return self._generator([], devices, people, waiting)

    def _generator(
        self, senders: Sequence[Line], devices: Sequence[Line], people: Sequence[Person], sent: int = 0
    ) -> Generator:
        flows = _flows(people, senders=bool(senders), devices=bool(devices), sent=sent)
        return Generator("blindpost", self.size, [line.hand_on() for line in (*senders, *devices)], flows)

    def _through_tunnels(self, people: Sequence[Person]) -> Generator:
        """The generator has the TLS; the logins pass through it."""
        url = self.relay.url
        sockets = [connect(url.host, url.port) for _ in range(2 * len(people))]
        tunnels = [socket.socketpair() for _ in sockets]
        flows = _flows(people, senders=True, devices=True)
        generator = Generator("blindpost", self.size, sockets, flows, tunnels=[far for _, far in tunnels])
        ends = iter([near for near, _ in tunnels])
        senders = submit(url, people, lambda _: next(ends))
        lines = [*senders, *enter(url, people, dial=lambda _: next(ends))]
        generator.begin()
        for line in lines:
            line.hand_on().close()
        return generator

    def __enter__(self) -> "Blindpost":
        return self

    def __exit__(self, *details: object) -> None:
        self.relay.__exit__(*details)


class Network(Protocol):
    """A server to which anybody may connect."""

    def connect(self, flows: Sequence[tuple[int, int]], base: int) -> list[socket.socket]:
        """Sockets, the greetings done; `flows` are pairs of places in this list, sender and recipient.

        Flow 7 is called base + 7 at the server.
        """
        ...

    def cpu(self) -> float:
        """Seconds that it has used."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is compared, in one dialect and with one size of payload."""

    name: str
    size: int
    dialect: str
    network: Network
    base: int = 0  # no two peers on one server have the same

    def open(self, mode: Mode) -> Generator:
        """See `System`."""
        flows = mode.arrangement()
        sockets = self.network.connect(flows, self.base)
        return Generator(self.dialect, self.size, sockets, [Flow(*flow) for flow in flows], base=self.base)

    def cpu(self) -> float:
        """See `System`."""
        return self.network.cpu()
