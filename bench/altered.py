"""A relay with one thing taken away or counted, so that its cost or number can be seen: never one to use.

`python -m bench.altered WHAT FLAGS...` serves like `python -m relay FLAGS...`. Owns what is replaced, by
name.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from relay import __main__, ledger, tails
from relay.attachments import Attachments
from relay.lanes import Lanes
from relay.metrics import Metrics, Tally
from relay.rates import Granted, Pace
from relay.store import checksums, leases, schema, tables
from relay.store.sqlite import SqliteStore
from relay.window import Window

ROOT: Final = Path(__file__).parent.parent


def without_tails() -> None:
    """Every frame is written first: no mailbox ever gets a tail."""

    async def lease(store: SqliteStore, mailbox: bytes) -> None:
        return None

    SqliteStore.lease = lease  # type: ignore[method-assign,assignment]


def without_fsync() -> None:
    """A commit returns before the disk has it."""
    usual = schema.configure

    def configure(connection: apsw.Connection) -> None:
        usual(connection)
        connection.pragma("synchronous", "OFF")

    schema.configure = configure


def without_checksums() -> None:
    """Decay on the disk is not noticed."""
    modules: tuple[Any, ...] = (tables, leases)
    for module in modules:
        module.frame_checksum = lambda *row: 0
    checksums.is_good = lambda *row: True


def without_rates() -> None:
    """Anybody puts as much as he likes."""
    Pace.put = lambda self, token_hash, count: Granted(count)  # type: ignore[method-assign]


def without_counters() -> None:
    """Frames are not counted."""
    Tally.inc = lambda self, count=1: None  # type: ignore[method-assign]


def counting_checks() -> None:
    """How many frames each check was asked about, as further metrics of the relay's own."""
    begin, tallies = Metrics.__init__, dict[str, Tally]()

    def begin_metrics(metrics: Metrics) -> None:
        begin(metrics)
        tallies.update(
            {name: metrics._tally(f"checked_by_{name}", "See bench/altered.py") for name in checks}
        )

    def counted(name: str, usual: Callable[..., Any], frames: Callable[..., int]) -> Callable[..., Any]:
        def check(*given: Any, **named: Any) -> Any:
            tallies[name].inc(frames(*given, **named))
            return usual(*given, **named)

        return check

    one: Callable[..., int] = lambda *given, **named: 1  # noqa: E731 - as short as the others
    checks: dict[str, tuple[Any, str, Callable[..., int]]] = {
        "lanes": (Lanes, "offer", one),  # what has no answer yet, and the order after a refusal
        "tokens": (Attachments, "token_hash_for", one),  # what was attached to its mailbox
        "rates": (Pace, "put", lambda pace, token_hash, count: count),  # prefix and token
        "tails": (tails.Tail, "takes", lambda tail, frames, *rest: len(frames)),  # token, copies, room
        "window": (Window, "deliver", one),  # what its recipient has not acknowledged
        "acknowledgements": (Window, "acknowledge", one),  # only for what was delivered here
    }
    Metrics.__init__ = begin_metrics  # type: ignore[method-assign,assignment]
    # It counts more than a relay declares.
    ledger.check = lambda relay, *declared: None
    for name, (owner, method, frames) in checks.items():
        setattr(owner, method, counted(name, getattr(owner, method), frames))


WHAT: Final[dict[str, Callable[[], None]]] = {
    "without-tails": without_tails,
    "without-fsync": without_fsync,
    "without-checksums": without_checksums,
    "without-rates": without_rates,
    "without-counters": without_counters,
    "counting-checks": counting_checks,
}


def program(what: str) -> Sequence[str]:
    """The command that starts it; flags follow."""
    return (sys.executable, "-m", "bench.altered", what)


if __name__ == "__main__":
    WHAT[sys.argv[1]]()
    __main__.main(sys.argv[2:])
