"""Token buckets, one per key, all of the same rate, in memory only.

Owns how many keys are remembered, and what happens beyond that. No key is logged, stored or shown. A bucket
that is full is the same as none and is forgotten, so that nothing has to tidy up for the rate to hold. Pure:
the clock is handed in, in nanoseconds, and all arithmetic is in whole numbers.
"""

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Final, NamedTuple, Self

MOST: Final = 32_768  # buckets of one rate that are not full
SWEEP_EVERY: Final = 1_000_000_000  # ns: looking through all of them takes a few milliseconds

SECOND: Final = 1_000_000_000
_UNITS: Final = {"s": 1, "min": 60, "h": 3600}
_FORM: Final = re.compile(r"([1-9][0-9]{0,8})\+([1-9][0-9]{0,8})/(s|min|h)", re.ASCII)


class Rate(NamedTuple):
    """So many at once, and so many more in each `seconds`; written as `20+6/min`."""

    burst: int
    more: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `BURST+COUNT/s`, `/min` or `/h`. Raises ValueError."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("must be a burst and what comes after it, such as 1000+100/s, 20+6/min or 6+6/h")
        return cls(int(match[1]), int(match[2]), _UNITS[match[3]])

    def __str__(self) -> str:
        unit = next(name for name, seconds in _UNITS.items() if seconds == self.seconds)
        return f"{self.burst}+{self.more}/{unit}"

    @property
    def interval(self) -> int:
        """Nanoseconds from one to the next, rounded up."""
        return -(-self.seconds * SECOND // self.more)


class Taken:
    """What was taken out of one bucket, so that what is not used finds its way back there."""

    __slots__ = ("_at", "_bucket", "_buckets", "count")

    def __init__(self, buckets: "Buckets", bucket: Hashable, count: int, at: int) -> None:
        self._buckets = buckets
        self._bucket = bucket
        self._at = at
        self.count = count

    def give_back(self, count: int) -> None:
        """Put some of it back."""
        assert 0 <= count <= self.count
        if not count:
            return
        self.count -= count
        self._buckets._put_back(self._bucket, count, self._at)


class _Everybody:
    """The key of the bucket that is shared when no more are kept."""


_EVERYBODY: Final = _Everybody()


class Buckets:
    """A bucket per key. When as many are in use as are kept, all other keys share one.

    So memory is bounded, no key ever gets more than its rate, and whoever fills the table with keys of theirs
    slows strangers down without locking them out, and those who have a bucket already not at all.
    """

    def __init__(self, rate: Rate, clock: Callable[[], int], most: int = MOST) -> None:
        self._interval = rate.interval
        self._capacity = rate.burst * rate.interval
        self._clock = clock
        self._most = most
        self._full_at: dict[Hashable, int] = {}  # in the order of their last use
        self._swept = -SWEEP_EVERY

    def __len__(self) -> int:
        return len(self._full_at)

    @property
    def fills_in(self) -> int:
        """Nanoseconds in which an empty bucket is full again."""
        return self._capacity

    def rename(self, key: Hashable, name: Hashable) -> None:
        """What was spent under `key` counts for `name` from now on."""
        full_at = self._full_at.pop(key, None)
        if full_at is not None:
            self._full_at[name] = full_at

    def room(self, key: Hashable) -> int:
        """How many may be taken now."""
        now = self._clock()
        return self._room(self._bucket(key, now), now)

    def take(self, key: Hashable, count: int = 1) -> Taken:
        """Take that many, or as many as there are: none, perhaps."""
        now = self._clock()
        bucket = self._bucket(key, now)
        count = min(count, self._room(bucket, now))
        if count > 0:
            full_at = self._filling(bucket, now)
            self._full_at.pop(bucket, None)  # to the end of the order
            self._full_at[bucket] = full_at + count * self._interval
        return Taken(self, bucket, count, now)

    def spend(self, key: Hashable, count: int) -> bool:
        """Take that many if there are, and nothing else; False may also mean that `take` knows more.

        For what is on the way of every frame, and nearly always there.
        """
        full_at = self._full_at.get(key)
        if full_at is None:
            return False
        now = self._clock()
        filled = max(full_at, now) + count * self._interval
        if filled - now > self._capacity:
            return False
        del self._full_at[key]  # to the end of the order
        self._full_at[key] = filled
        return True

    def give_back(self, key: Hashable, count: int) -> None:
        """Put back what was spent just now."""
        if key in self._full_at:
            self._full_at[key] -= count * self._interval

    def wait(self, key: Hashable) -> int:
        """Whole seconds, at least 1, until the next one may be taken."""
        now = self._clock()
        missing = self._filling(self._bucket(key, now), now) - now
        return max(1, -(-(missing - self._capacity + self._interval) // SECOND))

    def forget(self) -> None:
        """Forget every bucket that is full."""
        now = self._clock()
        for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[key]

    def drop(self, keys: Iterable[Hashable]) -> None:
        """Forget these keys' buckets, full or not."""
        for key in keys:
            self._full_at.pop(key, None)

    def _room(self, bucket: Hashable, now: int) -> int:
        return (self._capacity - (self._filling(bucket, now) - now)) // self._interval

    def _filling(self, bucket: Hashable, now: int) -> int:
        """When it will be full. A new one begins where everybody's stands, from which its key comes."""
        full_at = self._full_at.get(bucket)
        return max(now, self._full_at.get(_EVERYBODY, now) if full_at is None else full_at)

    def _put_back(self, bucket: Hashable, count: int, taken_at: int) -> None:
        # What has grown since may have grown in its place.
        now = self._clock()
        lasting = count * self._interval - (now - taken_at)
        if lasting > 0 and bucket in self._full_at:
            self._full_at[bucket] -= lasting
            if self._full_at[bucket] <= now:
                del self._full_at[bucket]

    def _bucket(self, key: Hashable, now: int) -> Hashable:
        """The bucket of a key: its own if it has one or may have one, else everybody's."""
        if key in self._full_at:
            return key
        self._forget_oldest(now)
        if len(self._full_at) >= self._most and now >= self._swept + SWEEP_EVERY:
            self._swept = now
            self.forget()
        return key if len(self._full_at) < self._most else _EVERYBODY

    def _forget_oldest(self, now: int) -> None:
        # Two for each that comes: so the full ones go as fast as new ones arrive.
        for _ in range(2):
            oldest = next(iter(self._full_at), None)
            if oldest is None or self._full_at[oldest] > now:
                return
            del self._full_at[oldest]
