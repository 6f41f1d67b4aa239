"""The moments at which a process of ours is killed from inside, by SIGKILL, without a hook in it.

    kill=sender.persisted:3:/tmp/hits    at the third time that a message has been committed and not yet sent

Owns the table of moments. A point replaces the function around the moment; the kill is noted in the file
first. Imports of the program happen inside: a child of the relay must not load the client.
"""

import itertools
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

Strike = Callable[[], None]
# What another thread was told too early gets out meanwhile, and is seen to be untrue.
LAST_BREATH: Final = 0.05  # seconds


def strike_at(hit: int, name: str, path: str) -> Strike:
    """A function that kills this process when it is called for the `hit`th time."""
    count = itertools.count(1)

    def strike() -> None:
        if next(count) != hit:
            return
        with open(path, "a") as file:
            file.write(name + "\n")
        time.sleep(LAST_BREATH)
        os.kill(os.getpid(), signal.SIGKILL)

    return strike


def _around(owner: Any, name: str, *, before: Strike | None = None, after: Strike | None = None) -> None:
    real = getattr(owner, name)

    @wraps(real)
    def patched(*arguments: Any, **options: Any) -> Any:
        if before is not None:
            before()
        result = real(*arguments, **options)
        if after is not None:
            after()
        return result

    setattr(owner, name, patched)


# --- a client ------------------------------------------------------------------------------------------


def _encrypted(strike: Strike) -> None:
    from clients.engine import Engine

    _around(Engine, "write", after=strike)


def _persisted(strike: Strike) -> None:
    from clients.posting import Posting

    _around(Posting, "post_all", after=strike)


def _sent(kind: str) -> Callable[[Strike], None]:
    """After a message of this class has been handed to the kernel."""

    def patch(strike: Strike) -> None:
        from clients.connection import RelayConnection

        real = RelayConnection.send

        async def send(self: RelayConnection, *messages: Any) -> None:
            await real(self, *messages)
            if kind in {type(message).__name__ for message in messages}:
                strike()

        RelayConnection.send = send  # type: ignore[method-assign]  # that is the patch

    return patch


def _answered(strike: Strike) -> None:
    from clients.mailroom import Mailroom

    _around(Mailroom, "frame_accepted", before=strike)


def _decrypted(strike: Strike) -> None:
    from clients.engine import Engine

    _around(Engine, "open", after=strike)


def _committed(strike: Strike) -> None:
    from clients.mailroom import Mailroom

    _around(Mailroom, "take_in", after=strike)


def _offered(strike: Strike) -> None:
    from clients.stream import Stream

    real = Stream._advance

    def advance(self: Stream, now_ms: int, limit: int) -> Any:
        messages = real(self, now_ms, limit)
        if messages:
            strike()
        return messages

    Stream._advance = advance  # type: ignore[method-assign]  # that is the patch


def _opened(strike: Strike) -> None:
    from clients.store.store import Store

    _around(Store, "__init__", after=strike)


# --- the relay -----------------------------------------------------------------------------------------


def _note_operations(name: str) -> list[bool]:
    """A list that gets longer with each operation of this name.

    A fetch that takes nothing does not count. What is handed over before it is stored counts as a put once it
    is, and is stored at once in such a relay: most of it would be acknowledged before, and nothing would be
    inserted or deleted.
    """
    from relay.store import leases, tables

    happened: list[bool] = []

    def note(module: Any, name: str) -> None:
        real = getattr(module, name)

        @wraps(real)
        def patched(*arguments: Any, **options: Any) -> Any:
            if options.get("take", True) and options.get("frames", True):
                happened.append(True)
            return real(*arguments, **options)

        setattr(module, name, patched)

    note(tables, name)
    if name == "put":
        note(leases, "keep")
    if name in ("put", "acknowledge"):
        _store_at_once()
    return happened


def _store_at_once() -> None:
    from relay import tails

    tails.WRITE_AFTER = 0.0  # type: ignore[misc]  # that is the patch


def _before_commit(name: str) -> Callable[[Strike], None]:
    """After such an operation, before its COMMIT."""

    def patch(strike: Strike) -> None:
        import apsw

        happened = _note_operations(name)
        real: Any = apsw.Connection

        class Connection(real):  # type: ignore[misc]  # a class in a variable
            def execute(self, statements: str, *arguments: Any, **options: Any) -> Any:
                if statements == "COMMIT" and happened:
                    happened.clear()
                    strike()
                return super().execute(statements, *arguments, **options)

        apsw.Connection = Connection  # type: ignore[misc]  # that is the patch

    return patch


def _after_commit(name: str) -> Callable[[Strike], None]:
    """After the COMMIT of a transaction with such an operation, before anybody hears of it."""

    def patch(strike: Strike) -> None:
        from relay.store.writer import Writer

        happened = _note_operations(name)
        transaction = Writer._transaction

        def committed(self: Writer, batch: Any) -> list[object]:
            happened.clear()
            outcomes = transaction(self, batch)
            if happened:
                strike()
            return outcomes

        Writer._transaction = committed  # type: ignore[method-assign]  # that is the patch

    return patch


def _handed(strike: Strike) -> None:
    """Handed over before it is stored: its sender was not answered, and its device may or may not have it."""
    from relay.tails import Tails

    _around(Tails, "pass_on", after=strike)


def _relay_opened(strike: Strike) -> None:
    from relay.store import sqlite

    _around(sqlite, "open_writer", after=strike)


def _at_disk(event: str) -> Callable[[Strike], None]:
    """Before a sync of the WAL, or in the middle of a checkpoint: between two writes to the database."""

    def patch(strike: Strike) -> None:
        from tests.faults.disk import watch_disk

        watch_disk(event, strike)

    return patch


def _at_relays_disk(event: str) -> Callable[[Strike], None]:
    """The same, in a relay that stores at once, so that it comes to pass soon."""

    def patch(strike: Strike) -> None:
        _store_at_once()
        _at_disk(event)(strike)

    return patch


SENDER: Final[dict[str, Callable[[Strike], None]]] = {
    "sender.encrypted": _encrypted,
    "sender.persisted": _persisted,
    "sender.sent": _sent("Put"),
    "sender.answered": _answered,
    "sender.syncing": _at_disk("sync"),
    "sender.opened": _opened,
}
RECIPIENT: Final[dict[str, Callable[[Strike], None]]] = {
    "recipient.decrypted": _decrypted,
    "recipient.committed": _committed,
    "recipient.acknowledged": _sent("Acknowledge"),
    "recipient.offered": _offered,
    "recipient.checkpoint": _at_disk("checkpoint"),
    "recipient.opened": _opened,
}
RELAY: Final[dict[str, Callable[[Strike], None]]] = {
    "relay.inserted": _before_commit("put"),
    "relay.stored": _after_commit("put"),
    "relay.deleting": _before_commit("acknowledge"),
    "relay.deleted": _after_commit("acknowledge"),
    "relay.handed": _handed,
    "relay.syncing": _at_relays_disk("sync"),
    "relay.checkpoint": _at_relays_disk("checkpoint"),
    "relay.opened": _relay_opened,
}
TAKES: Final[dict[str, Callable[[Strike], None]]] = {
    "relay.taking": _before_commit("fetch"),
    "relay.taken": _after_commit("fetch"),
}
AT_START: Final = frozenset(("sender.opened", "recipient.opened", "relay.opened"))

_POINTS: Final = {**SENDER, **RECIPIENT, **RELAY, **TAKES}


def kill(value: str) -> None:
    """The patch `kill=POINT:HIT:FILE`."""
    point, hit, path = value.split(":", 2)
    _POINTS[point](strike_at(int(hit), point, path))
