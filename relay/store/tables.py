"""Every statement on the tables, as plain functions of an open connection.

Owns the SQL. Opens and ends no transaction: whoever calls has one open, and rolls it back when a function
raises. Knows no thread and no event loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from relay.store import base, drops, former, invites
from relay.store.base import (
    DeviceStatus,
    NewFrame,
    Offer,
    PutResult,
    Quota,
    StockCount,
    Terms,
    Token,
)
from relay.store.checksums import frame_checksum
from wire.device_lists import DeviceList, decode_device_list
from wire.prekeys import ONE_TIME_KINDS, DeviceBundle, Prekey, PrekeyKind, decode_prekey

_HIGHEST: Final = {
    PrekeyKind.ONE_TIME: "one_time_highest",
    PrekeyKind.ONE_TIME_KEM: "one_time_kem_highest",
}


def _mailbox(connection: apsw.Connection, device_key: bytes) -> int | None:
    row = connection.execute(
        "SELECT id FROM mailboxes WHERE device_key = ? AND account IS NOT NULL", (device_key,)
    ).fetchone()
    return None if row is None else int(row[0])


def register(
    connection: apsw.Connection, device_list: DeviceList, terms: Terms = base.ANYBODY
) -> tuple[bytes, ...]:
    """See `Store.register`."""
    row = connection.execute(
        "SELECT id, device_list FROM accounts WHERE account_key = ?", (device_list.account_key,)
    ).fetchone()
    stored = None if row is None else decode_device_list(row[1])
    if base.is_unchanged(stored, device_list):
        return ()
    encoded = device_list.encode()
    if row is None:
        invites.spend(connection, terms)
        connection.execute(
            "INSERT INTO accounts (account_key, device_list) VALUES (?, ?)",
            (device_list.account_key, encoded),
        )
        account = connection.last_insert_rowid()
    else:
        account = row[0]
        connection.execute("UPDATE accounts SET device_list = ? WHERE id = ?", (encoded, account))
        assert stored is not None
        former.keep(connection, account, stored)
    for entry in device_list.devices:
        connection.execute(
            "INSERT INTO mailboxes (device_key, account, next_sequence, skipped)"
            " SELECT ?, ?, base + 1, base FROM life WHERE true"
            " ON CONFLICT (device_key) DO UPDATE SET account = excluded.account, dropped_at = NULL"
            " WHERE account IS NULL",
            (entry.device_key, account),
        )
        owner = connection.execute(
            "SELECT account FROM mailboxes WHERE device_key = ?", (entry.device_key,)
        ).fetchone()
        if owner is None or owner[0] != account:
            raise base.refuse_foreign_device()
    before = () if stored is None else tuple(entry.device_key for entry in stored.devices)
    dropped = tuple(key for key in before if device_list.entry(key) is None)
    for key in dropped:
        drops.drop(connection, key)
    return dropped


def _stock(connection: apsw.Connection, mailbox: int) -> StockCount:
    counts = dict(
        connection.execute("SELECT kind, count(*) FROM prekeys WHERE mailbox = ? GROUP BY kind", (mailbox,))
    )
    return StockCount(*(counts.get(int(kind), 0) for kind in ONE_TIME_KINDS))


def _prekey(
    connection: apsw.Connection, mailbox: int, kind: PrekeyKind, id: int | None = None
) -> Prekey | None:
    """The prekey of that id, or the one with the lowest id."""
    row = connection.execute(
        "SELECT prekey FROM prekeys WHERE mailbox = ? AND kind = ? AND (?3 IS NULL OR id = ?3)"
        " ORDER BY id LIMIT 1",
        (mailbox, int(kind), id),
    ).fetchone()
    return None if row is None else decode_prekey(row[0])


def _delete_prekeys(connection: apsw.Connection, mailbox: int, kind: PrekeyKind, through: int) -> None:
    connection.execute(
        "DELETE FROM prekeys WHERE mailbox = ? AND kind = ? AND id <= ?", (mailbox, int(kind), through)
    )


def keep_checkpoint(connection: apsw.Connection, device_key: bytes, checkpoint: bytes) -> None:
    """See `Store.keep_checkpoint`."""
    mailbox = _mailbox(connection, device_key)
    if mailbox is None:
        raise base.refuse_unregistered("checkpoint")
    connection.execute("UPDATE mailboxes SET checkpoint = ? WHERE id = ?", (checkpoint, mailbox))


def publish(
    connection: apsw.Connection, device_key: bytes, prekeys: Sequence[Prekey], anew: bool
) -> StockCount:
    """See `Store.publish`."""
    mailbox = _mailbox(connection, device_key)
    if mailbox is None:
        raise base.refuse_unregistered("publish")
    if anew:
        for kind in ONE_TIME_KINDS:
            connection.execute("DELETE FROM prekeys WHERE mailbox = ? AND kind = ?", (mailbox, int(kind)))
    for prekey in prekeys:
        if prekey.kind in ONE_TIME_KINDS:
            if not _stock_up(connection, mailbox, prekey):
                continue
        elif base.replaces_lasting(_prekey(connection, mailbox, prekey.kind), prekey):
            _delete_prekeys(connection, mailbox, prekey.kind, prekey.id)
        else:
            continue
        connection.execute(
            "INSERT INTO prekeys (mailbox, kind, id, prekey) VALUES (?, ?, ?, ?)",
            (mailbox, int(prekey.kind), prekey.id, prekey.encode()),
        )
    stock = _stock(connection, mailbox)
    base.check_stock(max(stock.one_time, stock.one_time_kem))
    return stock


def _stock_up(connection: apsw.Connection, mailbox: int, prekey: Prekey) -> bool:
    column = _HIGHEST[prekey.kind]
    highest = connection.execute(f"SELECT {column} FROM mailboxes WHERE id = ?", (mailbox,)).get  # noqa: S608 a name of ours
    if not base.adds_one_time(_prekey(connection, mailbox, prekey.kind, prekey.id), highest, prekey):
        return False
    connection.execute(f"UPDATE mailboxes SET {column} = ? WHERE id = ?", (prekey.id, mailbox))  # noqa: S608 a name of ours
    return True


def fetch(connection: apsw.Connection, account_key: bytes, take: bool, since: int | None) -> Offer | None:
    """See `Store.fetch`."""
    row = connection.execute(
        "SELECT id, device_list FROM accounts WHERE account_key = ?", (account_key,)
    ).fetchone()
    if row is None:
        return None
    account, device_list = row[0], decode_device_list(row[1])
    devices: list[DeviceBundle] = []
    stocks: list[tuple[bytes, StockCount]] = []
    for entry in device_list.devices:
        mailbox = _mailbox(connection, entry.device_key)
        if mailbox is None:
            continue
        signed = _prekey(connection, mailbox, PrekeyKind.SIGNED)
        sealing = _prekey(connection, mailbox, PrekeyKind.SEALING)
        kem, one_time = _prekey(connection, mailbox, PrekeyKind.LAST_RESORT_KEM), None
        if signed is None or sealing is None or kem is None:
            continue
        if take:
            one_time = _take(connection, mailbox, PrekeyKind.ONE_TIME)
            kem = _take(connection, mailbox, PrekeyKind.ONE_TIME_KEM) or kem
            # Counts as a change, so that a take without a find is committed as any other, and lasts as long.
            connection.execute("UPDATE mailboxes SET account = account WHERE id = ?", (mailbox,))
            stocks.append((entry.device_key, _stock(connection, mailbox)))
        devices.append(DeviceBundle(entry.device_key, signed, sealing, kem, one_time))
    known = None if since is None else former.behind(connection, account, since)
    return Offer(device_list, tuple(devices), tuple(stocks), known)


def _take(connection: apsw.Connection, mailbox: int, kind: PrekeyKind) -> Prekey | None:
    prekey = _prekey(connection, mailbox, kind)
    if prekey is not None:
        _delete_prekeys(connection, mailbox, kind, prekey.id)
    return prekey


def allow(connection: apsw.Connection, device_key: bytes, tokens: Sequence[Token]) -> None:
    """See `Store.allow`."""
    mailbox = _mailbox(connection, device_key)
    if mailbox is None:
        raise base.refuse_unregistered("allow")
    connection.execute("DELETE FROM tokens WHERE mailbox = ?", (mailbox,))
    for token in tokens:
        connection.execute(
            "INSERT INTO tokens (mailbox, hash, until) VALUES (?, ?, ?)", (mailbox, token.hash, token.until)
        )


def _holds(connection: apsw.Connection, mailbox: int, token_hash: bytes | None, now: int) -> bool:
    if token_hash is None:
        return False
    row = connection.execute(
        "SELECT until FROM tokens WHERE mailbox = ? AND hash = ?", (mailbox, token_hash)
    ).fetchone()
    return row is not None and Token(token_hash, row[0]).holds(now)


@dataclass(slots=True)
class _Room:
    """What a mailbox holds of ordinary frames, or of requests, and may hold."""

    frames: int
    bytes: int
    max_frames: int
    max_bytes: int

    def take(self, size: int) -> bool:
        """Count a frame in, if there is room for it."""
        if self.frames >= self.max_frames or self.bytes + size > self.max_bytes:
            return False
        self.frames += 1
        self.bytes += size
        return True

    def give(self, size: int) -> None:
        """Count a frame out."""
        self.frames -= 1
        self.bytes -= size


def put(
    connection: apsw.Connection,
    quota: Quota,
    device_key: bytes,
    frames: Sequence[NewFrame],
    now: int,
    token_hash: bytes | None,
    request_room: int | None,
) -> list[PutResult]:
    """See `Store.put`."""
    row = connection.execute(
        "SELECT id, next_sequence, frames, bytes, request_frames, request_bytes FROM mailboxes"
        " WHERE device_key = ? AND account IS NOT NULL",
        (device_key,),
    ).fetchone()
    if row is None:
        return [PutResult.UNKNOWN] * len(frames)
    mailbox, next_sequence = row[:2]
    ordinary = _Room(row[2], row[3], quota.frames, quota.bytes)
    requests = _Room(row[4], row[5], quota.request_frames, quota.request_bytes)
    is_request = not _holds(connection, mailbox, token_hash, now)
    room, stored = (requests, PutResult.REQUESTED) if is_request else (ordinary, PutResult.STORED)
    results: list[PutResult] = []
    for frame in frames:
        held = connection.execute(
            "SELECT id, request, length(envelope) FROM frames WHERE mailbox = ? AND frame_id = ?",
            (mailbox, frame.frame_id),
        ).fetchone()
        if held is not None:
            id, still_request, size = held
            if still_request and not is_request and ordinary.take(size):
                requests.give(size)
                connection.execute("UPDATE frames SET request = 0 WHERE id = ?", (id,))
                still_request = 0
            results.append(PutResult.REQUESTED_BEFORE if still_request else PutResult.DUPLICATE)
            continue
        if not room.take(len(frame.envelope)):
            results.append(PutResult.QUOTA)
            if not is_request:
                _note_full(connection, mailbox, now)
            break
        if is_request and results.count(PutResult.REQUESTED) == request_room:
            room.give(len(frame.envelope))
            results.append(PutResult.LIMITED)
            break
        connection.execute(
            "INSERT INTO frames (mailbox, sequence, frame_id, stored_at, envelope, request, checksum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                mailbox,
                next_sequence,
                frame.frame_id,
                now,
                frame.envelope,
                int(is_request),
                frame_checksum(device_key, next_sequence, frame.frame_id, now, frame.envelope),
            ),
        )
        next_sequence += 1
        results.append(stored)
    counts = (ordinary.frames, ordinary.bytes, requests.frames, requests.bytes)
    if counts != row[2:]:
        connection.execute(
            "UPDATE mailboxes SET next_sequence = ?, frames = ?, bytes = ?, request_frames = ?,"
            " request_bytes = ? WHERE id = ?",
            (next_sequence, *counts, mailbox),
        )
    return results + [PutResult.UNTRIED] * (len(frames) - len(results))


def _note_full(connection: apsw.Connection, mailbox: int, now: int) -> None:
    before = connection.execute("SELECT full_at FROM mailboxes WHERE id = ?", (mailbox,)).get
    if base.marks_full(before, now):
        connection.execute("UPDATE mailboxes SET full_at = ? WHERE id = ?", (now, mailbox))


_COUNT_OUT: Final = (
    "UPDATE mailboxes SET frames = frames - ?, bytes = bytes - ?, request_frames = request_frames - ?,"
    " request_bytes = request_bytes - ?, expired = expired + ? WHERE id = ?"
)


def acknowledge(connection: apsw.Connection, device_key: bytes, through: int) -> int:
    """See `Store.acknowledge`."""
    mailbox = _mailbox(connection, device_key)
    if mailbox is None:
        return 0
    count, size, requests, of_requests = connection.execute(
        "SELECT count(*), total(length(envelope)), total(request), total(length(envelope) * request)"
        " FROM frames WHERE mailbox = ? AND sequence <= ?",
        (mailbox, through),
    ).get
    if count:
        # `total` gives a float, exact up to 2^53, where `sum` of no rows would be NULL.
        ordinary = count - int(requests), int(size) - int(of_requests)
        connection.execute("DELETE FROM frames WHERE mailbox = ? AND sequence <= ?", (mailbox, through))
        connection.execute(_COUNT_OUT, (*ordinary, int(requests), int(of_requests), 0, mailbox))
    return int(count)


def expire(connection: apsw.Connection, stored_before: int, at_most: int) -> int:
    """See `Store.expire`."""
    old: Iterator[tuple[int, int, int, int]] = connection.execute(
        "SELECT id, mailbox, length(envelope), request FROM frames WHERE stored_at < ?"
        " AND mailbox NOT IN (SELECT mailbox FROM dropped) ORDER BY stored_at, id LIMIT ?",
        (stored_before, at_most),
    )
    count = 0
    for id, mailbox, size, request in list(old):
        connection.execute("DELETE FROM frames WHERE id = ?", (id,))
        counts = (0, 0, 1, size) if request else (1, size, 0, 0)
        connection.execute(_COUNT_OUT, (*counts, 1, mailbox))
        count += 1
    return count


def prune(connection: apsw.Connection, now: int) -> int:
    """See `Store.prune`."""
    connection.execute("DELETE FROM tokens WHERE until <= ?", (now,))
    return connection.changes() + invites.prune(connection, now)


def status(connection: apsw.Connection, device_key: bytes) -> DeviceStatus:
    """See `Store.status`."""
    row = connection.execute(
        "SELECT id, expired, checkpoint, full_at FROM mailboxes WHERE device_key = ? AND account IS NOT NULL",
        (device_key,),
    ).fetchone()
    if row is None:
        return DeviceStatus()
    return DeviceStatus(True, int(row[1]), _stock(connection, int(row[0])), row[2], row[3])


def frames(connection: apsw.Connection) -> int:
    """How many frames all mailboxes hold."""
    return int(connection.execute("SELECT ifnull(sum(frames + request_frames), 0) FROM mailboxes").get)
