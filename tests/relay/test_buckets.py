"""Token buckets under a clock of the test's own."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.buckets import SECOND, SWEEP_EVERY, Buckets, Rate, Taken
from tests.relay.paces import Clock


def buckets(rate: str, most: int = 100) -> tuple[Buckets, Clock]:
    clock = Clock()
    return Buckets(Rate.parse(rate), clock, most), clock


# --- rates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["1000+100/s", "20+6/min", "6+6/h", "1+1/s", "999999999+999999999/h"])
def test_a_rate_is_written_as_it_is_read(text: str) -> None:
    assert str(Rate.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "20", "20+6", "2+6/day", "0+1/s", "1+0/s", "-1+1/s", "1+1/s ", "1.5+1/s", "1000000000+1/s", "٣+1/s"],
)
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as 1000\+100/s"):
        Rate.parse(text)


# --- one bucket ------------------------------------------------------------------------------------------


def test_a_burst_and_then_one_after_the_other() -> None:
    rates, clock = buckets("3+6/min")
    assert [rates.take("a").count for _ in range(5)] == [1, 1, 1, 0, 0]
    assert rates.wait("a") == 10
    clock.pass_seconds(9.5)
    assert rates.wait("a") == 1
    assert rates.take("a").count == 0
    clock.pass_seconds(0.5)
    assert (rates.room("a"), rates.take("a", 9).count, rates.room("a")) == (1, 1, 0)
    clock.pass_seconds(3600)
    assert rates.take("a", 9).count == 3


def test_the_wait_that_is_told_is_enough_and_not_more_than_a_second_too_long() -> None:
    for rate in ("1+1/s", "5+7/s", "20+6/min", "6+6/h", "2+700/min"):
        rates, clock = buckets(rate)
        rates.take("a", 1000)
        clock.pass_seconds(0.3)
        wait = rates.wait("a")
        clock.pass_seconds(wait)
        assert rates.room("a") >= 1, rate
        rates, clock = buckets(rate)
        rates.take("a", 1000)
        clock.pass_seconds(0.3 + wait - 1)
        assert wait == 1 or rates.room("a") == 0, rate


def test_keys_have_buckets_of_their_own() -> None:
    rates, _ = buckets("2+1/s")
    assert rates.take("a", 2).count == 2
    assert (rates.take("a").count, rates.take("b").count) == (0, 1)


def test_what_is_given_back_may_be_taken_again_once() -> None:
    rates, _ = buckets("5+1/s")
    taken = rates.take("a", 5)
    taken.give_back(2)
    assert (taken.count, rates.take("a", 9).count) == (3, 2)


def test_what_has_grown_again_meanwhile_is_not_given_back_as_well() -> None:
    rates, clock = buckets("5+1/s")
    late = rates.take("a", 5)
    clock.pass_seconds(100)
    assert rates.take("a", 3).count == 3
    late.give_back(5)
    assert rates.take("a", 9).count == 2


# --- how many are kept -----------------------------------------------------------------------------------


def test_full_buckets_are_forgotten_as_new_ones_come() -> None:
    rates, clock = buckets("10+1/s")
    for number in range(50):
        assert rates.take(number).count == 1
        clock.pass_seconds(2)
    assert len(rates) == 1
    rates.take("slow", 10)
    clock.pass_seconds(9)
    rates.forget()
    assert len(rates) == 1
    clock.pass_seconds(1)
    rates.forget()
    assert len(rates) == 0


def test_beyond_the_bound_all_others_share_one() -> None:
    rates, clock = buckets("4+1/h", most=10)
    for number in range(10):
        assert rates.take(number, 3).count == 3
    assert rates.take("new", 3).count == 3
    assert rates.take("newer", 3).count == 1
    assert rates.take("newest").count == 0
    assert rates.wait("newest") == 3600
    assert rates.take(5).count == 1, "who has a bucket keeps it"
    assert len(rates) <= 11
    clock.pass_seconds(4 * 3600)
    assert rates.take("newest", 9).count == 4


def test_a_bucket_that_stays_long_does_not_hide_full_ones_behind_it() -> None:
    rates, clock = buckets("100+1/s", most=10)
    rates.take("long", 100)
    for number in range(9):
        rates.take(number)
    clock.pass_seconds(5)
    assert rates.take("new", 100).count == 100
    assert rates.take("other", 100).count == 100


def test_the_table_is_not_looked_through_at_each_call() -> None:
    class Counted(Buckets):
        sweeps = 0

        def forget(self) -> None:
            self.sweeps += 1
            super().forget()

    clock = Clock()
    rates = Counted(Rate.parse("4+1/h"), clock, 10)
    for number in range(1000):
        rates.take(number)
        clock.now += SWEEP_EVERY // 500
    assert 1 <= rates.sweeps <= 3


def test_from_the_shared_bucket_to_one_of_its_own_nobody_gains() -> None:
    rates, clock = buckets("2+1/s", most=2)
    rates.take("other")
    rates.take("another")
    assert rates.take("a", 2).count == 2  # out of everybody's
    clock.pass_seconds(1)
    assert rates.take("a", 2).count == 1  # out of its own


# --- never more than the rate ----------------------------------------------------------------------------

steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from("abcd"), st.integers(0, 12)),
        st.tuples(st.just("give back"), st.sampled_from("abcd"), st.integers(0, 12)),
        st.tuples(st.just("pass"), st.just(""), st.sampled_from([1, SECOND // 10, SECOND, 20 * SECOND])),
        st.tuples(st.just("forget"), st.just(""), st.just(0)),
    ),
    max_size=100,
)


@settings(max_examples=500)
@given(st.integers(1, 9), st.integers(1, 50), st.sampled_from([1, 60]), st.integers(1, 4), steps)
def test_never_more_than_burst_and_rate(
    burst: int, count: int, seconds: int, most: int, sequence: list[tuple[str, str, int]]
) -> None:
    clock, rate = Clock(), Rate(burst, count, seconds)
    rates = Buckets(rate, clock, most)
    used: dict[str, list[tuple[int, Taken]]] = defaultdict(list)
    for what, key, number in sequence:
        match what:
            case "take":
                used[key].append((clock.now, taken := rates.take(key, number)))
                assert 0 <= taken.count <= min(number, burst)
            case "give back" if used[key]:
                taken = used[key][-1 - number % len(used[key])][1]
                taken.give_back(min(number, taken.count))
            case "pass":
                clock.now += number
            case "forget":
                rates.forget()
        assert len(rates) <= most + 1
    for uses in used.values():
        for first, (begin, _) in enumerate(uses):
            total = 0
            for end, taken in uses[first:]:
                # In any span of time: the burst, and what has grown in the span.
                total += taken.count
                assert total <= burst + (end - begin) * count // (seconds * SECOND)
