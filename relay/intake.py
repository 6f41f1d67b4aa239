"""Puts at the pace that they are allowed.

Owns how the rates of puts and requests come together with what the store decides: only its transaction knows
whether a token holds, so room for requests is taken out first and what was not needed is given back. Knows no
socket and no order; what follows from a refusal is `relay.lanes`' to say.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from relay.lanes import Batch, Later
from relay.mailboxes import Mailboxes
from relay.rates import Pace
from relay.store.base import ACCEPTED, PutResult
from wire.errors import WireError

Result = PutResult | Later
STRANGERS_WAIT: Final = 0.05  # seconds from a put to the answer that it is not accepted, or as a request only


def pass_on(
    mailboxes: Mailboxes,
    pace: Pace,
    batch: Batch,
    now: int,
    answered: Callable[[Sequence[Result] | WireError], None],
) -> bool:
    """Hand a batch over to a device that is reading, as far as its rates go; False where that cannot be.

    `answered` is called once, later.
    """
    frames, token_hash = batch.frames, batch.token_hash
    tail = mailboxes.tails.of(batch.mailbox)
    if tail is None or token_hash is None or not tail.takes(frames, token_hash, now):
        return False
    granted = pace.put(token_hash, len(frames))
    if granted.count == len(frames):
        mailboxes.tails.pass_on(tail, frames, answered)
        return True
    later: list[Result] = [
        Later(granted.retry_after),
        *[PutResult.UNTRIED] * (len(frames) - granted.count - 1),
    ]

    def answered_in_part(results: Sequence[PutResult] | WireError) -> None:
        answered(results if isinstance(results, WireError) else [*results, *later])

    if granted.count:
        mailboxes.tails.pass_on(tail, frames[: granted.count], answered_in_part)
    else:
        asyncio.get_running_loop().call_soon(answered_in_part, [])
    return True


async def put(mailboxes: Mailboxes, pace: Pace, batch: Batch, now: int) -> list[Result]:
    """Put a batch as far as its rates go: one result per frame. Raises WireError of the store.

    Not to be cancelled: what is stored must be rung for.
    """
    loop = asyncio.get_running_loop()
    answer_at = loop.time() + STRANGERS_WAIT
    granted = pace.put(batch.token_hash, len(batch.frames))
    results: list[Result] = []
    if granted.count:
        results += await _store(mailboxes, pace, batch, granted.count, now)
    if not ACCEPTED.issuperset(results):
        # The store alone takes requests, so that a tail ends before one: it must not show who has a tail, and
        # so is connected.
        await asyncio.sleep(answer_at - loop.time())
    left = len(batch.frames) - granted.count
    if left:
        results += [Later(granted.retry_after), *[PutResult.UNTRIED] * (left - 1)]
    return results


async def _store(mailboxes: Mailboxes, pace: Pace, batch: Batch, count: int, now: int) -> list[Result]:
    frames = batch.frames[:count]
    if batch.token_hash is not None:
        # Whose token holds needs no room, and takes none from the strangers at the same address.
        results = await mailboxes.put(batch.mailbox, frames, now, batch.token_hash, request_room=0)
        if PutResult.LIMITED not in results:
            return [*results]
    room = pace.request(batch.mailbox, count)
    try:
        results = await mailboxes.put(batch.mailbox, frames, now, batch.token_hash, request_room=room.count)
    except WireError:
        room.give_back(room.count)  # nothing was stored
        raise
    room.give_back(room.count - results.count(PutResult.REQUESTED))
    told: list[Result] = [*results]
    if PutResult.LIMITED in results:
        told[results.index(PutResult.LIMITED)] = Later(pace.refuse_request(batch.mailbox))
    return told
