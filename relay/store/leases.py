"""Leases: the sequences of a mailbox that are given out in memory, and the frames under them that are kept.

Owns the three steps. A lease moves the mailbox's next sequence ahead by a whole block, durably, before the
first of it is given: whatever happens then, none is given twice. Its frames are kept later, those that were
not acknowledged meanwhile. At its end the rest of the block goes back. Opens and ends no transaction.
"""

from collections.abc import Iterator, Sequence

import apsw

from relay.store.base import LEASED, Lease, LeasedFrame, Quota, Returned, Token
from relay.store.checksums import frame_checksum
from wire.limits import UNACKNOWLEDGED_BYTES, UNACKNOWLEDGED_FRAMES


def lease(connection: apsw.Connection, device_key: bytes, quota: Quota) -> Lease | None:
    """See `Store.lease`."""
    if quota.frames < UNACKNOWLEDGED_FRAMES or quota.bytes < UNACKNOWLEDGED_BYTES:
        return None  # the store alone knows when such a mailbox is full
    row = connection.execute(
        "SELECT id, next_sequence, frames + request_frames FROM mailboxes"
        " WHERE device_key = ? AND account IS NOT NULL",
        (device_key,),
    ).fetchone()
    if row is None or row[2] > UNACKNOWLEDGED_FRAMES:
        return None
    mailbox, first, _ = row
    connection.execute(
        "UPDATE mailboxes SET next_sequence = next_sequence + ?1, skipped = skipped + ?1 WHERE id = ?2",
        (LEASED, mailbox),
    )
    tokens: Iterator[tuple[bytes, int | None]] = connection.execute(
        "SELECT hash, until FROM tokens WHERE mailbox = ?", (mailbox,)
    )
    allowed = tuple(Token(hash, until) for hash, until in tokens)
    held: Iterator[tuple[int, bytes]] = connection.execute(
        "SELECT sequence, frame_id FROM frames WHERE mailbox = ? ORDER BY sequence", (mailbox,)
    )
    return Lease(first, first + LEASED - 1, allowed, tuple(held))


def _count_out_former(connection: apsw.Connection, mailbox: int, frame_id: bytes) -> None:
    """Delete the frame of that id, if there is one: it was acknowledged, and its deletion is on its way."""
    former = connection.execute(
        "DELETE FROM frames WHERE mailbox = ? AND frame_id = ? RETURNING request, length(envelope)",
        (mailbox, frame_id),
    ).fetchone()
    if former is not None:
        request, size = former
        connection.execute(
            "UPDATE mailboxes SET frames = frames - ?, bytes = bytes - ?,"
            " request_frames = request_frames - ?, request_bytes = request_bytes - ? WHERE id = ?",
            (0, 0, 1, size, mailbox) if request else (1, size, 0, 0, mailbox),
        )


def keep(
    connection: apsw.Connection, frames: Sequence[LeasedFrame], ended: Sequence[Returned], now: int
) -> list[bool]:
    """See `Store.keep`."""
    mailboxes: dict[bytes, int | None] = {}
    kept: list[bool] = []
    counts: dict[int, tuple[int, int]] = {}
    for frame in frames:
        key = frame.mailbox
        if key not in mailboxes:
            mailboxes[key] = connection.execute(
                "SELECT id FROM mailboxes WHERE device_key = ? AND account IS NOT NULL", (key,)
            ).get
        mailbox = mailboxes[key]
        kept.append(mailbox is not None)
        if mailbox is None:
            continue
        _count_out_former(connection, mailbox, frame.frame_id)
        checksum = frame_checksum(key, frame.sequence, frame.frame_id, now, frame.envelope)
        connection.execute(
            "INSERT INTO frames (mailbox, sequence, frame_id, stored_at, envelope, request, checksum)"
            " VALUES (?, ?, ?, ?, ?, 0, ?)",
            (mailbox, frame.sequence, frame.frame_id, now, frame.envelope, checksum),
        )
        count, size = counts.get(mailbox, (0, 0))
        counts[mailbox] = count + 1, size + len(frame.envelope)
    for mailbox, (count, size) in counts.items():
        connection.execute(
            "UPDATE mailboxes SET frames = frames + ?1, bytes = bytes + ?2, skipped = skipped - ?1"
            " WHERE id = ?3",
            (count, size, mailbox),
        )
    for lease in ended:
        # Unless the mailbox was dropped meanwhile, and its sequences are on their way already.
        connection.execute(
            "UPDATE mailboxes SET next_sequence = ?1, skipped = skipped - (?2 + 1 - ?1)"
            " WHERE device_key = ?3 AND next_sequence = ?2 + 1",
            (lease.next_sequence, lease.last, lease.mailbox),
        )
    return kept
