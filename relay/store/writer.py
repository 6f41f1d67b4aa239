"""The one thread that writes, and its group commit.

Owns the queues of operations and the transactions. Whatever waits when a commit ends shares the next one,
so that one fsync serves many frames. Knows no table.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import apsw

from relay.store.base import Condition
from wire.errors import ErrorCode, WireError

Result = TypeVar("Result")
Operation = Callable[[apsw.Connection], object]

WAITING_OPERATIONS: Final = 4096
WAITING_BYTES: Final = 64 * 1024 * 1024
# Keeps one commit, and so everybody's wait for it, short: small operations take up to half of it, large ones
# what is left, so that neither kind waits for all of the other.
BATCH_BYTES: Final = 2 * 1024 * 1024
SMALL: Final = (
    16 * 1024
)  # bytes up to which an operation goes before larger ones, as all that keep nothing do
LOG_EVERY: Final = 10.0  # seconds

# What reading a damaged file raises; the last one where bytes have become text.
DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)
# After a failed fsync the kernel may have dropped the pages: a later success would prove nothing
# (Rebello et al., USENIX ATC 2020). Only opening the file anew tells what is really there.
_FATAL: Final = frozenset((apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC))


class Log(Protocol):
    """Where the writer says that something failed: the name of the exception, never its text."""

    def __call__(self, event: str, reason: str) -> None:
        """Note one event."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    operation: Operation
    size: int
    future: asyncio.Future[object]


def as_wire_error(error: BaseException) -> WireError:
    """What the peer is told; nothing was stored."""
    if isinstance(error, WireError):
        return error
    if isinstance(error, apsw.FullError):
        return WireError(ErrorCode.STORAGE_FULL, "the relay's disk is full; nothing was stored")
    return WireError(ErrorCode.INTERNAL, "the relay could not store this; nothing was stored")


_STOPPED: Final = {
    Condition.FAILED: "the relay's disk failed; its operator must restart it",
    Condition.DAMAGED: "the relay's database is damaged; its operator must restore it",
}


def uncounted(seconds: float) -> None:
    """Where nobody wants to know how long a commit took."""


def _changes_nothing(connection: apsw.Connection) -> None:
    """What is done before a commit where nothing counts them."""


class Writer:
    """Runs operations on `connection`, small ones before large ones, each inside a transaction.

    Whoever needs one thing done after another awaits the first.

    `before_commit` is part of each transaction that changed a row; `on_commit` gets the seconds of each.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        log: Log,
        before_commit: Operation = _changes_nothing,
        on_commit: Callable[[float], None] = uncounted,
    ) -> None:
        self._connection = connection
        self._log = log
        self._before_commit = before_commit
        self._on_commit = on_commit
        self.commits = 0  # that changed a row
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        # Guarded by _wake.
        self._small: deque[_Waiting] = deque()
        self._large: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._closing = False
        # Written by the thread only; reading a stale value does no harm.
        self._stopped: Condition | None = None
        self._silent_until = 0.0
        self._thread = threading.Thread(target=self._run, name="relay-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many operations wait for the next commit."""
        return len(self._small) + len(self._large)

    @property
    def stopped(self) -> Condition | None:
        """Why nothing is written until the relay is started again, if so."""
        return self._stopped

    def stop(self, why: Condition) -> None:
        """Write nothing from now on. From any thread; the first reason stands."""
        if self._stopped is None:
            self._stopped = why
            self._log("nothing is written any more", _STOPPED[why])

    async def submit(self, operation: Callable[[apsw.Connection], Result], size: int = 0) -> Result:
        """Run `operation` and return its result after the commit. `size`: bytes it keeps in memory.

        Raises the operation's WireError, else STORAGE_FULL, RATE_LIMITED or INTERNAL; then nothing changed.
        """
        future: asyncio.Future[object] = self._loop.create_future()
        with self._wake:
            if (
                len(self._small) + len(self._large) >= WAITING_OPERATIONS
                or self._waiting_bytes + size > WAITING_BYTES
            ):
                raise WireError(ErrorCode.RATE_LIMITED, "the relay is writing at its limit; try again")
            if self._closing:
                raise WireError(ErrorCode.RESTARTING, "the relay is going down")
            waiting = self._small if size <= SMALL else self._large
            waiting.append(_Waiting(operation, size, future))
            self._waiting_bytes += size
            self._wake.notify()
        try:
            return await future  # type: ignore[return-value]  # the queue holds results of all types
        finally:
            del future  # it holds what it raises, which leads back here: a cycle with everything on its way

    def close(self) -> None:
        """Finish what waits, end the thread, close the connection. Blocks for as long as that takes."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._connection.close()

    def _take_batch(self) -> list[_Waiting]:
        with self._wake:
            while not self._small and not self._large and not self._closing:
                self._wake.wait()
            batch: list[_Waiting] = []
            size = 0
            for waiting, until in ((self._small, BATCH_BYTES // 2), (self._large, BATCH_BYTES)):
                while waiting and (not batch or size + waiting[0].size <= until):
                    item = waiting.popleft()
                    size += item.size
                    batch.append(item)
            self._waiting_bytes -= size
            return batch

    def _run(self) -> None:
        while batch := self._take_batch():
            outcomes = self._commit(batch)
            # One wake-up of the event loop per commit, however many frames it carried.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_resolve, batch, outcomes)

    def _commit(self, batch: list[_Waiting]) -> list[object]:
        try:
            return self._transaction(batch)
        except Exception as error:
            # After a failed fsync a second try would succeed and prove nothing: nobody is promised anything.
            # A store that another program holds is nobody's operation's fault: each would wait in vain again.
            if self._stopped is not None or len(batch) == 1 or isinstance(error, apsw.BusyError):
                self._note(error)
                return [self._refusal(error) for _ in batch]
        # Somebody's operation spoiled the transaction for all: find out whose.
        return [outcome for item in batch for outcome in self._commit([item])]

    def _transaction(self, batch: list[_Waiting]) -> list[object]:
        if self._stopped is not None:
            raise WireError(ErrorCode.INTERNAL, _STOPPED[self._stopped])
        connection, outcomes = self._connection, list[object]()
        try:
            before, begun = connection.total_changes(), time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            for item in batch:
                connection.execute("SAVEPOINT operation")
                try:
                    outcomes.append(item.operation(connection))
                except WireError as refusal:
                    # A refused operation leaves nothing behind, and spoils nobody else's.
                    connection.execute("ROLLBACK TO operation")
                    outcomes.append(refusal)
                except Exception as defect:
                    if isinstance(defect, (apsw.Error, *DAMAGE)):
                        raise  # of the database, which all of them share
                    # Nor does one that a defect of ours ends.
                    connection.execute("ROLLBACK TO operation")
                    self._note(defect)
                    outcomes.append(as_wire_error(defect))
                connection.execute("RELEASE operation")
            if changed := connection.total_changes() != before:
                self._before_commit(connection)
            connection.execute("COMMIT")
            self.commits += changed
            self._on_commit(time.perf_counter() - begun)
        except BaseException as error:
            # First of all: the ROLLBACK may fail as well, and hide what failed before it.
            if isinstance(error, DAMAGE):
                self.stop(Condition.DAMAGED)
            elif isinstance(error, apsw.Error) and getattr(error, "extendedresult", None) in _FATAL:
                self.stop(Condition.FAILED)
            # SQLite rolls back by itself for some errors, disk full among them.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def _refusal(self, error: Exception) -> WireError:
        if self._stopped is not None:
            return WireError(ErrorCode.INTERNAL, _STOPPED[self._stopped])
        return as_wire_error(error)

    def _note(self, error: Exception) -> None:
        # A full disk fails every put: say so now and then, not once per frame.
        if not isinstance(error, WireError) and time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + LOG_EVERY
            self._log("write failed", type(error).__name__)


def _resolve(batch: list[_Waiting], outcomes: list[object]) -> None:
    for item, outcome in zip(batch, outcomes, strict=True):
        if item.future.done():  # whoever asked went away; what was stored stays stored
            continue
        if isinstance(outcome, WireError):
            # Where it was raised leads to all that was written with it, and back to it.
            item.future.set_exception(outcome.with_traceback(None))
        else:
            item.future.set_result(outcome)
