"""One sender for each contact that something waits for.

Owns which senders there are. Their tasks belong to whoever starts them.
"""

import asyncio
from collections.abc import Callable, Container, Coroutine
from typing import Any, Final

from clients.bell import Bell
from clients.delays import Delays
from clients.errors import StorageError
from clients.mailroom import Mailroom
from clients.notes import ALL_CONTACTS
from clients.profile import Profile
from clients.sender import Sender
from clients.spaced import Spaced
from clients.tasks import until_one_ends
from keys.primitives import Random

ROUND: Final = 60.0  # seconds
OWED_APART: Final = 0.02  # seconds between two looks at what is owed

Start = Callable[[Callable[[], Coroutine[Any, Any, None]]], asyncio.Task[None]]


class Senders:
    """The senders of one running client. `start` runs a task until the client ends."""

    def __init__(
        self,
        profile: Profile,
        mailroom: Mailroom,
        bell: Bell,
        random: Random,
        on_presence: Callable[[int, bool | None], None],
        start: Start,
    ) -> None:
        self._profile = profile
        self._mailroom = mailroom
        self._bell = bell
        self._random = random
        self._on_presence = on_presence
        self._start = start
        self._all: dict[int, Sender] = {}
        self._problem: str | None = None
        self._delays = Delays(random, mailroom.cards.longest_delay)
        self._timer: asyncio.TimerHandle | None = None
        self.owed = Spaced(self._look, OWED_APART)

    def _look(self) -> None:
        """See what is owed, and to whom; each of them is written to when its delay is over."""
        loop = asyncio.get_running_loop()
        try:
            self._delays.begin(self._mailroom.owed_to(), loop.time())
            self._problem = None
        except StorageError as error:
            self._problem = str(error)
            self._bell.ring()
        self._write_owed()

    def _write_owed(self) -> None:
        """Write what has waited for as long as it was to wait."""
        loop = asyncio.get_running_loop()
        if contacts := self._delays.take(loop.time()):
            self._write_to(contacts)
        self._stop_timer()
        if (then := self._delays.next) is not None:
            self._timer = loop.call_at(then, self._write_owed)

    def _write_to(self, contacts: Container[int]) -> None:
        """Write what is owed to these; where that cannot be done, at the next occasion or round."""
        try:
            written, self._problem = self._mailroom.write_owed(contacts), None
            waiting = self._mailroom.contacts_waiting() if written else []
        except StorageError as error:
            waiting, self._problem = [], str(error)
        for contact_id in waiting:
            if contact_id in contacts:
                self.wake(contact_id)
        self._bell.ring()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake_all(self) -> None:
        """See to it that every contact with something waiting has a sender, awake."""
        for contact_id in self._mailroom.contacts_waiting():
            self.wake(contact_id)

    def wake(self, contact_id: int) -> None:
        """Something waits for this contact, or has changed about it."""
        self._of(contact_id).wake()

    def nudge(self, contact_id: int) -> None:
        """Something has changed about this contact; nothing waits for it."""
        if contact_id in self._all:
            self._all[contact_id].wake()

    async def run(self) -> None:
        """Write what is owed, and look after what no event tells of."""
        try:
            await until_one_ends(self.rounds(), self.owed.run())
        finally:
            self._stop_timer()

    async def rounds(self) -> None:
        """Look now and then after what no event tells of: what is late, and what had to wait."""
        # What was owed when the client ended has waited, and many a client does not run for long.
        self._write_to(ALL_CONTACTS)
        while True:
            for contact_id in self._mailroom.repeat():
                self._of(contact_id).again()
            self._look()
            self.wake_all()
            self._profile.store.forget_log()
            await asyncio.sleep(ROUND)

    def watch(self, contact_id: int, count: int) -> None:
        """So many more look at whether this contact is online."""
        sender = self._of(contact_id)
        sender.watchers += count
        sender.wake()

    def _of(self, contact_id: int) -> Sender:
        sender = self._all.get(contact_id)
        if sender is None:
            sender = Sender(
                contact_id, self._profile, self._mailroom, self._bell, self._random, self.owed.due,
                self._on_presence,
            )  # fmt: skip
            self._all[contact_id] = sender
            self._start(sender.run)
        return sender

    def problems(self) -> list[str | None]:
        """What each of them waits for, if it waits."""
        return [self._problem, *(sender.problem for sender in self._all.values())]
