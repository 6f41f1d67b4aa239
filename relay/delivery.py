"""What a device's connection does to hand frames over: pulling, passing on, deleting.

Owns where the connection stands between its mailbox and its peer. What is stored is pulled when the doorbell
rings, as far as there is room; once all of it is, a tail hands frames over as they come (`relay.tails`).
Tasks live only while there is something to pull or to delete. Knows no socket.
"""

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, TypeAlias

from relay.actions import Action
from relay.mailboxes import Mailboxes
from relay.outbound import Outbound
from relay.session import Session
from relay.states import State
from relay.store.base import StoredFrame
from wire.errors import WireError
from wire.limits import ENVELOPE_MAX

PULLED_FRAMES: Final = 64  # at a time: nobody else's turn waits for a whole window
LASTING: Final = "lasting"  # the name of tasks that a lost connection leaves to finish
Start: TypeAlias = Callable[[Coroutine[object, object, None], str | None], None]


class Delivery:
    """The delivery to one device. `start` runs a task, `carry_out` actions that only write."""

    __slots__ = (
        "_acknowledged",
        "_carry_out",
        "_device_key",
        "_is_deleting",
        "_is_ended",
        "_is_pulling",
        "_is_rung",
        "_mailboxes",
        "_outbound",
        "_session",
        "_start",
        "_wants_room",
    )

    def __init__(
        self,
        device_key: bytes,
        mailboxes: Mailboxes,
        session: Session,
        outbound: Outbound,
        start: Start,
        carry_out: Callable[[Sequence[Action]], None],
    ) -> None:
        self._device_key = device_key
        self._mailboxes = mailboxes
        self._session = session
        self._outbound = outbound
        self._start = start
        self._carry_out = carry_out
        self._is_pulling = False
        self._is_rung = False
        self._wants_room = False  # the last pull ended because there was none
        self._is_deleting = False
        self._acknowledged = 0
        self._is_ended = False

    def end(self) -> None:
        """Nothing is handed over or deleted any more."""
        self._is_ended = True

    @property
    def _is_over(self) -> bool:
        return self._is_ended or self._session.state is not State.DELIVERING

    # --- pulling -----------------------------------------------------------------------------------

    def ring(self) -> None:
        """There may be something to pull."""
        self._is_rung = True
        if not self._is_pulling and not self._is_over:
            self._is_pulling = True
            self._start(self._pull(), None)

    def written(self) -> None:
        """The socket took something: perhaps there is room for more."""
        if self._wants_room and self._outbound.has_room_again():
            self.ring()

    async def _pull(self) -> None:
        """Hand over what the mailbox holds, until that is all or there is no room."""
        try:
            while not self._is_over:
                self._is_rung = False
                if self._mailboxes.tails.of(self._device_key) is not None:
                    return  # what is stored was handed over before; it rings when it ends
                if await self._pull_some() or self._is_rung:
                    continue
                if self._wants_room:
                    return
                with contextlib.suppress(WireError):
                    await self._mailboxes.tails.begin(self._device_key, self, self._catch_up)
                if not self._is_rung:
                    return
        finally:
            self._is_pulling = False

    async def _pull_some(self) -> bool:
        """Whether there was something, and room for it."""
        max_frames, max_bytes = self._session.room()
        max_bytes = min(max_bytes, self._outbound.frame_room())
        self._wants_room = max_frames <= 0 or max_bytes < ENVELOPE_MAX
        if max_frames <= 0 or max_bytes <= 0:
            return False
        after, most = self._session.delivered, min(max_frames, PULLED_FRAMES)
        frames = await self._mailboxes.pull(self._device_key, after, most, max_bytes)
        self.hand_over(frames)
        return bool(frames)

    # --- as the reader of a tail -------------------------------------------------------------------

    async def _catch_up(self, through: int) -> bool:
        """See `relay.tails.CatchUp`."""
        while self._session.delivered < through and not self._is_over:
            if not await self._pull_some():
                break
        return not self._is_over and not self._wants_room

    def has_room(self, frames: int, size: int) -> bool:
        """See `Reader.has_room`."""
        max_frames, max_bytes = self._session.room()
        fits = frames <= max_frames and size <= min(max_bytes, self._outbound.frame_room())
        return fits and not self._is_over

    def hand_over(self, frames: Sequence[StoredFrame]) -> None:
        """See `Reader.hand_over`."""
        self._carry_out(self._session.deliver(frames))

    # --- deleting ----------------------------------------------------------------------------------

    def acknowledge(self, through: int) -> None:
        """The device has made its own what was handed over up to there."""
        self._acknowledged = max(self._acknowledged, through)
        if self._mailboxes.acknowledged(self._device_key, self, through):
            self.stored_late()
        if self._wants_room:
            self.ring()

    def stored_late(self) -> None:
        """See `Reader.stored_late`."""
        if not self._is_deleting and not self._is_ended:
            self._is_deleting = True
            # What is acknowledged is deleted, though its device has gone.
            self._start(self._delete(), LASTING)

    async def _delete(self) -> None:
        """One deletion at a time; acknowledgements that arrive meanwhile share the next."""
        deleted = 0
        try:
            while deleted < self._acknowledged:
                deleted = self._acknowledged
                # A failed deletion costs space until the next one: the device deduplicates.
                with contextlib.suppress(WireError):
                    await self._mailboxes.acknowledge(self._device_key, deleted)
        finally:
            self._is_deleting = False
