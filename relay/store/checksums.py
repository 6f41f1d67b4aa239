"""Frames that decayed on the disk: how they are told from good ones, and how they leave.

Owns the checksum of a stored frame and the two statements that need it. It finds decay, not malice: whoever
can write the file can write a checksum too, and what a frame holds is authenticated by its recipient. Opens
and ends no transaction.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

import apsw

from relay.store.base import StoredFrame

_NUMBERS: Final = struct.Struct(">QQ")


def frame_checksum(device_key: bytes, sequence: int, frame_id: bytes, stored_at: int, envelope: bytes) -> int:
    """CRC-32 (as in RFC 1952) over whatever of a row never changes; 0.6 us for an envelope of 1 KiB."""
    head = device_key + _NUMBERS.pack(sequence, stored_at) + frame_id
    return zlib.crc32(envelope, zlib.crc32(head))


def is_good(
    device_key: bytes, sequence: int, frame_id: object, stored_at: object, envelope: object, checksum: object
) -> bool:
    """Whether a row is as it was put; a row from before there were checksums has the right types at least."""
    if not (isinstance(frame_id, bytes) and isinstance(stored_at, int) and isinstance(envelope, bytes)):
        return False
    if checksum is None:
        return True
    # A decayed time, or a place that a decayed index gives, may be negative, which `pack` refuses.
    return min(stored_at, sequence) >= 0 and checksum == frame_checksum(
        device_key, sequence, frame_id, stored_at, envelope
    )


def pull(
    connection: apsw.Connection, device_key: bytes, after_sequence: int, max_frames: int, max_bytes: int
) -> list[StoredFrame]:
    """See `Store.pull`."""
    rows: Iterator[tuple[int, bytes, int, bytes, int | None, int]] = connection.execute(
        "SELECT sequence, frame_id, stored_at, envelope, checksum, request FROM frames"
        " WHERE mailbox = (SELECT id FROM mailboxes WHERE device_key = ?) AND sequence > ?"
        " ORDER BY sequence LIMIT ?",
        (device_key, after_sequence, max_frames),
    )
    pulled: list[StoredFrame] = []
    for sequence, frame_id, stored_at, envelope, checksum, request in rows:
        if not is_good(device_key, sequence, frame_id, stored_at, envelope, checksum):
            pulled.append(StoredFrame(sequence, b"", b"", is_damaged=True))
            continue
        max_bytes -= len(envelope)
        if max_bytes < 0:
            break
        pulled.append(StoredFrame(sequence, frame_id, envelope, bool(request)))
    return pulled


def discard(connection: apsw.Connection, device_key: bytes, sequences: Sequence[int]) -> int:
    """See `Store.discard`."""
    count = 0
    for sequence in sequences:
        row = connection.execute(
            "SELECT f.id, f.mailbox, frame_id, stored_at, envelope, checksum, request, length(envelope)"
            " FROM frames f JOIN mailboxes m ON m.id = f.mailbox WHERE device_key = ? AND sequence = ?",
            (device_key, sequence),
        ).fetchone()
        # Looked at again: meanwhile it may have been acknowledged.
        if row is None or is_good(device_key, sequence, *row[2:6]):
            continue
        try:
            connection.execute("DELETE FROM frames WHERE id = ?", (row[0],))
        except apsw.CorruptError:
            # What decayed stands in an index too, which says otherwise and keeps the row from being deleted.
            connection.execute("REINDEX frames")
            connection.execute("DELETE FROM frames WHERE id = ?", (row[0],))
        _count_anew(connection, row[1])
        count += 1
    return count


def _count_anew(connection: apsw.Connection, mailbox: int) -> None:
    """One frame less, by what is there: what a decayed row says of its own size is not to be believed."""
    connection.execute(
        "UPDATE mailboxes SET expired = expired + 1,"
        " (frames, bytes, request_frames, request_bytes) = (SELECT"
        " count(*) FILTER (WHERE NOT request), ifnull(sum(length(envelope)) FILTER (WHERE NOT request), 0),"
        " count(*) FILTER (WHERE request), ifnull(sum(length(envelope)) FILTER (WHERE request), 0)"
        " FROM frames WHERE mailbox = mailboxes.id) WHERE id = ?",
        (mailbox,),
    )


def mend(connection: apsw.Connection) -> None:
    """Make all indexes of a sound database anew from its tables, and let every mailbox tell what it has lost.

    A row whose mailbox or place decayed is never pulled: it leaves, and its owner is told by `expired`.
    """
    connection.execute("REINDEX")
    connection.execute("DELETE FROM frames WHERE sequence < 1 OR mailbox NOT IN (SELECT id FROM mailboxes)")
    connection.execute(
        "UPDATE mailboxes SET expired = expired + max(0, frames + request_frames - has.n),"
        " frames = has.n - has.r, request_frames = has.r, bytes = has.b - has.rb, request_bytes = has.rb"
        " FROM (SELECT m.id AS id, count(f.id) AS n, ifnull(sum(f.request), 0) AS r,"
        " ifnull(sum(length(f.envelope)), 0) AS b, ifnull(sum(length(f.envelope) * f.request), 0) AS rb"
        " FROM mailboxes m LEFT JOIN frames f ON f.mailbox = m.id GROUP BY m.id) AS has"
        " WHERE has.id = mailboxes.id AND has.n <> frames + request_frames"
    )
