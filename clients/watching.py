"""What a screen needs to follow: everything that changes, as events, and who is near.

Owns the events, the bounded queues of those who watch, and what is only known while the program runs: who is
online and who types. Carries no message itself: an event is made from the store when it is asked for, so it
always tells the newest state.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Self, TypeAlias

from clients.bell import Bell
from clients.model import Contact, Json, Message
from clients.store.contacts import ContactRow

CHANGES_MAX: Final = 1000  # for one watcher; more means that it has to look at everything again
TYPING_FOR: Final = 6.0  # seconds that "types" lasts without being said again


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """A message is new, or not as it was."""

    message: Message

    def to_json(self) -> Json:
        """One JSON object."""
        return {"event": "message", "message": self.message.to_json()}


@dataclass(frozen=True, slots=True)
class ContactEvent:
    """A contact or request is new, or not as it was."""

    contact: Contact

    def to_json(self) -> Json:
        """One JSON object."""
        return {"event": "contact", "contact": self.contact.to_json()}


@dataclass(frozen=True, slots=True)
class StateEvent:
    """How the connection is: `problems` in sentences, `held` messages that wait for earlier ones."""

    connected: bool
    problems: tuple[str, ...]
    held: int

    def to_json(self) -> Json:
        """One JSON object."""
        return {
            "event": "state",
            "connected": self.connected,
            "problems": list(self.problems),
            "held": self.held,
        }


@dataclass(frozen=True, slots=True)
class Resync:
    """More has changed than was remembered, or a contact is gone: look at everything again."""

    def to_json(self) -> Json:
        """One JSON object."""
        return {"event": "resync"}


Event: TypeAlias = MessageEvent | ContactEvent | StateEvent | Resync


class Nearby:
    """Who is online and who types, as far as they let us know."""

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._online: dict[int, bool] = {}
        self._typing: dict[int, asyncio.TimerHandle] = {}

    def presence(self, contact: int, online: bool | None) -> None:
        """The relay says whether a contact is online; None: it can no longer say so."""
        if self._online.get(contact) == online:
            return
        if online is None:
            del self._online[contact]
        else:
            self._online[contact] = online
        self._changed(contact)

    def typing(self, contact: int, is_typing: bool) -> None:
        """Somebody types there, or has stopped."""
        timer = self._typing.pop(contact, None)
        if timer is not None:
            timer.cancel()
        if is_typing:
            loop = asyncio.get_running_loop()
            self._typing[contact] = loop.call_later(TYPING_FOR, self.typing, contact, False)
        if is_typing or timer is not None:
            self._changed(contact)

    def is_online(self, contact: int) -> bool:
        """Whether it is known to be online now."""
        return self._online.get(contact, False)

    def shown(self, row: ContactRow) -> Contact:
        """A contact as the application sees it."""
        return replace(row.shown(), online=self._online.get(row.id), typing=row.id in self._typing)

    def end(self) -> None:
        """No timer outlives the program."""
        for timer in self._typing.values():
            timer.cancel()
        self._typing.clear()


class Changes:
    """What one watcher has not asked for yet."""

    def __init__(self) -> None:
        self.messages: dict[int, None] = {}  # rows, in the order of their first change
        self.contacts: dict[int, None] = {}
        self.all = False

    def message(self, row: int) -> None:
        """A message has changed."""
        self.messages[row] = None
        self._bound()

    def contact(self, row: int) -> None:
        """A contact has changed."""
        self.contacts[row] = None
        self._bound()

    def _bound(self) -> None:
        if len(self.messages) + len(self.contacts) > CHANGES_MAX:
            self.everything()

    def everything(self) -> None:
        """Too much to remember."""
        self.messages.clear()
        self.contacts.clear()
        self.all = True


class Watch:
    """The events of one watcher. `async with` begins and ends it; iterating yields events without end."""

    def __init__(
        self,
        watchers: "Watchers",
        message: Callable[[int], Message | None],
        contact: Callable[[int], Contact | None],
        state: Callable[[], StateEvent],
        begin: Callable[[int], None],
        only: int | None = None,
    ) -> None:
        """`only` is the row of the one contact whose messages are told."""
        self._watchers = watchers
        self._message = message
        self._contact = contact
        self._state = state
        self._begin = begin
        self._only = only
        self._changes = Changes()
        self._told: StateEvent | None = None

    async def __aenter__(self) -> Self:
        self._watchers.add(self._changes)
        self._begin(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._begin(-1)
        self._watchers.remove(self._changes)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. The first one tells the state of the connection."""
        while True:
            event = self._next()
            if event is not None:
                return event
            await self._watchers.bell.rung(None)

    def _next(self) -> Event | None:
        if self._changes.all:
            self._changes.all = False
            return Resync()
        while self._changes.messages:
            message = self._message(_first(self._changes.messages))
            if message is not None and self._tells(message):
                return MessageEvent(message)
        if self._changes.contacts:
            contact = self._contact(_first(self._changes.contacts))
            return Resync() if contact is None else ContactEvent(contact)
        state = self._state()
        if state != self._told:
            self._told = state
            return state
        return None

    def _tells(self, message: Message) -> bool:
        if self._only is None:
            return True
        contact = self._contact(self._only)
        return contact is not None and contact.name == message.contact


def _first(rows: dict[int, None]) -> int:
    row = next(iter(rows))
    del rows[row]
    return row


class Watchers:
    """Everybody who watches."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self._all: list[Changes] = []

    def add(self, changes: Changes) -> None:
        """Begin to remember for a watcher."""
        self._all.append(changes)

    def remove(self, changes: Changes) -> None:
        """Nothing is remembered for it any more."""
        self._all.remove(changes)

    def message(self, row: int) -> None:
        """A message has changed; whoever made the transaction rings when it is over."""
        for changes in self._all:
            changes.message(row)

    def contact(self, row: int) -> None:
        """A contact has changed."""
        for changes in self._all:
            changes.contact(row)
        self.bell.ring()

    def everything(self) -> None:
        """So much has changed that everybody looks again."""
        for changes in self._all:
            changes.everything()
        self.bell.ring()
