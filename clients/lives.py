"""The lives of a store: what begins when it may be, or is, an old copy of itself.

Owns what is dropped then, and what is encrypted again. Nothing that another life may have used is used again:
no session, no sequence of a stream, no id of a prekey. Whether a life has ended is judged in
`clients.checkpoints`.
"""

from collections.abc import Callable
from typing import Final

from clients.repair import Repair
from clients.store.history import History
from clients.store.outbox import Outbox
from clients.store.state import KeyState
from keys.content import STREAM_ID
from keys.primitives import Random

ROLLED_BACK: Final = (
    "This profile is an older copy of itself. All sessions are begun anew; what came or was written after "
    "the copy was made is missing here, and contacts are asked for theirs."
)


class Lives:
    """The lives of one profile's store. What begins one runs inside a transaction that its caller opened."""

    def __init__(
        self,
        state: KeyState,
        history: History,
        outbox: Outbox,
        repair: Repair,
        random: Random,
        card_changed: Callable[[], None],
    ) -> None:
        self._state = state
        self._history = history
        self._outbox = outbox
        self._repair = repair
        self._random = random
        self._card_changed = card_changed
        self._is_old_copy = False

    def begin_stream(self) -> None:
        """Perhaps others were heard under our sequences: go on in a new stream, on the same sessions.

        A receipt for the former one says nothing any more, so all that has none is encrypted again.
        """
        self._history.begin_stream()
        self._state.begin_stream(self._random(STREAM_ID))

    def begin_anew(self, next_prekeys: tuple[int, ...]) -> None:
        """This store is an old copy, and these prekey ids were reached since: begin anew with everybody."""
        self.begin_stream()
        self._outbox.drop_all()
        self._state.lose_sessions(next_prekeys)
        self._repair.begin_with_all()

    def begun_anew(self) -> None:
        """The transaction in which this store began anew is over."""
        self._is_old_copy = True
        self._card_changed()

    def lines(self) -> list[str]:
        """A sentence for the user, if this store has begun anew in this run."""
        return [ROLLED_BACK] if self._is_old_copy else []
