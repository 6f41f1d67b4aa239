"""How many sockets one place in the network may hold.

Owns the counts per address prefix (/32 for IPv4, /64 for IPv6), in memory only: nothing here is logged,
stored or exported. Where all places are taken, whoever comes gets one of a prefix that holds more, or of who
has held one for long: else some addresses could keep everybody out for as long as they like. Knows no
connection.
"""

import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

IPV4: Final = 4  # bytes
_MAPPED: Final = (
    bytes(10) + b"\xff\xff"
)  # what an IPv4 address in an IPv6 one begins with: RFC 4291 section 2.5.5.2
GIVE_WAY_AFTER: Final = 5.0  # seconds before a login: half its deadline, and long for two round trips

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _address(text: str) -> bytes | None:
    """4 bytes of an IPv4 address or 16 of an IPv6 one. `ipaddress` takes 10 us for that, and this 1."""
    text = text.strip().partition("%")[0]
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return packed[len(_MAPPED) :] if packed.startswith(_MAPPED) else packed


def is_proxy(peer: str | None, trusted: Collection[Network]) -> bool:
    """Whether a socket comes from one of these networks."""
    if not trusted or (packed := _address(peer or "")) is None:
        return False
    address = ipaddress.ip_address(packed)
    return any(address in network for network in trusted)


def prefix_of(peer: str | None, forwarded: Sequence[str], trusted: Collection[Network]) -> str:
    """The prefix that a socket counts for.

    `forwarded` holds the values of X-Forwarded-For. It is believed as far as trusted proxies wrote it: from
    the right, up to the first address that is not a proxy's own. Unreadable addresses share one prefix.
    """
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and is_proxy(peer, trusted):
        peer = hops.pop()
    address = _address(peer or "")
    if address is None:
        return "unknown"
    if len(address) == IPV4:
        return f"{socket.inet_ntop(socket.AF_INET, address)}/32"
    return f"{socket.inet_ntop(socket.AF_INET6, address[:8] + bytes(8))}/64"


@dataclass(frozen=True, slots=True)
class Caps:
    """How many sockets are let in."""

    before_login: int
    before_login_per_prefix: int
    submit_per_prefix: int
    in_all: int


class Admission:
    """The sockets of every prefix."""

    def __init__(self, caps: Caps, clock: Callable[[], float] = time.monotonic) -> None:
        self.caps = caps
        self._clock = clock
        self.before_login: dict[str, dict[Ticket, None]] = {}  # of each prefix, the oldest first
        self.submit: Counter[str] = Counter()
        self.waiting = 0
        self.in_all = 0

    def enter(self, prefix: str, *, shared: bool = False) -> "Ticket | None":
        """A place before login, or None when a cap is reached. `shared`: a proxy, many clients behind it."""
        if self.in_all >= self.caps.in_all:
            return None
        own = self.before_login.get(prefix, {})
        if not shared and len(own) >= self.caps.before_login_per_prefix and not self._free(own, idle=True):
            return None
        if self.waiting >= self.caps.before_login:
            # Most places, and of those who hold as many the one whose oldest is older.
            most = max(self.before_login.values(), key=lambda held: (len(held), -next(iter(held)).since))
            # Among those who hold alike whoever was first goes on: when a relay comes back and all dial at
            # once, nobody would get through else. But not for ever.
            is_due = len(most) > len(own) + 1 or self._is_late(most)
            if not self._free(most, idle=True) and not (is_due and self._free(most)):
                return None
        ticket = Ticket(self, prefix, self._clock())
        self.before_login.setdefault(prefix, {})[ticket] = None
        self.waiting += 1
        self.in_all += 1
        return ticket

    def _is_late(self, places: "dict[Ticket, None]") -> bool:
        """Whether the oldest of these has had its time."""
        return self._clock() - next(iter(places)).since >= GIVE_WAY_AFTER

    def _free(self, places: "dict[Ticket, None]", *, idle: bool = False) -> bool:
        """Take the oldest place away that can give way, of those that are idle or of all."""
        for ticket in places:
            if ticket.give_way is not None and (ticket.idle or not idle):
                ticket.release()
                ticket.give_way()
                return True
        return False


class Ticket:
    """The place of one socket: one in all, and until its device is known one of its prefix as well.

    `since` seconds of the clock; `give_way` ends the socket when its place is taken away; `idle`: nobody
    waits for anything on it.
    """

    def __init__(self, admission: Admission, prefix: str, since: float) -> None:
        self._admission = admission
        self._prefix = prefix
        self.since = since
        self._inside = True
        self._submits = False
        self.give_way: Callable[[], None] | None = None
        self.idle = False

    @classmethod
    def none(cls, admission: Admission) -> "Ticket":
        """What a socket holds that was not let in."""
        ticket = cls(admission, "", 0.0)
        ticket._inside = False
        return ticket

    def submit(self) -> bool:
        """Move on to the submit connections; False when the prefix has enough of them."""
        admission = self._admission
        if admission.submit[self._prefix] >= admission.caps.submit_per_prefix:
            return False
        self.release()
        admission.submit[self._prefix] += 1
        self._submits = True
        return True

    def settle(self) -> None:
        """A registered device has a mailbox to be known by, and no longer counts for its prefix."""
        self.release()

    def leave(self) -> None:
        """Give the place back; twice does no harm."""
        self.release()
        if self._inside:
            self._inside = False
            self._admission.in_all -= 1

    def release(self) -> None:
        """Give the place of its prefix back, and not yet the one in all."""
        admission, prefix = self._admission, self._prefix
        if self._submits:
            self._submits = False
            admission.submit[prefix] -= 1
            if not admission.submit[prefix]:
                del admission.submit[prefix]
        places = admission.before_login.get(prefix, {})
        if self in places:
            del places[self]
            admission.waiting -= 1
            if not places:
                del admission.before_login[prefix]
