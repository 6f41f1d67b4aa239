"""The application's stream of messages: one listener at a time, one message in hand.

Owns which message is in hand and who listens. A message that was handed over and not finished with comes
again, marked, to whoever listens next. Knows no terminals and no sockets.
"""

import asyncio
from collections.abc import Callable

from clients import clock
from clients.bell import Bell
from clients.errors import LockedError
from clients.model import Message
from clients.store.history import History
from clients.store.store import Store


class Stream:
    """The messages of approved contacts that the application has not finished with, in order."""

    def __init__(self, store: Store, history: History, bell: Bell, check: Callable[[], None]) -> None:
        """`check` raises what has gone wrong in the background."""
        self._store = store
        self._history = history
        self._bell = bell
        self._check = check
        self._listener: object | None = None
        self._in_hand: tuple[int, bytes] | None = None  # history row and id

    def claim(self, listener: object) -> None:
        """Listen from now on; again is fine. Raises LockedError while another one does."""
        if self._listener not in (None, listener):
            raise LockedError("Another listener of this profile gets the messages. End it first.")
        self._listener = listener

    @property
    def is_claimed(self) -> bool:
        """Whether somebody listens."""
        return self._listener is not None

    def release(self, listener: object) -> None:
        """Listen no more. The message in hand is given again, marked."""
        if self._listener is listener:
            self._listener = self._in_hand = None

    def is_in_hand(self, message_id: bytes) -> bool:
        """Whether this is the message that was handed over last and not finished with."""
        return self._in_hand is not None and self._in_hand[1] == message_id

    def done(self) -> None:
        """The message in hand has been dealt with: durably, when this returns."""
        if self._in_hand is not None:
            with self._store.transaction():
                self._history.taken(self._in_hand[0])
            self._in_hand = None

    def has_more(self) -> bool:
        """Whether there is a message to hand over now."""
        return self._history.next_message(clock.now_ms()) is not None

    async def next(self, deadline: float | None = None) -> Message | None:
        """The next message, in hand from now on, or None after `deadline` seconds."""
        loop = asyncio.get_running_loop()
        end_at = None if deadline is None else loop.time() + deadline
        while True:
            self._check()
            now = clock.now_ms()
            found = self._history.next_message(now)
            if found is not None:
                return self._hand_over(*found)
            if end_at is not None and loop.time() >= end_at:
                return None
            # A ring may bring a message that is held, and so another time to wake up by itself.
            held = self._history.held_until(now)
            waits = [] if held is None else [(held - now) / 1000]
            waits += [] if end_at is None else [end_at - loop.time()]
            await self._bell.rung(min(waits, default=None))

    def _hand_over(self, row: int, message: Message) -> Message:
        with self._store.transaction():
            self._history.offered(row)
        self._in_hand = row, message.id
        return message
