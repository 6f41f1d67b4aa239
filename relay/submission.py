"""What a connection does to put frames: to whoever is reading at once, else into the store.

Owns how many batches of one connection are with the store, and their order. Knows no socket.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from relay import intake
from relay.delivery import LASTING, Start
from relay.lanes import Batch
from relay.rates import Pace
from relay.surroundings import Surroundings
from wire.errors import WireError

BATCHES: Final = 2  # of one connection with the store at a time: the next is ready when one is done

Answered: TypeAlias = Callable[[Batch, Sequence[intake.Result] | WireError], None]


class Submission:
    """The puts of one connection. `start` runs a task, `answered` gets what came of each batch."""

    __slots__ = ("_answered", "_pace", "_queued", "_shared", "_start", "_with_store")

    def __init__(
        self,
        pace: Pace,
        shared: Surroundings,
        start: Start,
        answered: Answered,
    ) -> None:
        self._pace = pace
        self._shared = shared
        self._start = start
        self._answered = answered
        self._with_store = 0
        self._queued: list[Batch] = []

    def put(self, batch: Batch) -> None:
        """Put a batch; a mailbox has one at a time."""
        mailboxes, now = self._shared.mailboxes, self._shared.now()
        if intake.pass_on(mailboxes, self._pace, batch, now, partial(self._answered, batch)):
            return
        if self._with_store >= BATCHES:
            self._queued.append(batch)
            return
        self._with_store += 1
        self._start(self._store(batch), LASTING)

    def end(self) -> None:
        """What the store has not got is not put any more."""
        self._queued.clear()

    async def _store(self, batch: Batch) -> None:
        results: Sequence[intake.Result] | WireError
        try:
            results = await intake.put(self._shared.mailboxes, self._pace, batch, self._shared.now())
        except WireError as error:
            results = error.with_traceback(None)  # which leads back here, and would keep all of this
        finally:
            self._with_store -= 1
        # All that there is room for: what a tail takes leaves nobody behind who would put the next.
        while self._queued and self._with_store < BATCHES:
            self.put(self._queued.pop(0))
        self._answered(batch, results)
