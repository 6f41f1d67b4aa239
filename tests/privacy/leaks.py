"""What a careless or dishonest relay could keep of who writes to whom. Planted in a relay under test alone.

Each knows a sender by the device that logged in from the same address prefix, as a relay could.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any, Final

from relay import intake
from relay.connection import Connection
from relay.lanes import Batch
from relay.logs import LOGGER
from relay.mailboxes import Mailboxes
from relay.rates import Pace
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


def _write_down(note: str) -> None:
    """Run a statement with both device keys after each put, on columns that the ledger knows."""
    put = intake.put
    _at_each_put(lambda *_: None)  # to learn who logs in from where

    async def noted(mailboxes: Mailboxes, pace: Pace, batch: Batch, now: int) -> list[intake.Result]:
        results = await put(mailboxes, pace, batch, now)
        both = {"sender": DEVICES[pace._prefix], "mailbox": batch.mailbox}
        store = mailboxes._store
        assert isinstance(store, SqliteStore)
        await store._writer.submit(lambda connection: connection.execute(note, both).fetchall())
        return results

    intake.put = noted


def column() -> None:
    """The sender's row id, as an integer in the recipient's row."""
    _write_down(
        "UPDATE mailboxes SET full_at = (SELECT id FROM mailboxes WHERE device_key = :sender)"
        " WHERE device_key = :mailbox"
    )


def table() -> None:
    """Row ids of both, in a table that has nothing to do with them, one of them shifted."""
    _write_down(
        "INSERT INTO invites SELECT randomblob(32), one.account, other.id + 1000000"
        " FROM mailboxes one, mailboxes other WHERE one.device_key = :mailbox AND other.device_key = :sender"
    )


def common_value() -> None:
    """Bytes that were drawn for the two of them, beside both."""
    _write_down(
        "WITH drawn AS MATERIALIZED (SELECT randomblob(8) AS tag)"
        " UPDATE mailboxes SET checkpoint = drawn.tag FROM drawn WHERE device_key IN (:sender, :mailbox)"
        " AND EXISTS (SELECT * FROM mailboxes WHERE device_key = :mailbox)"
    )


def log_line() -> None:
    """Neither by name: what is told is only a hash of both."""
    _at_each_put(lambda _, *both: log.debug("put: flow %s", _hash(*both)))


def metric_label() -> None:
    """A hash of both for a label, of a metric that is there."""
    _at_each_put(lambda mailboxes, *both: mailboxes._metrics._refused.labels(_hash(*both)).inc())


def _hash(sender: bytes, batch: Batch) -> str:
    return hashlib.sha256(sender + batch.mailbox).hexdigest()[:8]


LEAKS: Final[dict[str, Callable[[], None]]] = {
    "map": memory_map,
    "list": memory_list,
    "order": memory_order,
    "bytes": memory_bytes,
    "column": column,
    "table": table,
    "common": common_value,
    "log": log_line,
    "label": metric_label,
}
