"""The binary frame: one opaque envelope on its way into or out of a mailbox.

    client                 relay                  recipient's device
      | -- PUT -------------> |                           |
      | <- accepted (JSON) -- | -- DELIVER -------------> |
      |                       | <- acknowledge (JSON) --- |

Owns the header's layout; knows nothing of what an envelope holds. All integers are big-endian.

| offset | size | PUT (client to relay)          | DELIVER (relay to device)            |
|-------:|-----:|--------------------------------|--------------------------------------|
|      0 |    1 | type = 0x01                    | type = 0x02                          |
|      1 |    1 | version = 0x01                 | version = 0x01                       |
|      2 |   16 | frame id, chosen by the sender | frame id, as put                     |
|     18 |   32 | mailbox (device public key)    | mailbox (the device's own key)       |
|     50 |    8 | (envelope begins)              | sequence in this mailbox, from 1     |
|     58 |    1 |                                | flags: bit 0 = request, others zero  |
|     59 |    - |                                | (envelope begins)                    |
"""

from dataclasses import dataclass, field
from typing import Final

from wire.binary import Reader
from wire.errors import ErrorCode, WireError
from wire.limits import BUCKETS, ENVELOPE_MAX, FRAME_ID, PROTOCOL_VERSION, PUBLIC_KEY

PUT: Final = 0x01  # 1 type | 1 version | 16 frame id | 32 mailbox | envelope
DELIVER: Final = 0x02  # 1 type | 1 version | 16 frame id | 32 mailbox | 8 sequence | 1 flags | envelope
FLAG_REQUEST: Final = 0x01  # put without a delivery token that holds

PUT_HEADER: Final = 50
DELIVER_HEADER: Final = 59
FRAME_MAX: Final = DELIVER_HEADER + ENVELOPE_MAX

ENVELOPE_VERSION: Final = 0x01  # first byte of every envelope; all else is opaque here
_PUT_SIZES: Final = frozenset(PUT_HEADER + size for size in BUCKETS)


@dataclass(frozen=True, slots=True)
class Put:
    """A frame on its way to a mailbox. `frame_id` 16 bytes, `mailbox` 32 bytes, `envelope` a bucket."""

    frame_id: bytes
    mailbox: bytes
    envelope: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The 50-byte header and the envelope."""
        return b"".join((b"\x01\x01", self.frame_id, self.mailbox, self.envelope))


@dataclass(frozen=True, slots=True)
class Deliver:
    """A frame on its way to the device that owns the mailbox."""

    frame_id: bytes
    mailbox: bytes
    sequence: int
    flags: int
    envelope: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The 59-byte header and the envelope."""
        return encode_deliver(self.frame_id, self.mailbox, self.sequence, self.flags, self.envelope)


def encode_deliver(frame_id: bytes, mailbox: bytes, sequence: int, flags: int, envelope: bytes) -> bytes:
    """The 59-byte header and the envelope."""
    return b"".join((b"\x02\x01", frame_id, mailbox, sequence.to_bytes(8), bytes((flags,)), envelope))


def check_envelope(envelope: bytes) -> None:
    """Refuse what is not exactly 1 KiB * 2^k, or not of version 1. Raises WireError(BAD_ENVELOPE)."""
    if len(envelope) not in BUCKETS:
        raise WireError(ErrorCode.BAD_ENVELOPE, "envelope: size is not 1 KiB * 2^k up to 64 KiB")
    if envelope[0] != ENVELOPE_VERSION:
        raise WireError(ErrorCode.BAD_ENVELOPE, "envelope: unknown version")


def _reader(data: bytes, kind: int) -> Reader:
    if len(data) > FRAME_MAX:
        raise WireError(ErrorCode.TOO_LARGE, "frame: over the limit")
    reader = Reader(data, "frame", ErrorCode.BAD_FRAME)
    if reader.u8() != kind:
        raise reader.refuse("unexpected type")
    if reader.u8() != PROTOCOL_VERSION:
        raise WireError(ErrorCode.UNSUPPORTED_VERSION, "frame: unknown version")
    return reader


def split_put(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Mailbox, frame id and envelope of a PUT, for whoever takes in many. Raises as `decode_put` does."""
    if len(data) in _PUT_SIZES and data[:2] == b"\x01\x01" and data[PUT_HEADER] == ENVELOPE_VERSION:
        return data[18:50], data[2:18], data[50:]  # as nearly all are: the rest is told what is wrong
    reader = _reader(data, PUT)
    frame_id, mailbox, envelope = reader.take(FRAME_ID), reader.take(PUBLIC_KEY), reader.rest()
    check_envelope(envelope)
    return mailbox, frame_id, envelope


def decode_put(data: bytes) -> Put:
    """Decode a PUT. Raises WireError: BAD_FRAME, TOO_LARGE, UNSUPPORTED_VERSION or BAD_ENVELOPE."""
    mailbox, frame_id, envelope = split_put(data)
    return Put(frame_id, mailbox, envelope)


def decode_deliver(data: bytes) -> Deliver:
    """Decode a DELIVER. Raises WireError like `decode_put`, and BAD_FRAME for unknown flags or sequence 0."""
    reader = _reader(data, DELIVER)
    frame_id, mailbox = reader.take(FRAME_ID), reader.take(PUBLIC_KEY)
    sequence, flags = reader.u64(), reader.u8()
    if sequence == 0:
        raise reader.refuse("sequence is zero")
    if flags & ~FLAG_REQUEST:
        raise reader.refuse("unknown flag")
    frame = Deliver(frame_id, mailbox, sequence, flags, reader.rest())
    check_envelope(frame.envelope)
    return frame
