"""The application's stream of messages: one listener at a time, and what it has in hand.

Owns which messages are in hand and who listens. What was handed over and not finished with comes again,
marked, to whoever listens next. Knows no terminals and no sockets.
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
        self._in_hand: list[tuple[int, bytes]] = []  # history rows and ids

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
        """Listen no more. What is in hand is given again, marked."""
        if self._listener is listener:
            self._listener, self._in_hand = None, []

    def is_in_hand(self, message_id: bytes) -> bool:
        """Whether this message was handed over last and is not finished with."""
        return any(message_id == id for _, id in self._in_hand)

    def done(self) -> None:
        """What is in hand has been dealt with: durably, when this returns."""
        if self._in_hand:
            with self._store.transaction():
                self._taken()
            self._in_hand = []

    def has_more(self) -> bool:
        """Whether there is a message to hand over now."""
        return self._history.next_message(clock.now_ms()) is not None

    async def next(self, deadline: float | None = None) -> Message | None:
        """The next message, in hand from now on, or None after `deadline` seconds."""
        return next(iter(await self.next_few(1, deadline)), None)

    async def next_few(self, limit: int, deadline: float | None = None) -> list[Message]:
        """The next messages, at most `limit`, all in hand from now on; none after `deadline` seconds.

        What was in hand has been dealt with: durably, before others are handed over or waited for.
        """
        loop = asyncio.get_running_loop()
        end_at = None if deadline is None else loop.time() + deadline
        while True:
            try:
                self._check()
            except Exception:
                self.done()
                raise
            now = clock.now_ms()
            found = self._advance(now, limit)
            if found or (end_at is not None and loop.time() >= end_at):
                return found
            # A ring may bring a message that is held, and so another time to wake up by itself.
            held = self._history.held_until(now)
            waits = [] if held is None else [(held - now) / 1000]
            waits += [] if end_at is None else [end_at - loop.time()]
            await self._bell.rung(min(waits, default=None))

    def _advance(self, now_ms: int, limit: int) -> list[Message]:
        """Be done with what is in hand and hand over what comes next, if it is there, in one commit."""
        if not self._in_hand and self._history.next_message(now_ms) is None:
            return []
        with self._store.transaction():
            self._taken()
            found = self._history.next_messages(now_ms, limit)
            for row, _ in found:
                self._history.offered(row)
        self._in_hand = [(row, message.id) for row, message in found]
        return [message for _, message in found]

    def _taken(self) -> None:
        for row, _ in self._in_hand:
            self._history.taken(row)
