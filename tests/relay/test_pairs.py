"""What counts a prefix and its target together: the rate holds over renewals, and no name is theirs."""

from relay.buckets import Buckets, Rate
from relay.pairs import NAME, Pairs
from tests.relay.paces import Clock

HERE, THERE = "192.0.2.7/32", "2001:db8::/64"
BOX, OTHER = b"m" * 32, b"o" * 32
RATE = Rate.parse("6+6/h")  # an empty bucket is full in an hour


def pairs() -> tuple[Pairs, Buckets, Clock]:
    clock = Clock()
    buckets = Buckets(RATE, clock)
    return Pairs(buckets, clock), buckets, clock


def test_a_pair_has_one_name_and_others_have_others() -> None:
    named, _, _ = pairs()
    names = [named.name(prefix, target) for prefix in (HERE, THERE) for target in (BOX, OTHER)]
    assert len(set(names)) == 4
    assert names == [named.name(prefix, target) for prefix in (HERE, THERE) for target in (BOX, OTHER)]
    assert {len(name) for name in names} == {NAME}


def test_another_relay_has_other_names() -> None:
    assert pairs()[0].name(HERE, BOX) != pairs()[0].name(HERE, BOX)


def test_a_renewal_gives_other_names_and_no_more_than_the_rate() -> None:
    named, buckets, clock = pairs()
    name = named.name(HERE, BOX)
    clock.pass_seconds(3599)
    assert buckets.take(named.name(HERE, BOX), 9).count == 6
    clock.pass_seconds(2)  # renewed in between
    assert named.name(HERE, BOX) != name
    assert buckets.take(named.name(HERE, BOX), 9).count == 0
    assert buckets.take(named.name(THERE, BOX), 9).count == 6
    clock.pass_seconds(600)
    assert buckets.take(named.name(HERE, BOX), 9).count == 1


def test_nothing_is_kept_under_a_name_that_nobody_can_make_any_more() -> None:
    named, buckets, clock = pairs()
    buckets.take(named.name(HERE, BOX), 6)
    clock.pass_seconds(3500)
    buckets.take(named.name(HERE, BOX), 1)
    for seconds, kept in ((100, 1), (3500, 0), (3600, 0)):  # renewed after the first and the last
        clock.pass_seconds(seconds)
        named.renew()
        buckets.forget()
        assert len(buckets) == kept


def test_after_a_long_silence_no_former_name_is_left() -> None:
    named, _, clock = pairs()
    former = named.name(HERE, BOX)
    clock.pass_seconds(7200)
    named.renew()
    assert named._former is None
    assert named.name(HERE, BOX) != former


def test_rates_that_fill_at_once_do_not_renew_all_the_time() -> None:
    clock = Clock()
    named = Pairs(Buckets(Rate.parse("1+1000/s"), clock), clock)
    name = named.name(HERE, BOX)
    clock.pass_seconds(59)
    assert named.name(HERE, BOX) == name
    clock.pass_seconds(1)
    assert named.name(HERE, BOX) != name
