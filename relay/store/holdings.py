"""What a store holds of one account, a page at a time: every column of every row, for the account's owner.

Owns the order of the records, the place where a page ends, and the statements. A place is opaque to whoever
asks: a part and the last key in it, so that the next page is found at once whatever has changed. One page is
one moment of the store; several are not. Of a frame there is its hash, as its envelope comes by delivery; one
that decayed on the disk is left out: it is delivered to nobody. Begins and ends a transaction that reads.
"""

import contextlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import apsw

from relay.store import base
from relay.store.checksums import is_good
from relay.store.former import former_keys
from wire.account_messages import (
    HeldAccount,
    HeldFormerList,
    HeldFrame,
    HeldMailbox,
    HeldPrekey,
    HeldToken,
    Stored,
)
from wire.binary import u8, u32, u64
from wire.limits import PUBLIC_KEY, RECORDS_PER_PAGE

PAGE_TEXT: Final = 48 * 1024  # characters of records; the rest of a control message is for what is in memory
PAGE_ENVELOPES: Final = 1024 * 1024  # bytes that are hashed for one page

ACCOUNT, FORMER, MAILBOX, PREKEY, TOKEN, FRAME = (u8(part) for part in range(1, 7))


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of an account, and where the next page begins, if there is one.

    `device_keys`: of all mailboxes that it has, or had and left something of.
    """

    account_key: bytes
    device_keys: tuple[bytes, ...]
    records: tuple[Stored, ...] = field(repr=False)
    place: bytes | None = None


def cut(account_key: bytes, device_keys: Sequence[bytes], records: Iterable[tuple[bytes, Stored]]) -> Page:
    """The first of these records, as many as a page holds, with their places."""
    taken: list[Stored] = []
    text = envelopes = 0
    last = b""
    for place, record in records:
        text += len(record.encode()) + 1
        envelopes += record.size if isinstance(record, HeldFrame) else 0
        full = text > PAGE_TEXT or envelopes > PAGE_ENVELOPES or len(taken) >= RECORDS_PER_PAGE // 2
        if full and taken:
            return Page(account_key, tuple(device_keys), tuple(taken), last)
        taken.append(record)
        last = place
    return Page(account_key, tuple(device_keys), tuple(taken))


def mailboxes_of(connection: apsw.Connection, account: int) -> list[tuple[bytes, int, bool]]:
    """Device key, row, and whether it is listed: of its mailboxes, and what is left of dropped ones."""
    rows: Iterator[tuple[bytes, int]] = connection.execute(
        "SELECT device_key, id FROM mailboxes WHERE account = ?", (account,)
    )
    found = [(bytes(key), id, True) for key, id in rows]
    for key in former_keys(connection, account):
        id = connection.execute(
            "SELECT id FROM mailboxes WHERE device_key = ? AND account IS NULL", (key,)
        ).get
        if id is not None:
            found.append((key, id, False))
    return sorted(found)


def export(connection: apsw.Connection, device_key: bytes, place: bytes | None) -> Page:
    """See `Store.export`."""
    connection.execute("BEGIN")
    try:
        row = connection.execute(
            "SELECT a.id, a.account_key, a.device_list FROM mailboxes m JOIN accounts a ON a.id = m.account"
            " WHERE m.device_key = ?",
            (device_key,),
        ).fetchone()
        if row is None:
            raise base.refuse_unregistered("export")
        itself = HeldAccount(account_key=bytes(row[1]), device_list=bytes(row[2]))
        mailboxes = [(key, id) for key, id, _ in mailboxes_of(connection, row[0])]
        # Closed where it stops: a statement that is not at its end would keep the log from being emptied.
        with contextlib.closing(_records(connection, row[0], itself, mailboxes, place or b"")) as records:
            return cut(itself.account_key, [key for key, _ in mailboxes], records)
    finally:
        connection.execute("ROLLBACK")


def _records(
    connection: apsw.Connection,
    account: int,
    itself: HeldAccount,
    mailboxes: Sequence[tuple[bytes, int]],
    begun: bytes,
) -> Generator[tuple[bytes, Stored]]:
    """All records behind `begun`, in the order of their places."""
    if begun < ACCOUNT:
        yield ACCOUNT, itself
    if begun < MAILBOX:
        yield from _former(connection, account, begun)
    for key, id in mailboxes:
        if begun < MAILBOX + key:
            yield MAILBOX + key, _mailbox(connection, id)
    for part, of_mailbox in ((PREKEY, _prekeys), (TOKEN, _tokens), (FRAME, _frames)):
        for key, id in mailboxes:
            head = part + key
            if begun[: len(head)] <= head:
                yield from of_mailbox(
                    connection, key, id, begun.removeprefix(head) if begun.startswith(head) else b""
                )


def _former(connection: apsw.Connection, account: int, begun: bytes) -> Iterator[tuple[bytes, Stored]]:
    after = int.from_bytes(begun[1:9], "big") if begun[:1] == FORMER else -1
    rows: Iterator[tuple[int, bytes]] = connection.execute(
        "SELECT version, device_list FROM former_lists WHERE account = ? AND version > ? ORDER BY version",
        (account, min(after, 2**63 - 1)),
    )
    for version, device_list in rows:
        yield FORMER + u64(version), HeldFormerList(version=version, device_list=bytes(device_list))


def _mailbox(connection: apsw.Connection, id: int) -> HeldMailbox:
    names = [name for name in HeldMailbox.model_fields if name != "held"]
    row = connection.execute(f"SELECT {', '.join(names)} FROM mailboxes WHERE id = ?", (id,)).fetchone()  # noqa: S608 names of ours
    assert row is not None
    return HeldMailbox.model_validate(dict(zip(names, row, strict=True)))


def _prekeys(
    connection: apsw.Connection, key: bytes, id: int, after: bytes
) -> Iterator[tuple[bytes, Stored]]:
    rows: Iterator[tuple[int, int, bytes]] = connection.execute(
        "SELECT kind, id, prekey FROM prekeys WHERE mailbox = ? AND (kind, id) > (?, ?) ORDER BY kind, id",
        (id, int.from_bytes(after[:1], "big"), int.from_bytes(after[1:5], "big")),
    )
    for kind, number, prekey in rows:
        held = HeldPrekey(device_key=key, kind=kind, id=number, prekey=bytes(prekey))
        yield PREKEY + key + u8(kind) + u32(number), held


def _tokens(connection: apsw.Connection, key: bytes, id: int, after: bytes) -> Iterator[tuple[bytes, Stored]]:
    rows: Iterator[tuple[bytes, int | None]] = connection.execute(
        "SELECT hash, until FROM tokens WHERE mailbox = ? AND hash > ? ORDER BY hash", (id, after)
    )
    for hash, until in rows:
        yield TOKEN + key + bytes(hash), HeldToken(device_key=key, hash=bytes(hash), until=until)


def _frames(connection: apsw.Connection, key: bytes, id: int, after: bytes) -> Iterator[tuple[bytes, Stored]]:
    rows: Iterator[tuple[int, bytes, int, bytes, int | None, int]] = connection.execute(
        "SELECT sequence, frame_id, stored_at, envelope, checksum, request FROM frames"
        " WHERE mailbox = ? AND sequence > ? ORDER BY sequence",
        (id, min(int.from_bytes(after[:8], "big"), 2**63 - 1)),
    )
    for sequence, frame_id, stored_at, envelope, checksum, request in rows:
        if is_good(key, sequence, frame_id, stored_at, envelope, checksum):
            yield (
                frame_place(key, sequence),
                HeldFrame(
                    device_key=key,
                    sequence=sequence,
                    frame_id=frame_id,
                    stored_at=stored_at,
                    request=bool(request),
                    checksum=checksum,
                    size=len(envelope),
                    sha256=sha256(envelope).digest(),
                ),
            )


def frame_place(key: bytes, sequence: int) -> bytes:
    """Where a page ends whose last record is this frame."""
    assert len(key) == PUBLIC_KEY
    return FRAME + key + u64(sequence)
