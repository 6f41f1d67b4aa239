"""Content: what a ratchet message carries, in canonical binary.

Owns kinds, extensions and their layout. Unknown kinds and extensions are kept as they came, so that an
older client loses nothing. Does not judge order, duplicates or meaning.

| offset | size | content                                                                    |
|-------:|-----:|----------------------------------------------------------------------------|
|      0 |    1 | kind, see `Kind`                                                           |
|      1 |   16 | message id, random: the only thing duplicates are recognised by            |
|     17 |   16 | stream id, random per life of the sender's store                           |
|     33 |    8 | sequence in the stream to this recipient device, from 1                    |
|     41 |    8 | time sent, Unix milliseconds                                               |
|     49 |    2 | length of the body, at most 65,000                                         |
|     51 |    - | body                                                                       |
|      - |    - | extensions: type 1 || length 2 || value, ascending by type, each at most once |

Bodies: RECEIPT stream id 16 || count 1 || count * (first u64 || last u64), ascending, 1 to 64 ranges.
READ stream id 16 || through u64. TYPING 1 byte. PROFILE a display name, its gifts as extensions 2 and 3.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from keys.errors import DecryptError
from keys.secrecy import Secret
from wire.binary import Reader, u8, u16, u64
from wire.errors import WireError
from wire.limits import HASH, TEXT_MAX

MESSAGE_ID: Final = 16
STREAM_ID: Final = 16
CONTENT_HEADER: Final = 51
RANGES_MAX: Final = 64


class Kind(IntEnum):
    """What a content is. Others are kept and not shown."""

    OPEN = 0  # nothing but the handshake in front of it
    TEXT = 1  # UTF-8, at most 65,000 bytes
    RECEIPT = 2  # delivered: cumulative ranges of one stream
    TYPING = 3  # 1 while somebody types, 0 when that has stopped
    PROFILE = 4  # our card: a self-asserted display name, and what the recipient may use as our contact
    RESEND = 5  # please send these sequences again: a receipt's body, of what is missing
    REPAIR = 6  # the session was made anew: a receipt's body, of what has arrived before, or nothing
    DATA = 7  # opaque bytes, at most 65,000
    READ = 8  # a person has seen the recipient's stream up to here


# Notes between programs: neither receipted nor shown, and no reason to notice whoever is no contact.
NOTES: Final = frozenset(
    (Kind.OPEN, Kind.RECEIPT, Kind.TYPING, Kind.PROFILE, Kind.RESEND, Kind.REPAIR, Kind.READ)
)


class Extension(IntEnum):
    """Type bytes of extensions. Others are kept."""

    DEVICE_LIST = 1  # the sender's own: version u64 || hash 32
    TOKEN = 2  # 16 bytes, a delivery token for the recipient to use
    PRESENCE = 3  # 32 bytes, a presence capability for the recipient to use
    SEALING_KEY = 4  # the sender's new sealing prekey, canonical bytes
    REPLY_TO = 5  # message id 16
    RELAY = 6  # where the sender's account lives, as in an address


@dataclass(frozen=True, slots=True)
class Content(Secret):
    """One content. `kind` is a plain integer, because unknown ones are kept."""

    kind: int
    message_id: bytes
    stream_id: bytes = field(repr=False)
    sequence: int
    sent_ms: int
    body: bytes = field(repr=False)
    extensions: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def extension(self, type: Extension) -> bytes | None:
        """The value of an extension, or None."""
        return dict(self.extensions).get(type)

    def encode(self) -> bytes:
        """The canonical bytes. Raises ValueError for a body over 65,000 bytes."""
        if len(self.body) > TEXT_MAX:
            raise ValueError("body over 65,000 bytes")
        head = u8(self.kind) + self.message_id + self.stream_id + u64(self.sequence) + u64(self.sent_ms)
        return head + u16(len(self.body)) + self.body + self.encode_extensions()

    def encode_extensions(self) -> bytes:
        """The extensions alone, in canonical order. Raises ValueError if a type occurs twice."""
        if len({type for type, _ in self.extensions}) != len(self.extensions):
            raise ValueError("an extension occurs twice")
        return b"".join(u8(type) + u16(len(value)) + value for type, value in sorted(self.extensions))


def decode_content(data: bytes) -> Content:
    """Decode a decrypted content. Raises DecryptError for anything but the canonical form."""
    reader = Reader(data, "content")
    try:
        kind, message_id, stream = reader.u8(), reader.take(MESSAGE_ID), reader.take(STREAM_ID)
        sequence, sent, body = reader.u64(), reader.u64(), reader.take(reader.u16())
        extensions: list[tuple[int, bytes]] = []
        while reader.remaining:
            type = reader.u8()
            if extensions and type <= extensions[-1][0]:
                raise DecryptError
            extensions.append((type, reader.take(reader.u16())))
    except WireError:
        raise DecryptError from None
    if sequence == 0 or len(body) > TEXT_MAX:
        raise DecryptError
    return Content(kind, message_id, stream, sequence, sent, body, tuple(extensions))


@dataclass(frozen=True, slots=True)
class Receipt:
    """Sequences of one stream that are safe in the recipient's history: inclusive, ascending ranges."""

    stream_id: bytes = field(repr=False)
    ranges: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """The body of a receipt."""
        if not 1 <= len(self.ranges) <= RANGES_MAX:
            raise ValueError("1 to 64 ranges")
        ranges = b"".join(u64(first) + u64(last) for first, last in self.ranges)
        return self.stream_id + u8(len(self.ranges)) + ranges


def decode_receipt(body: bytes) -> Receipt:
    """Decode the body of a receipt. Raises DecryptError."""
    reader = Reader(body, "receipt")
    try:
        stream, count = reader.take(STREAM_ID), reader.u8()
        ranges = tuple((reader.u64(), reader.u64()) for _ in range(count))
        reader.end()
    except WireError:
        raise DecryptError from None
    lower = [0, *(last for _, last in ranges)]
    ascending = all(below < first <= last for below, (first, last) in zip(lower, ranges, strict=False))
    if not 1 <= count <= RANGES_MAX or not ascending:
        raise DecryptError
    return Receipt(stream, ranges)


@dataclass(frozen=True, slots=True)
class ReadMark:
    """A person has seen everything of this stream up to `through` that has arrived."""

    stream_id: bytes = field(repr=False)
    through: int

    def encode(self) -> bytes:
        """The body of a READ, 24 bytes."""
        return self.stream_id + u64(self.through)


def decode_read(body: bytes) -> ReadMark:
    """Decode the body of a READ. Raises DecryptError."""
    reader = Reader(body, "read")
    try:
        mark = ReadMark(reader.take(STREAM_ID), reader.u64())
        reader.end()
    except WireError:
        raise DecryptError from None
    return mark


def decode_typing(body: bytes) -> bool:
    """Decode the body of a TYPING. Raises DecryptError."""
    if body not in (b"\x00", b"\x01"):
        raise DecryptError
    return body == b"\x01"


def list_extension(version: int, list_hash: bytes) -> tuple[int, bytes]:
    """The sender's own device list as it stands: version u64 || hash 32."""
    return int(Extension.DEVICE_LIST), u64(version) + list_hash


def read_list_extension(value: bytes) -> tuple[int, bytes]:
    """(version, hash). Raises DecryptError."""
    if len(value) != 8 + HASH:
        raise DecryptError
    return int.from_bytes(value[:8], "big"), value[8:]
