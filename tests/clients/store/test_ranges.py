"""Ranges against the plain set of sequences that they stand for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from clients.store.ranges import MAX_RANGES, Ranges

SEQUENCES = st.lists(st.integers(1, 60), max_size=60)


def ranges_of(sequences: list[int]) -> Ranges:
    ranges = Ranges()
    for sequence in sequences:
        ranges = ranges.added(sequence)
    return ranges


@given(SEQUENCES)
def test_holds_what_was_added_and_nothing_else(sequences: list[int]) -> None:
    ranges = ranges_of(sequences)
    assert {n for n in range(1, 70) if n in ranges} == set(sequences)
    assert ranges.highest == max(sequences, default=0)


@given(SEQUENCES)
def test_pairs_are_ascending_and_never_touch(sequences: list[int]) -> None:
    pairs = ranges_of(sequences).pairs
    assert all(first <= last for first, last in pairs)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(pairs))


@given(SEQUENCES, st.randoms(use_true_random=False))
def test_order_of_arrival_makes_no_difference(sequences: list[int], random: object) -> None:
    shuffled = list(sequences)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' own Random
    assert ranges_of(shuffled) == ranges_of(sequences)


@given(SEQUENCES)
def test_comes_back_from_its_record(sequences: list[int]) -> None:
    ranges = ranges_of(sequences)
    record = ranges.encode()
    assert Ranges.decode(record) == ranges
    assert len(record) == 16 * len(ranges.pairs)


@given(SEQUENCES, st.integers(0, 65))
def test_covered_from_is_the_end_of_the_unbroken_run(sequences: list[int], start: int) -> None:
    end = start
    while end + 1 in sequences:
        end += 1
    assert ranges_of(sequences).covered_from(start) == end


@given(SEQUENCES, st.integers(0, 65), st.integers(0, 65))
def test_missing_between_counts_what_is_not_there(sequences: list[int], low: int, high: int) -> None:
    missing = [n for n in range(low + 1, high) if n not in sequences]
    assert ranges_of(sequences).missing_between(low, high) == len(missing)


def test_is_bounded_and_never_closes_a_gap_that_was_not_filled() -> None:
    ranges = ranges_of(list(range(2, 2 * MAX_RANGES + 4, 2)))
    assert len(ranges.pairs) == MAX_RANGES
    assert 2 not in ranges  # what came before the oldest gap is forgotten
    assert not any(odd in ranges for odd in range(3, 2 * MAX_RANGES, 2))
    assert len(ranges.encode()) == 16 * MAX_RANGES


def test_the_largest_sequence_of_the_wire_fits() -> None:
    largest = 2**63 - 1
    ranges = ranges_of([largest, largest - 1])
    assert Ranges.decode(ranges.encode()).pairs == ((largest - 1, largest),)
    assert ranges.missing_between(0, largest - 1) == largest - 2
