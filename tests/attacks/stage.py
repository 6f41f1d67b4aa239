"""The stage of an attack: evil relays and real clients, and one bell for all of them.

Owns what is opened for a scene, and closes it. Knows no attack.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest.mock import patch

from clients import clock
from clients.bell import Bell
from clients.config import ClientConfig
from clients.engine import Engine
from clients.mailroom import Mailroom
from clients.messenger import Messenger
from clients.profile import Profile
from clients.store.contacts import ContactRow
from clients.tasks import end
from keys.content import Content
from keys.seal import InnerType, seal
from keys.sessions import Sessions
from tests.attacks.attack import Caught, Outcome
from tests.attacks.evil_relay import EvilConnection, EvilRelay, running
from wire.addresses import RelayUrl

T = TypeVar("T")
WITHIN = 20.0  # seconds for what must happen, on a busy machine


class NothingSeenError(AssertionError):
    """Neither was the attack noticed, nor did it succeed: the row proves nothing."""


class Person(Messenger):
    """A real client, and a look inside."""

    def __init__(self, config: ClientConfig, relay: RelayUrl) -> None:
        super().__init__(config, relay)
        self.name = config.profile.name
        self.said = 0  # messages since `Stage.counts`

    async def send(self, *given: Any, **named: Any) -> bytes:
        """See `Messenger.send`."""
        self.said += 1
        return await super().send(*given, **named)

    @property
    def profile(self) -> Profile:
        return self._profile

    @property
    def mailroom(self) -> Mailroom:
        return self._mailroom

    @property
    def engine(self) -> Engine:
        return self._mailroom._engine

    @property
    def mailbox(self) -> bytes:
        """The key of its device."""
        return self._profile.device.key

    def contact(self, other: "Person") -> ContactRow:
        """The other as it is known here."""
        row = self._mailroom.contacts.by_account(other.profile.account.key)
        assert row is not None
        return row

    def texts(self, other: "Person") -> list[str]:
        """What has come from the other, oldest first."""
        return [each.text for each in self.history(other.name, 1000) if not each.outgoing]

    def says(self, words: str, how: str, after: int) -> Caught | None:
        """Caught, if this client tells its user of a problem in these words."""
        said = next((problem for problem in self.problems() if words in problem), None)
        return None if said is None else Caught(self.name, how, after, said)

    def sessions(self, other: "Person") -> Sessions:
        """All sessions with the other's device."""
        return self._mailroom.state.sessions(other.mailbox)

    def loses_session(self, other: "Person", *, but_newest: bool = False) -> None:
        """Have no session with the other any more, or none that is silent: the next message begins one."""
        kept = Sessions(self.sessions(other).all[:1]) if but_newest else Sessions()
        with self._profile.store.transaction():
            self._mailroom.state.save_sessions(other.mailbox, kept)

    def forgets_replays(self) -> None:
        """Have no hash of what came any more, as after 60 days."""
        with self._profile.store.transaction() as db:
            db.execute("DELETE FROM consumed")

    def wake_for(self, other: "Person") -> None:
        """Connect for this contact now, as if something waited for it."""
        assert self._senders is not None
        with self._profile.store.transaction():
            self._mailroom.contacts.set_due(self.contact(other).id)
        self._senders.wake_all()

    def craft(self, other: "Person", content: Content) -> bytes:
        """An authentic envelope with a content that no honest client writes."""
        state, to = self._mailroom.state, other.mailbox
        with self._profile.store.transaction():
            sessions, sealing = state.sessions(to), state.sealing_key(to)
            assert sessions.sending is not None
            assert sealing is not None
            session, message = sessions.sending.encrypt(content.encode(), os.urandom)
            state.save_sessions(to, sessions.sent(session))
        return seal(self._profile.device, to, sealing, InnerType.MESSAGE, message, os.urandom)


class Stage:
    """Everything that one play of one scene opens. Use it with `async with`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bell = Bell()
        self._open = AsyncExitStack()
        self._people: list[Person] = []
        self.relays: list[EvilRelay] = []
        self._relays: dict[EvilRelay, AsyncExitStack] = {}

    async def __aenter__(self) -> Self:
        await self._open.__aenter__()
        # Whoever waits sees what happens anywhere.
        self._open.enter_context(patch("clients.messenger.Bell", lambda: self.bell))
        self._open.enter_context(patch("relay.entrance.Connection", EvilConnection))
        return self

    async def __aexit__(self, *raised: object) -> None:
        try:
            while self._people:
                await self.leaves(self._people[-1])
        finally:
            await self._open.aclose()

    def runs(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the scene, until that ends."""
        self._open.push_async_callback(end, asyncio.create_task(work))

    async def relay(self, name: str = "relay") -> EvilRelay:
        """A relay that is honest until its hooks are set."""
        return await self._served(self.directory / name)

    async def restarted(self, relay: EvilRelay, meanwhile: Callable[[Path], object]) -> EvilRelay:
        """Stop a relay, do something to its directory, and start it again where it was."""
        await self._relays.pop(relay).aclose()
        self.relays.remove(relay)
        meanwhile(relay.directory)
        return await self._served(relay.directory, relay.url.port)

    async def _served(self, directory: Path, port: int = 0) -> EvilRelay:
        stack = await self._open.enter_async_context(AsyncExitStack())
        relay = await stack.enter_async_context(running(directory, self.bell.ring, port))
        self._relays[relay] = stack
        self.relays.append(relay)
        return relay

    async def person(self, name: str, relay: EvilRelay) -> Person:
        """A client at this relay: registered, published, receiving."""
        person = await self.opened(name, relay)
        await self.until(lambda: person.is_connected or None)
        return person

    async def opened(self, name: str, relay: EvilRelay) -> Person:
        """A client that is on its way to this relay; a profile of this name goes on."""
        person = Person(ClientConfig(self.profile_of(name)), relay.url)
        await person.__aenter__()
        self._people.append(person)
        return person

    def profile_of(self, name: str) -> Path:
        """Where a person's profile is."""
        return self.directory / name

    async def leaves(self, person: Person) -> None:
        """Close this client. `person` and `opened` open its profile again."""
        self._people.remove(person)
        await person.__aexit__(None, None, None)

    async def pair(self, relay: EvilRelay) -> tuple[Person, Person]:
        """Alice and Bob, who have heard each other: nothing is on its way any more."""
        alice, bob = await self.person("alice", relay), await self.person("bob", relay)
        self.acquaint(alice, bob)
        await self.says(alice, bob, "hello")
        await self.says(bob, alice, "hello back")
        for each in (alice, bob):
            await each.flushed(WITHIN)
        return alice, bob

    def acquaint(self, one: Person, other: Person) -> None:
        """Add each to the contacts of the other."""
        one.contacts.add(other.name, other.address)
        other.contacts.add(one.name, one.address)

    async def says(self, one: Person, other: Person, text: str) -> None:
        """Send a text, and wait until it has been heard."""
        await one.send(other.name, text)
        await self.until(lambda: text in other.texts(one) or None)

    def counts(self) -> None:
        """The attack begins: what is sent from here on counts for `each_way`."""
        for person in self._people:
            person.said = 0

    def each_way(self, outcome: Outcome) -> Outcome:
        """What came of an attack for which nobody needed more than one message."""
        assert max(person.said for person in self._people) == 1, "noticed later than after a message each way"
        return outcome

    def later(self, seconds: int) -> None:
        """Put every client's clock forward. The relay's stays as it is."""
        now = clock.now_seconds() + seconds
        self._open.enter_context(patch("clients.clock.now_seconds", lambda: now))
        self._open.enter_context(patch("clients.clock.now_ms", lambda: now * 1000))

    async def until(self, look: Callable[[], T | None], deadline: float = WITHIN) -> T:
        """What `look` sees, as soon as that is something. Raises NothingSeenError after the deadline."""
        found = await self.bell.until(look, deadline)
        if found is None:
            raise NothingSeenError(f"nothing was seen within {deadline:.0f} s")
        return found
