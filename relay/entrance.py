"""Where a WebSocket becomes a connection of the relay.

Owns what is decided about a newcomer before it has said anything: whom its address counts for, whether there
is room for it, and that nobody is let in while the relay goes down.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.admission import Ticket, is_proxy, prefix_of
from relay.connection import Connection
from relay.firewall import FIREWALLS
from relay.rates import Pace
from relay.session import Session
from relay.sockets import Socket
from wire.limits import NONCE

if TYPE_CHECKING:
    from relay.app import Relay


def enter(
    relay: "Relay", socket: Socket, peer: str | None, forwarded: Sequence[str], accepted_at: float
) -> Connection:
    """The connection behind a socket that was accepted at that time of the event loop.

    `peer` is the address it came from, `forwarded` are the values of X-Forwarded-For.
    """
    proxies = relay.config.proxies
    prefix = prefix_of(peer, forwarded, proxies)
    if forwarded:
        relay.metrics.forwarded(is_proxy(peer, proxies))
    # What came without a proxy was counted when it was accepted.
    retry_after = relay.rates.socket(prefix) if is_proxy(peer, proxies) else 0
    ticket = None if retry_after else relay.admission.enter(prefix)
    pace = Pace(relay.rates, prefix)
    connection = Connection(
        socket,
        Session(relay.authority, relay.origins, os.urandom(NONCE), pace, FIREWALLS[relay.config.firewall]),
        ticket or Ticket.none(relay.admission),
        pace,
        relay.surroundings,
        accepted_at + relay.config.login_deadline,
        relay.leave,
    )
    relay.enter(connection)
    if relay.draining:
        connection.restart()
    elif ticket is None:
        connection.refuse(retry_after or None)
    else:
        ticket.give_way = connection.refuse
    return connection
