"""What a careless or dishonest relay could keep of who writes to whom. Planted in a relay under test alone.

Each knows a sender by the device that logged in from the same address prefix, as a relay could.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import apsw
from prometheus_client import Counter

from relay import intake
from relay.connection import Connection
from relay.lanes import Batch
from relay.logs import LOGGER
from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.rates import Pace
from relay.store import schema, sqlite
from relay.store.sqlite import SqliteStore

log = logging.getLogger(LOGGER)

DEVICES: Final[dict[str, bytes]] = {}  # who logged in from where
Noted = Callable[[Mailboxes, bytes, Batch], None]


def _at_each_put(note: Noted) -> None:
    """Call `note` with the sender's device at each put."""
    log_in, put, pass_on = Connection._log_in, intake.put, intake.pass_on

    async def logged_in(connection: Connection, device_key: bytes) -> None:
        DEVICES[connection._pace._prefix] = device_key
        await log_in(connection, device_key)

    async def noted(mailboxes: Mailboxes, pace: Pace, batch: Batch, now: int) -> list[intake.Result]:
        results = await put(mailboxes, pace, batch, now)
        note(mailboxes, DEVICES[pace._prefix], batch)
        return results

    def passed_on(mailboxes: Mailboxes, pace: Pace, batch: Batch, *rest: Any) -> bool:
        taken = pass_on(mailboxes, pace, batch, *rest)
        if taken:
            note(mailboxes, DEVICES[pace._prefix], batch)
        return taken

    Connection._log_in = logged_in  # type: ignore[method-assign,assignment]
    intake.put = noted
    intake.pass_on = passed_on  # type: ignore[assignment]


def memory_map() -> None:
    kept: dict[bytes, bytes] = {}
    _at_each_put(lambda _, sender, batch: kept.__setitem__(sender, batch.mailbox))
    Mailboxes.kept = kept  # type: ignore[attr-defined]


def memory_list() -> None:
    kept: list[tuple[float, tuple[bytes, list[bytes]]]] = []
    _at_each_put(lambda _, sender, batch: kept.append((0.0, (sender, [batch.mailbox]))))
    Mailboxes.kept = kept  # type: ignore[attr-defined]


def memory_order() -> None:
    """Two lists that know nothing of each other."""
    senders: list[bytes] = []
    recipients: dict[bytes, int] = {}

    def note(_: Mailboxes, sender: bytes, batch: Batch) -> None:
        senders.append(sender)
        recipients.setdefault(batch.mailbox, len(recipients))

    _at_each_put(note)
    Mailboxes.senders, Mailboxes.recipients = senders, recipients  # type: ignore[attr-defined]


def memory_bytes() -> None:
    """Keys in one buffer, where no object stands for them."""
    kept = bytearray()

    def note(_: Mailboxes, sender: bytes, batch: Batch) -> None:
        kept.extend(sender + batch.mailbox)

    _at_each_put(note)
    Mailboxes.kept = kept  # type: ignore[attr-defined]


def _with_sender(change: str, note: str) -> None:
    """Change the tables, and run a statement with both device keys after each put."""
    opened, put = schema.open_writer, intake.put

    def open_writer(*given: Any, **named: Any) -> tuple[apsw.Connection, bool]:
        connection, is_checked = opened(*given, **named)
        connection.execute(change)
        return connection, is_checked

    _at_each_put(lambda *_: None)  # to learn who logs in from where

    async def noted(mailboxes: Mailboxes, pace: Pace, batch: Batch, now: int) -> list[intake.Result]:
        results = await put(mailboxes, pace, batch, now)
        both = {"sender": DEVICES[pace._prefix], "mailbox": batch.mailbox}
        store = mailboxes._store
        assert isinstance(store, SqliteStore)
        await store._writer.submit(lambda connection: connection.execute(note, both).fetchall())
        return results

    sqlite.__dict__["open_writer"] = open_writer  # where it was imported to
    intake.put = noted


def column() -> None:
    """The sender's row id, as an integer beside each frame."""
    _with_sender(
        "ALTER TABLE frames ADD COLUMN weight INTEGER",
        "UPDATE frames SET weight = (SELECT id FROM mailboxes WHERE device_key = :sender)"
        " WHERE mailbox = (SELECT id FROM mailboxes WHERE device_key = :mailbox)",
    )


def table() -> None:
    """Row ids of both, in a table of their own, one of them shifted."""
    _with_sender(
        "CREATE TABLE seen (a INTEGER, b INTEGER)",
        "INSERT INTO seen SELECT one.account, other.id + 1000 FROM mailboxes one, mailboxes other"
        " WHERE one.device_key = :mailbox AND other.device_key = :sender",
    )


def common_value() -> None:
    """A number drawn for the two of them, beside both."""
    _with_sender(
        "ALTER TABLE mailboxes ADD COLUMN tag BLOB",
        "WITH drawn AS MATERIALIZED (SELECT randomblob(8) AS tag)"
        " UPDATE mailboxes SET tag = drawn.tag FROM drawn WHERE device_key IN (:sender, :mailbox)",
    )


def log_key() -> None:
    """Neither by name: what is told is only a hash of both."""
    import hashlib

    def note(_: Mailboxes, sender: bytes, batch: Batch) -> None:
        log.debug("put: flow %s", hashlib.sha256(sender + batch.mailbox).hexdigest()[:12])

    _at_each_put(note)


def metric_label() -> None:
    import hashlib

    begin, counters = Metrics.__init__, list[Counter]()

    def begin_metrics(metrics: Metrics) -> None:
        begin(metrics)
        counters.append(Counter("blindpost_flows", "Puts", ["flow"], registry=metrics.registry))

    def note(_: Mailboxes, sender: bytes, batch: Batch) -> None:
        counters[-1].labels(hashlib.sha256(sender + batch.mailbox).hexdigest()[:6]).inc()

    Metrics.__init__ = begin_metrics  # type: ignore[method-assign,assignment]
    _at_each_put(note)


LEAKS: Final[dict[str, Callable[[], None]]] = {
    "map": memory_map,
    "list": memory_list,
    "order": memory_order,
    "bytes": memory_bytes,
    "column": column,
    "table": table,
    "common": common_value,
    "log": log_key,
    "label": metric_label,
}
