"""The account itself: what is lost, doubled or out of order must not pass for good."""

from collections import Counter

import pytest

from tests.faults.result import Result, out_of_place, verdict


def test_an_empty_account_is_good() -> None:
    assert Result().is_good


@pytest.mark.parametrize(
    "bad", [Result(lost=1), Result(duplicated=1), Result(out_of_order=1), Result(problems=["it fell over"])]
)
def test_whatever_is_broken_is_red(bad: Result) -> None:
    total = Result(faults=Counter(cut=3))
    total.add(bad)
    assert not total.is_good
    assert verdict(total, 7).startswith("faults: FAILED: 3 faults (cut 3)")


def test_the_last_line_counts_all() -> None:
    total = Result()
    total.add(Result(faults=Counter(cut=2), messages=1000, largest_store=2_000_000))
    total.add(Result(faults=Counter(cut=1, kill=4), messages=500, largest_store=1_000_000))
    assert verdict(total, 7) == (
        "faults: ok: 7 faults (cut 3, kill 4), 1,500 messages, largest store 2.0 MB, "
        "lost 0, duplicated 0, out of order 0 (seed 7)"
    )


@pytest.mark.parametrize(
    ("got", "wanted", "count"),
    [("abcd", "abcd", 0), ("abdc", "abcd", 1), ("dcba", "abcd", 3), ("ad", "abcd", 0)],
)
def test_disorder_is_counted(got: str, wanted: str, count: int) -> None:
    assert out_of_place(got, wanted) == count
