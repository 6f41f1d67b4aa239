"""Rates for tests: ample but for those that a test is about, under a clock of its own."""

from relay.buckets import SECOND, Rate
from relay.rates import Limit, Pace, Rates

AMPLE = "1000000+1000000/s"


class Clock:
    """Nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Slow:
    """A relay's rates, given by the names of their settings."""

    def __init__(self, **given: str) -> None:
        self.clock = Clock()
        self.refusals: list[Limit] = []
        rates = {limit: Rate.parse(given.pop(limit, AMPLE)) for limit in Limit}
        assert not given, "no such rate"
        self.rates = Rates(rates, self.refusals.append, self.clock)

    def pace(self, prefix: str = "192.0.2.7/32") -> Pace:
        return Pace(self.rates, prefix)
