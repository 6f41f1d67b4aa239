"""When a note goes out: a random time after what it answers, for each contact apart.

Owns the delays that run. A relay sees when it hands a frame over, and when somebody puts one into another
mailbox; whatever follows at once ties the two together, without anybody having said who he is. Pure: times
are handed in, in seconds. Knows neither notes nor sockets.
"""

from collections.abc import Callable, Mapping
from typing import Final

from keys.primitives import Random

USUAL: Final = 1.5  # seconds that a note waits at most, unless the user wants it otherwise
MOST: Final = 60.0
LEAST_PART: Final = 8  # a note waits an eighth of that at least
# Messages of one contact after which its receipt does not wait any more. So many at once tie two mailboxes
# together by themselves, and after 850 without a reply a sender begins a new session.
AT_ONCE: Final = 128


class Delays:
    """The delays of one client. `longest` is asked for each: 0 is none."""

    def __init__(self, random: Random, longest: Callable[[], float]) -> None:
        self._random = random
        self._longest = longest
        self._until: dict[int, float] = {}

    def begin(self, owed: Mapping[int, int], now: float) -> None:
        """These contacts are owed something, for so many messages. A delay that runs already runs on."""
        for contact, messages in owed.items():
            if messages >= AT_ONCE:
                self._until[contact] = now
            elif contact not in self._until:
                self._until[contact] = now + self._drawn()

    def _drawn(self) -> float:
        longest = self._longest()
        least = longest / LEAST_PART
        return least + (longest - least) * int.from_bytes(self._random(8)) / 2**64

    def take(self, now: float) -> list[int]:
        """The contacts whose delay is over; it runs no more."""
        over = [contact for contact, until in self._until.items() if until <= now]
        for contact in over:
            del self._until[contact]
        return over

    @property
    def next(self) -> float | None:
        """When the next one is over; None if none runs."""
        return min(self._until.values(), default=None)
