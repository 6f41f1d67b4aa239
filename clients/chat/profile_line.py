"""What a chat needs of a line to the profile, and the two questions whose answers come in pages.

Owns no line: clients/local opens it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from clients.chat.conversation import Json

PAGES_MAX: Final = 100  # calls for one look at the history; a page holds at least one message


class Caller(Protocol):
    """Takes calls to the profile."""

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """The result of a call. Raises ClientError."""


class Line(Caller, Protocol):
    """A line to the profile, as clients/local opens it."""

    def events(self) -> AsyncIterator[Any]:
        """What happens, as JSON."""


OpenLine = Callable[[], AbstractAsyncContextManager[Line]]


async def all_contacts(line: Caller) -> list[Json]:
    """Every contact, request and blocked one."""
    found: list[Json] = []
    while True:
        after = {"after": found[-1]["name"]} if found else {}
        page = await line.call("contacts", **after)
        if not page:
            return found
        found += page


async def last_messages(line: Caller, name: str, count: int) -> tuple[list[Json], bool]:
    """The last messages with a contact, at least `count` if there are as many; and whether these are all."""
    messages: list[Json] = []
    for _ in range(PAGES_MAX):
        before = {"before": messages[0]["id"]} if messages else {}
        page = await line.call("history", name=name, limit=count - len(messages), **before)
        messages[:0] = page
        if not page or len(messages) >= count:
            return messages, not page
    return messages, False
