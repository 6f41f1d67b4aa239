"""Who plays, and how they call each other.

Owns what the scenes share: the people, their address lines, and the names that they gave to others, each of
which is a canary.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from clients.audit.driving.command_line import Json
from clients.audit.driving.people import Person, PersonError
from clients.audit.driving.stage import Stage
from clients.config import ClientConfig
from clients.profile import store_key
from clients.store.store import Store
from keys.identities import Account
from wire.addresses import Address, RelayUrl

T = TypeVar("T")

AGAIN_AFTER: Final = 1.0  # seconds
WITHIN: Final = 20.0  # seconds until a message has come as far as is waited for


def expect(is_so: bool, otherwise: str) -> None:
    """Go on if it is so. Raises PersonError with what is wrong."""
    if not is_so:
        raise PersonError(otherwise)


async def mended(person: Person) -> set[str]:
    """What went wrong with somebody's contacts, and was mended: words of `clients.store.repairs.Fault`."""

    def look() -> set[str]:
        config = ClientConfig(person.profile, person.passphrase)
        store = Store(person.profile / "store.db", store_key(config), is_reader=True)
        try:
            return {str(row[0]) for row in store.db.execute("SELECT what FROM repairs WHERE count > 0")}
        finally:
            store.close()

    return await asyncio.to_thread(look)


async def insisting(wanted: Coroutine[Any, Any, T], again: Callable[[], Awaitable[object]]) -> T:
    """What is wanted; what leads to it is done again each second until it comes."""
    waiting = asyncio.ensure_future(wanted)
    try:
        while not (await asyncio.wait((waiting,), timeout=AGAIN_AFTER))[0]:
            await again()
        return await waiting
    finally:
        waiting.cancel()


async def together(*scenes: Coroutine[Any, Any, None]) -> None:
    """Several at once; the first that fails ends the others, and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for scene in scenes:
                group.create_task(scene)
    except BaseExceptionGroup as several:
        first: BaseException = several
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None


@dataclass(slots=True)
class Cast:
    """The people. Alice keeps a key file, Bob has a passphrase, Carol moves to another machine."""

    stage: Stage
    alice: Person
    bob: Person
    carol: Person
    dave: Person
    lines: dict[Person, str] = field(default_factory=dict)  # what `address` prints
    names: dict[tuple[Person, Person], str] = field(default_factory=dict)  # what the first calls the second

    def bare(self, person: Person) -> str:
        """The address without its token: whoever uses it begins as a stranger."""
        return Address.parse(self.lines[person]).bare.text

    def nobody(self) -> str:
        """The address of an account that no relay knows."""
        relay = RelayUrl.parse(self.stage.relay.url)
        return Address(Account.generate(os.urandom).key, relay).text

    async def add(self, one: Person, other: Person) -> str:
        """`one` adds `other` under a fresh name; the name."""
        name = self.names[one, other] = self.stage.canary("add.name")
        await one.call("add", name=name, address=self.lines[other])
        return name

    async def tell(self, one: Person, other: Person, text: str, **arguments: Any) -> str:
        """`one` sends `other` a text that is handed over there; its id."""
        sent = await one.call("send", to=self.names[one, other], text=text, **arguments)
        heard = await other.hears(text)
        expect(heard["id"] == sent["id"] and heard["text"] == text, "another text arrived than was sent")
        return str(sent["id"])

    async def hears_of_a_problem(self, person: Person, name: str, since: int = 0) -> None:
        """Somebody is told that something is wrong with the contact of this name."""
        await person.event(
            lambda event: event["event"] == "state" and name in " ".join(event["problems"]), since
        )

    async def comes(self, one: Person, message: str, far: str) -> Json:
        """Wait until a message of `one` is that far."""
        status: Json = await one.call("status", id=message, wait=far, timeout=WITHIN)
        expect(status["status"] == far, f"a message is {status['status']} and not {far}: {status['failed']}")
        return status
