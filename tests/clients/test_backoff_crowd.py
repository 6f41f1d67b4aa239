"""2,000 clients that lose their relay at once, simulated: they come back spread out, and all soon enough."""

import heapq
from collections import Counter

from clients.backoff import LONGEST, Backoff

CLIENTS = 2000
PER_SECOND = 300  # logins that the simulated relay gets done: a third of what the real one does on one core
BACK_WITHIN = 30.0  # seconds: the promise for an absence of some seconds
AT_ONCE = 1000  # sockets before login that it lets in, as the default; others are refused at once


def back_after(away: float) -> tuple[list[float], int]:
    """When each client is back, after the relay was away so long; and the busiest tenth of a second."""
    queue = [(0.0, client) for client in range(CLIENTS)]
    schedules = [Backoff() for _ in range(CLIENTS)]
    attempts: Counter[int] = Counter()
    back: list[float] = []
    free_at = away
    heapq.heapify(queue)
    while queue:
        now, client = heapq.heappop(queue)
        attempts[int(now * 10)] += now >= away
        waiting = (free_at - now) * PER_SECOND
        if now < away or waiting >= AT_ONCE:
            heapq.heappush(queue, (now + schedules[client].next(), client))
            continue
        free_at = max(free_at, now) + 1 / PER_SECOND
        back.append(free_at - away)
    return back, max(attempts.values())


def test_all_are_back_soon_after_a_restart_of_seconds() -> None:
    back, _ = back_after(away=5.0)
    assert len(back) == CLIENTS
    assert max(back) < BACK_WITHIN


def test_after_a_long_absence_nobody_waits_longer_than_the_longest_pause_beside_the_relays_own_time() -> None:
    back, busiest = back_after(away=600.0)
    assert max(back) < CLIENTS / PER_SECOND + 2 * LONGEST
    # Spread over half a minute: without jitter all would come in one instant, again and again.
    assert busiest < CLIENTS / 20
