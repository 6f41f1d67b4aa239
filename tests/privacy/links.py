"""When something ties senders to recipients: statistics that know nothing of what was looked through.

Who sends to whom is drawn at random, so that in a place without a link any other pairing would fit as well.
Owns the two ways in which a place can show the pairing: own is nearer than foreign, or both stand in the same
order. Knows no relay.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

Matrix = Sequence[
    Sequence[float]
]  # of sender i and recipient j: how far from each other; inf is nowhere near

# Each is exceeded by chance in fewer than one look in ten million, of 16 pairs or more; a run takes a hundred
# that differ. Few have heavier tails than the normal distribution: of orders of 14, all permutations
# counted, one in 200,000 is beyond 5.6 deviations and one in twelve million beyond 7.
NEAREST: Final = 11  # pairs that are nearest to each other, where one is to be expected: 1/e/11! is 1e-8
DEVIATIONS: Final = 7.0
FEWEST: Final = 12  # pairs of which both were seen


def nearest(distances: Matrix) -> int:
    """How many senders are nearer to their own recipient than to any other one."""
    count = 0
    for i, row in enumerate(distances):
        count += row[i] < min((value for j, value in enumerate(row) if j != i), default=math.inf)
    return count


def _ranks(values: Sequence[float]) -> list[float]:
    """From 0, the same for the same."""
    order = sorted(values)
    first = {value: order.index(value) for value in set(values)}
    count = {value: order.count(value) for value in set(values)}
    return [first[value] + (count[value] - 1) / 2 for value in values]


def deviations(distances: Matrix) -> float:
    """How much nearer own recipients rank than by chance, in standard deviations (Hoeffding, 1951)."""
    size = len(distances)
    ranks = [_ranks(row) for row in distances]
    rows = [sum(row) / size for row in ranks]
    columns = [sum(row[j] for row in ranks) / size for j in range(size)]
    mean = sum(rows) / size
    centred = [[ranks[i][j] - rows[i] - columns[j] + mean for j in range(size)] for i in range(size)]
    variance = sum(value * value for row in centred for value in row) / (size - 1)
    shift = mean * size - sum(ranks[i][i] for i in range(size))
    return shift / math.sqrt(variance) if variance > 1e-9 else 0.0


def is_near(distances: Matrix) -> bool:
    """Whether this place ties senders to their recipients."""
    if len(distances) < FEWEST:
        return False
    return nearest(distances) >= NEAREST or deviations(distances) > DEVIATIONS


def same_order(senders: Mapping[int, float], recipients: Mapping[int, float]) -> float:
    """How far both stand in the same order, or the opposite one, in standard deviations; 0 for few."""
    both = sorted(set(senders) & set(recipients))
    if len(both) < FEWEST:
        return 0.0
    one, other = (_ranks([place[n] for n in both]) for place in (senders, recipients))
    middle = (len(both) - 1) / 2
    spread = math.sqrt(sum((x - middle) ** 2 for x in one) * sum((y - middle) ** 2 for y in other))
    if not spread:
        return 0.0
    like = sum((x - middle) * (y - middle) for x, y in zip(one, other, strict=True)) / spread
    like = max(-0.9999999, min(0.9999999, like))
    return abs(math.atanh(like)) * math.sqrt(len(both) - 3)  # Fisher's z


def is_ordered(senders: Mapping[int, float], recipients: Mapping[int, float]) -> bool:
    """Whether the order of some tells whom the others belong to."""
    return same_order(senders, recipients) > DEVIATIONS
