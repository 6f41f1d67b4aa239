"""Delays: as long as was asked for, for each contact apart, and drawn so that none tells of another.

What is counted is drawn from seeds: drawn anew, it would lie beyond its bound in one run of a thousand.
"""

import os
import random
from itertools import pairwise
from math import sqrt

import pytest

from clients.delays import AT_ONCE, LEAST_PART, Delays

MANY = 5000


def ends(longest: float, contacts: int = MANY) -> list[float]:
    """When the delays of so many contacts are over, which all begin at 0."""
    delays = Delays(random.Random(1).randbytes, lambda: longest)
    delays.begin(dict.fromkeys(range(contacts), 1), 0.0)
    found = []
    while (now := delays.next) is not None:
        found += [now] * len(delays.take(now))
    return found


def distance(values: list[float], longest: float) -> float:
    """The largest distance from a uniform distribution, as Kolmogorov and Smirnov measure it."""
    least = longest / LEAST_PART
    shares = sorted((value - least) / (longest - least) for value in values)
    steps = [(share, number / len(shares)) for number, share in enumerate(shares)]
    return max(max(share - below, below + 1 / len(shares) - share) for share, below in steps)


def test_every_time_between_the_least_and_the_longest_is_as_likely() -> None:
    found = ends(1.6)
    assert len(found) == MANY
    assert 0.2 <= min(found) <= max(found) <= 1.6
    assert distance(found, 1.6) < 2.6 / sqrt(MANY)  # drawn anew, one run in 400,000 is above


def test_control_times_that_lean_to_one_side_would_be_seen() -> None:
    drawn = random.Random(2)
    leaning = [0.2 + 1.4 * drawn.random() ** 1.15 for _ in range(MANY)]
    assert distance(leaning, 1.6) > 2.6 / sqrt(MANY)


def test_the_delay_of_one_message_says_nothing_about_the_next_one() -> None:
    delays, times = Delays(random.Random(3).randbytes, lambda: 1.0), list[float]()
    for _ in range(MANY):
        delays.begin({1: 1}, 0.0)
        assert delays.next is not None
        times.append(delays.next)
        delays.take(delays.next)
    # Of a run of numbers without a pattern half are larger than the one before; the variance is n / 12.
    larger = sum(before < after for before, after in pairwise(times))
    assert abs(larger - MANY / 2) < 5 * sqrt(MANY / 12)


def test_control_without_a_delay_everything_goes_out_at_once() -> None:
    assert ends(0.0, 100) == [0.0] * 100


def test_a_delay_that_runs_covers_what_comes_meanwhile() -> None:
    delays = Delays(os.urandom, lambda: 1.0)
    delays.begin({1: 1}, 0.0)
    over = delays.next
    for now in (0.1, 0.2, 0.3):
        delays.begin({1: 2, 2: 1}, now)
    assert over is not None
    assert delays.take(over - 0.001) in ([], [2])
    assert 1 in delays.take(over)
    assert 1 not in delays.take(over + 10)


def test_a_flood_is_receipted_at_once_so_that_no_sender_begins_anew() -> None:
    delays = Delays(os.urandom, lambda: 60.0)
    delays.begin({1: AT_ONCE - 1, 2: 1}, 0.0)
    assert delays.take(0.0) == []
    delays.begin({1: AT_ONCE, 2: 1}, 0.5)
    assert delays.take(0.5) == [1]


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_the_ends_of_the_randomness_are_the_ends_of_the_delay(byte: bytes) -> None:
    delays = Delays(lambda size: byte * size, lambda: 8.0)
    delays.begin({1: 1}, 100.0)
    assert delays.next == pytest.approx(101.0 if byte == b"\0" else 108.0)
