"""Names for pairs of an address prefix and a mailbox or account, which tell neither.

Owns the secret that they are made with, and its renewal. Some rates count what one prefix asks of one target,
and so must know the pair again for as long as its bucket is not full. They know it by a keyed hash: whoever
reads the table alone learns nothing from it, and whoever has the secret as well can try a guess, and no more.
The secret is renewed as often as the rates allow: what was left in freed memory, or swapped out, cannot be
tried from then on. Knows no rate; nothing here is logged, stored or shown.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Final

from relay.buckets import SECOND, Buckets

SECRET: Final = 32  # bytes
NAME: Final = 16
RENEW_AFTER: Final = 60 * SECOND  # at the earliest


def _name(secret: bytes, prefix: str, target: bytes) -> bytes:
    """Keyed BLAKE2b (RFC 7693). Targets are 32 bytes, so that no two pairs are one text."""
    return hashlib.blake2b(target + prefix.encode(), key=secret, digest_size=NAME).digest()


class Pairs:
    """The names that one rate's `buckets` are kept under. `clock`: nanoseconds that only rise."""

    def __init__(self, buckets: Buckets, clock: Callable[[], int]) -> None:
        self._buckets = buckets
        self._clock = clock
        # A bucket that nobody has touched since the last renewal is full at the next one: so two secrets do.
        self._period = max(RENEW_AFTER, buckets.fills_in)
        self._secret: bytes = os.urandom(SECRET)
        self._former: bytes | None = None
        self._renew_at = clock() + self._period

    def name(self, prefix: str, target: bytes) -> bytes:
        """What this pair is called now; its bucket comes along."""
        self.renew()
        name = _name(self._secret, prefix, target)
        if self._former is not None:
            self._buckets.rename(_name(self._former, prefix, target), name)
        return name

    def renew(self) -> None:
        """Take another secret, if it is time to."""
        now = self._clock()
        if now < self._renew_at:
            return
        # After a long silence nothing is left that the last one is needed for.
        self._former = self._secret if now < self._renew_at + self._period else None
        self._secret = os.urandom(SECRET)
        self._renew_at = now + self._period
