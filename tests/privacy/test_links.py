"""The statistics: silent where there is nothing, also where that is uneven, and sure where there is."""

import random
from collections.abc import Callable

import pytest

from tests.privacy.links import is_near, is_ordered

SIZE, LOOKS = 40, 300
Distance = Callable[[random.Random], float]


@pytest.mark.parametrize(
    "distance",
    [
        lambda drawn: drawn.random(),
        lambda drawn: drawn.choice((3.0, 99.0)),
        lambda drawn: drawn.choice((3.0, 4.0, 5.0, 99.0)),
        lambda drawn: drawn.paretovariate(0.3),
        lambda drawn: 99.0,
    ],
    ids=["even", "two", "few", "long tail", "one"],
)
def test_chance_is_no_link(distance: Distance) -> None:
    drawn = random.Random(1)
    for _ in range(LOOKS):
        matrix = [[distance(drawn) for _ in range(SIZE)] for _ in range(SIZE)]
        busy = drawn.randrange(SIZE)
        matrix[busy] = [0.0] * SIZE  # near everybody
        assert not is_near(matrix)


def test_a_third_of_the_pairs_is_enough() -> None:
    drawn = random.Random(2)
    matrix = [[drawn.random() for _ in range(SIZE)] for _ in range(SIZE)]
    for i in range(SIZE // 3):
        matrix[i][i] = -1.0
    assert is_near(matrix)


def test_a_little_nearer_all_of_them_is_enough() -> None:
    drawn = random.Random(3)
    matrix = [[drawn.random() * (0.3 if i == j else 1) for j in range(SIZE)] for i in range(SIZE)]
    assert is_near(matrix)


def test_orders_by_chance_are_none() -> None:
    drawn = random.Random(4)
    for _ in range(LOOKS):
        one, other = (dict(enumerate(drawn.sample(range(1000), SIZE))) for _ in range(2))
        assert not is_ordered(one, other)


@pytest.mark.parametrize("turn", [1, -1])
def test_an_order_is_found_through_noise_and_backwards(turn: int) -> None:
    drawn = random.Random(5)
    one = {n: drawn.random() for n in range(SIZE)}
    assert is_ordered(one, {n: turn * (place + drawn.random() / 3) for n, place in one.items()})


def test_of_a_few_nothing_is_said() -> None:
    assert not is_ordered(dict.fromkeys(range(5), 0.0), dict.fromkeys(range(5), 0.0))
    assert not is_near([[float(i != j) for j in range(5)] for i in range(5)])
