"""Checkpoints at the relay: left again and again, looked at after each login.

Owns when one is left. That happens at times which the relay knows or which say nothing: with what we
acknowledge, on a fixed clock, and at the end. Knows no socket.
"""

import time
from typing import Final

from clients.mailroom import Mailroom
from keys.checkpoint import open_checkpoint, seal_checkpoint
from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import Random
from wire.control import Checkpoint

APART: Final = 2.0  # seconds between two that go with acknowledgements
EVERY: Final = 300.0  # seconds


class Checkpoints:
    """The checkpoints of one device."""

    def __init__(self, device: Device, mailroom: Mailroom, random: Random) -> None:
        self._device = device
        self._mailroom = mailroom
        self._random = random
        self._left = 0.0

    def judge(self, sealed: bytes | None) -> bool:
        """Hold the store against what the relay has shown; True if it was rolled back, and begins anew.

        What this device did not seal is nothing: so a relay can withhold the truth, and not make one up.
        """
        if sealed is None:
            return False
        try:
            last = open_checkpoint(self._device, sealed)
        except DecryptError:
            return False
        if not self._mailroom.state.reached().is_behind(last):
            return False
        self._mailroom.rewind(last)
        return True

    def make(self) -> Checkpoint:
        """How far the store is now, sealed."""
        self._left = time.monotonic()
        sealed = seal_checkpoint(self._device, self._mailroom.state.reached(), self._random)
        return Checkpoint(checkpoint=sealed)

    @property
    def is_time(self) -> bool:
        """Whether one may go with the next acknowledgement."""
        return time.monotonic() >= self._left + APART
