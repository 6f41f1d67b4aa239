"""What each rate counts, and for whom, without a socket or a store."""

import pytest

from relay.buckets import SECOND, Rate
from relay.config import Config
from relay.rates import Granted, Limit, Pace, Rates
from tests.relay.paces import AMPLE, Clock, Slow
from wire.errors import ErrorCode, WireError

HERE, THERE = "192.0.2.7/32", "2001:db8::/64"
BOX, OTHER, TOKEN, LOST = b"m" * 32, b"o" * 32, b"t" * 32, b"l" * 32


def test_every_rate_has_a_setting_of_its_name() -> None:
    assert set(Config().rates) == set(Limit)
    assert {name for name in Config.model_fields if "_rate" in name} == set(Limit)


def test_frames_are_counted_by_prefix_and_by_token() -> None:
    slow = Slow(put_rate_per_prefix="10+1/s", put_rate_per_token="6+2/s")
    here = slow.pace(HERE)
    assert here.put(TOKEN, 4) == Granted(4)
    assert here.put(TOKEN, 4) == Granted(2, 1)
    assert slow.refusals == [Limit.PUT_PER_TOKEN]
    assert here.put(None, 9) == Granted(4, 1), "without a token, the prefix alone counts"
    assert here.put(LOST, 1) == Granted(0, 1)
    assert slow.refusals[1:] == [Limit.PUT_PER_PREFIX] * 2
    # The same token from elsewhere is the same token.
    assert slow.pace(THERE).put(TOKEN, 1) == Granted(0, 1)
    assert slow.pace(THERE).put(LOST, 1) == Granted(1)
    slow.clock.pass_seconds(2)
    assert here.put(TOKEN, 9) == Granted(2, 1)


def test_many_tokens_do_not_pass_by_the_prefix() -> None:
    slow = Slow(put_rate_per_prefix="10+1/min", put_rate_per_token="6+2/s")
    granted = [slow.pace(HERE).put(bytes([n]) * 32, 1).count for n in range(50)]
    assert sum(granted) == 10


def test_what_one_bucket_refuses_costs_the_other_nothing() -> None:
    slow = Slow(put_rate_per_prefix="10+1/h", put_rate_per_token="1+1/h")
    for _ in range(5):
        slow.pace(HERE).put(TOKEN, 4)
    assert slow.pace(HERE).put(None, 99).count == 9


def test_the_wait_is_for_whatever_refuses_longest() -> None:
    slow = Slow(put_rate_per_prefix="1+1/min", put_rate_per_token="1+1/h")
    slow.pace(HERE).put(TOKEN, 1)
    assert slow.pace(HERE).put(TOKEN, 1) == Granted(0, 3600)
    assert slow.pace(HERE).put(None, 1) == Granted(0, 60)


class Rushing(Clock):
    """Time passes between any two looks at it."""

    def __call__(self) -> int:
        self.now += SECOND // 3
        return self.now


def test_a_bucket_that_grows_while_it_refuses_is_no_trouble() -> None:
    slow = Slow()
    rates = {limit: Rate.parse("2+1/s") for limit in Limit}
    pace = Pace(Rates(rates, slow.refusals.append, Rushing()), HERE)
    for _ in range(50):
        granted = pace.put(TOKEN, 3)
        assert granted.count < 3
        assert granted.retry_after >= 1


def test_requests_are_counted_by_prefix_and_mailbox() -> None:
    slow = Slow(request_rate="3+6/min")
    assert slow.pace(HERE).request(BOX, 5).count == 3
    assert slow.pace(HERE).refuse_request(BOX) == 10
    assert slow.pace(HERE).request(OTHER, 1).count == 1
    assert slow.pace(THERE).request(BOX, 1).count == 1
    assert slow.refusals == [Limit.REQUEST]


def test_takes_are_counted_by_prefix_and_account_and_in_all() -> None:
    slow = Slow(take_rate="2+6/h", take_rate_per_account="3+1/h")
    assert [bool(slow.pace(HERE).take(BOX)) for _ in range(3)] == [True, True, False]
    assert slow.pace(HERE).take(OTHER)
    assert [bool(slow.pace(THERE).take(BOX)) for _ in range(2)] == [True, False]
    assert slow.refusals == [Limit.TAKE, Limit.TAKE_PER_ACCOUNT]
    slow.clock.pass_seconds(600)
    assert not slow.pace(HERE).take(BOX), "the account's own rate still refuses"


def test_no_hour_has_more_than_sixty_takes_of_an_account() -> None:
    slow = Slow(take_rate_per_account=str(Config().take_rate_per_account))
    taken = []
    for second in range(0, 3 * 3600, 10):
        taken += [second] * bool(slow.pace(f"{second}").take(BOX))
        slow.clock.pass_seconds(10)
    assert max(sum(begin <= at < begin + 3600 for at in taken) for begin in taken) <= 60


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("fetch_rate", "fetch"),
        ("watch_rate", "watch"),
        ("device_rate", "device"),
        ("register_rate", "newcomer"),
        ("list_rate", "device_list"),
    ],
)
def test_a_refusal_says_how_long_to_wait(name: str, ask: str) -> None:
    slow = Slow(**{name: "2+6/min"})
    arguments = (BOX,) if ask.startswith("device") else ()
    for _ in range(2):
        getattr(slow.pace(HERE), ask)(*arguments)
    with pytest.raises(WireError, match="go on in 10 s") as raised:
        getattr(slow.pace(HERE), ask)(*arguments)
    assert (raised.value.code, raised.value.retry_after) == (ErrorCode.RATE_LIMITED, 10)
    assert slow.refusals == [Limit(name)]
    getattr(slow.pace(HERE if arguments else THERE), ask)(*((OTHER,) if arguments else ()))


def test_sockets_are_counted_by_prefix() -> None:
    slow = Slow(socket_rate="2+6/min")
    assert [slow.rates.socket(HERE) for _ in range(3)] == [0, 0, 10]
    assert slow.rates.socket(THERE) == 0


def test_http_requests_are_counted_by_prefix() -> None:
    slow = Slow(http_rate="2+6/min")
    assert [slow.rates.http(HERE) for _ in range(3)] == [0, 0, 10]
    assert slow.rates.http(THERE) == 0


def test_a_quiet_relay_remembers_nobody() -> None:
    slow = Slow(**dict.fromkeys(Limit, "9+9/min"))
    pace = slow.pace(HERE)
    for ask in (pace.fetch, pace.watch, pace.newcomer):
        ask()
    for ask_for in (pace.device, pace.device_list, pace.take):
        ask_for(BOX)
    pace.put(TOKEN, 1)
    pace.request(BOX, 1)
    slow.rates.socket(HERE)
    slow.rates.http(HERE)
    assert [len(slow.rates.of(limit)) for limit in Limit] == [1] * len(Limit)
    for limit in Limit:
        slow.rates.forget(limit)
    assert [len(slow.rates.of(limit)) for limit in Limit] == [1] * len(Limit)
    slow.clock.pass_seconds(60)
    for limit in Limit:
        slow.rates.forget(limit)
    assert [len(slow.rates.of(limit)) for limit in Limit] == [0] * len(Limit)


def test_nothing_prints_a_key() -> None:
    slow = Slow(request_rate=AMPLE)
    pace = slow.pace(HERE)
    shown = repr((pace, pace.request(BOX, 1), slow.rates, slow.rates.of(Limit.REQUEST), pace.put(TOKEN, 1)))
    assert [form for form in (HERE, BOX.decode(), repr(TOKEN)[2:-1]) if form in shown] == []
