"""Checkpoints at the relay: left again and again, looked at after each login.

Owns when one is left, and the numbers and ids of those that this store has left. They are left at times which
the relay knows or which say nothing: after a login, with what we acknowledge, on a fixed clock, and at the
end. Knows no socket.
"""

import time
from typing import Final

from clients.mailroom import Mailroom
from clients.store.store import Store
from keys.checkpoint import ID, open_checkpoint, seal_checkpoint
from keys.checkpoint import Checkpoint as Left
from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import Random
from wire.binary import u64
from wire.control import Checkpoint

APART: Final = 2.0  # seconds between two that go with acknowledgements
EVERY: Final = 300.0  # seconds
REMEMBERED: Final = 64  # ids of the last ones
_META: Final = "checkpoints"  # floor u64 || number u64 || ids, oldest first


class Checkpoints:
    """The checkpoints of one device."""

    def __init__(self, device: Device, store: Store, mailroom: Mailroom, random: Random) -> None:
        self._device = device
        self._store = store
        self._mailroom = mailroom
        self._random = random
        self._left = 0.0

    def _read(self) -> tuple[int, int, bytes]:
        """(floor, number of the last one, ids). At or below the floor none counts any more."""
        record = self._store.meta(_META) or bytes(16)
        return int.from_bytes(record[:8], "big"), int.from_bytes(record[8:16], "big"), record[16:]

    def judge(self, sealed: bytes | None) -> bool:
        """Hold the store against what the relay has shown; True if it is an old copy, and begins anew.

        What this device did not seal is nothing: so a relay can withhold the truth, and not make one up. Nor
        can it use one twice: what was shown when a store began anew lies below the floor from then on.

        A store that is shown none of those it has left goes on in a new stream: if it is an old copy after
        all, no receipt for what was said since can pass for one of what it says.
        """
        shown, (floor, number, ids) = self._opened(sealed), self._read()
        if shown is not None and _is_unknown(shown, floor, number, ids):
            with self._store.transaction():
                reached = max(number, shown.number)
                self._store.set_meta(_META, u64(reached) + u64(reached))
                self._mailroom.lives.begin_anew(shown.next_prekeys)
            return True
        if number and (shown is None or not _is_among(shown, number, ids)):
            with self._store.transaction():
                self._mailroom.lives.begin_stream()
        return False

    def _opened(self, sealed: bytes | None) -> Left | None:
        try:
            return None if sealed is None else open_checkpoint(self._device, sealed)
        except DecryptError:
            return None

    def make(self) -> Checkpoint:
        """The next one, sealed. The store knows it before the relay does. Raises StorageError."""
        self._left = time.monotonic()
        with self._store.transaction():
            floor, number, ids = self._read()
            left = Left(number + 1, self._random(ID), self._mailroom.state.next_prekeys())
            known = (ids + left.id)[-REMEMBERED * ID :]
            self._store.set_meta(_META, u64(floor) + u64(left.number) + known)
        return Checkpoint(checkpoint=seal_checkpoint(self._device, left, self._random))

    @property
    def is_time(self) -> bool:
        """Whether one may go with the next acknowledgement."""
        return time.monotonic() >= self._left + APART


def _is_unknown(shown: Left, floor: int, number: int, ids: bytes) -> bool:
    """Whether a store that has left these has never left the one that is shown."""
    if shown.number <= floor:
        return False
    if shown.number > number:
        return True
    is_remembered = (number - shown.number + 1) * ID <= len(ids)
    return is_remembered and not _is_among(shown, number, ids)


def _is_among(shown: Left, number: int, ids: bytes) -> bool:
    """Whether a store that has left these remembers the one that is shown."""
    at = len(ids) - (number - shown.number + 1) * ID
    return 0 <= at < len(ids) and ids[at:].startswith(shown.id)
