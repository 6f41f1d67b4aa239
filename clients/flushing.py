"""Waits until all that waits to be sent now has gone out.

Owns what counts as gone. Knows no socket, and not who sends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from clients.mailroom import Mailroom
from keys.content import Kind

NOTE_KINDS: Final = (Kind.RECEIPT, Kind.READ, Kind.PROFILE)
Until = Callable[[Callable[[], bool]], Awaitable[bool]]


async def flushed(
    mailroom: Mailroom, write_owed: Callable[[], None], until: Until, deadline: float | None
) -> bool:
    """Write what is owed, and wait until all that waits now has gone out; False after `deadline` seconds.

    What comes meanwhile is owed a receipt in its turn, which is not waited for: nothing waits any more for a
    contact once nothing has waited for it at one look. A note that is owed may wait for one of another kind
    that is on its way to the same device: hence once for each kind.
    """
    try:
        async with asyncio.timeout(deadline):
            for _ in NOTE_KINDS:
                write_owed()
                left = set(mailroom.contacts_waiting())

                def are_gone(left: set[int] = left) -> bool:
                    left.intersection_update(mailroom.contacts_waiting())
                    return not left

                await until(are_gone)
    except TimeoutError:
        return False
    return True
