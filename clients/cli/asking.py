"""Asking the profile: by this process, or by the one that has the profile open.

Owns nothing but the way there. What can be asked stands in `clients.local.calls`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from clients.cli.program import Settings, run

if TYPE_CHECKING:
    from clients.local.access import Line

Json = dict[str, Any]
T = TypeVar("T")

PAGE = 500  # messages asked for at once


def with_line(settings: Settings, work: "Callable[[Line], Awaitable[T]]") -> T:
    """What `work` returns, done on a line to the profile; nothing connects to a relay for it."""
    from clients.local.lasting import lasting_access

    config = settings.config()
    results: list[T] = []

    async def asking() -> None:
        async with lasting_access(config, connect=False) as line:
            results.append(await work(line))

    run(asking())
    return results[0]


def ask(settings: Settings, call: str, **arguments: object) -> Any:
    """The answer to one call."""
    return with_line(settings, lambda line: line.call(call, **arguments))


async def all_contacts(line: "Line") -> list[Json]:
    """Every contact, request and blocked one."""
    found: list[Json] = []
    while page := await line.call("contacts", **({"after": found[-1]["name"]} if found else {})):
        found += page
    return found


async def messages_backwards(
    line: "Line", name: str, limit: int | None, **which: object
) -> AsyncIterator[Json]:
    """The messages with a contact, the newest first, page by page; `limit` at most."""
    left, place = limit, dict[str, object]()
    while left is None or left > 0:
        wanted = PAGE if left is None else min(PAGE, left)
        page = await line.call("history", name=name, limit=wanted, **which, **place)
        for message in reversed(page):
            yield message
        if not page:
            return
        place["before"] = page[0]["id"]
        left = None if left is None else left - len(page)
