"""Promises broken on purpose in the children: each of them must turn a run red, or the run shows nothing.

    python -m tests.faults --only kill-points --mutate acknowledge-first

Owns the table of mutations, each a patch of one program. Imports of the program happen inside.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final


def _acknowledge_first() -> None:
    """The recipient acknowledges what it has not committed."""
    from clients.connection import RelayConnection
    from wire.control import Acknowledge
    from wire.frames import Deliver

    receive = RelayConnection.receive

    async def eager(self: RelayConnection) -> Any:
        message = await receive(self)
        if isinstance(message, Deliver):
            await self.send(Acknowledge(through=message.sequence))
        return message

    RelayConnection.receive = eager  # type: ignore[method-assign]  # that is the mutation


def _answer_first(name: str) -> Callable[[], None]:
    """The relay answers such an operation before it has committed it."""

    def mutate() -> None:
        from relay.store import writer

        def hasty(item: Any, loop: asyncio.AbstractEventLoop) -> Any:
            if getattr(getattr(item.operation, "func", None), "__name__", "").strip("_") != name:
                return item

            def operation(connection: Any) -> Any:
                outcome = item.operation(connection)
                loop.call_soon_threadsafe(writer._resolve, [item], [outcome])
                return outcome

            return replace(item, operation=operation)

        transaction = writer.Writer._transaction

        def mutated(self: writer.Writer, batch: Any) -> list[object]:
            return transaction(self, [hasty(item, self._loop) for item in batch])

        writer.Writer._transaction = mutated  # type: ignore[method-assign]  # that is the mutation

    return mutate


def _no_sync() -> None:
    """A commit does not sync; only a power cut shows it, which the patch `unsynced` plays."""
    import apsw

    real: Any = apsw.Connection

    class Connection(real):  # type: ignore[misc]  # a class in a variable
        def pragma(self, name: str, *value: Any, **options: Any) -> Any:
            return super().pragma(name, *(("normal",) if name == "synchronous" else value), **options)

    apsw.Connection = Connection  # type: ignore[misc]  # that is the mutation


def _encrypt_again() -> None:
    """What the relay has not answered is encrypted anew after a restart, instead of sent again as it was."""
    from clients.mailroom import Mailroom

    init = Mailroom.__init__

    def forgetful(self: Mailroom, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        with self._store.transaction():
            rows = self._store.db.execute("DELETE FROM outbox RETURNING message").fetchall()
            for (row,) in rows:
                self._store.db.execute("DELETE FROM sent WHERE message = ?", (row,))
                self._store.db.execute("UPDATE messages SET sealed = 0 WHERE id = ?", (row,))

    Mailroom.__init__ = forgetful  # type: ignore[method-assign]  # that is the mutation


MUTATIONS: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "acknowledge-first": ("clients", _acknowledge_first),
    "answer-first": ("relay", _answer_first("put")),
    "answer-takes-first": ("relay", _answer_first("fetch")),
    "no-sync-relay": ("relay", _no_sync),
    "no-sync-clients": ("clients", _no_sync),
    "encrypt-again": ("clients", _encrypt_again),
}


def mutations_for(program: str, names: Sequence[str]) -> tuple[str, ...]:
    """The patches of one program's children."""
    return tuple(f"mutate={name}" for name in names if MUTATIONS[name][0] == program)


def mutate(name: str) -> None:
    """The patch `mutate=NAME`."""
    MUTATIONS[name][1]()
