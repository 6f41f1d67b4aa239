"""What a client sends, as messages: RFC 6455 section 5, the server's side.

Owns the frames: masks, fragments, control frames, UTF-8, and every limit that a header tells before its
payload is kept. Knows no socket, and not what a message means.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, TypeAlias

from websockets.exceptions import ProtocolError
from websockets.frames import Close

from relay.metrics import Drop
from wire.errors import CloseCode
from wire.limits import FRAGMENTS_MAX

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform
    from websockets.utils import apply_mask


class Opcode(IntEnum):
    """RFC 6455 section 5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


# Members of an enumeration take longer to look up and to compare.
TEXT: Final = int(Opcode.TEXT)
BINARY: Final = int(Opcode.BINARY)

# A message, or a control frame; a close frame as its code, 1005 where it has none.
Event: TypeAlias = tuple[int, bytes | str | int]

_FIN: Final = 0x80
_MASKED: Final = 0x80
_WHOLE_TEXT: Final = _FIN | TEXT
_WHOLE_BINARY: Final = _FIN | BINARY
_WHOLE: Final = (_WHOLE_BINARY, _WHOLE_TEXT)
_MASK: Final = 4
_CONTROL_MAX: Final = 125


class BrokenError(Exception):
    """The connection cannot go on; `code` is what it is closed with."""

    def __init__(self, code: CloseCode, drop: Drop | None = None) -> None:
        super().__init__(code.name)
        self.code = code
        self.drop = drop


class Parser:
    """The reading side of one connection. `most`: bytes of the largest message, in however many parts."""

    __slots__ = ("_at", "_data", "_most", "_need", "_opcode", "_parts", "_size")

    def __init__(self, most: int) -> None:
        self._most = most
        self._data: bytes | bytearray = b""
        self._at = 0
        self._need = 2  # bytes, before looking again is worth it
        self._opcode = 0  # of the message whose parts are being collected
        self._parts: list[bytes] | None = None
        self._size = 0  # of these parts

    def feed(self, data: bytes) -> None:
        """Take in what was read; at most that and one incomplete frame are kept."""
        if self._at == len(self._data):
            self._data = data
        else:
            rest = self._data if isinstance(self._data, bytearray) else bytearray(self._data)
            del rest[: self._at]
            rest += data
            self._data = rest
        self._at = 0

    def events(self) -> Iterator[Event]:
        """Every message and control frame that is complete. Raises BrokenError.

        Whoever stops in between, or asks anew while this goes on, misses nothing and gets nothing twice.
        """
        while True:
            data, at = self._data, self._at
            have = len(data) - at
            if have < self._need:
                if not have:
                    self._data, self._at = b"", 0  # what was read is not kept while nothing comes
                return
            first, second = data[at], data[at + 1]
            if first not in _WHOLE or second < _MASKED or self._parts is not None:
                self._check_kind(first, second)
            length, begin = second & 0x7F, at + 2 + _MASK
            if length == 126:
                if have < 4:
                    self._need = 4
                    return
                begin += 2
                length = data[at + 2] << 8 | data[at + 3]
            elif length == 127:
                if have < 10:
                    self._need = 10
                    return
                begin += 8
                length = int.from_bytes(data[at + 2 : at + 10])
            if length + self._size > self._most and first & 0x0F <= BINARY:
                raise BrokenError(CloseCode.MESSAGE_TOO_BIG)
            end = begin + length
            if end > at + have:
                self._need = end - at
                return
            self._need = 2
            self._at = end
            payload = apply_mask(data[begin:end], data[begin - _MASK : begin])
            if first == _WHOLE_BINARY:
                yield BINARY, payload
            elif first == _WHOLE_TEXT:
                yield TEXT, _text(payload)
            elif (event := self._take(first, payload)) is not None:
                yield event

    def _check_kind(self, first: int, second: int) -> None:
        """Judge a frame by its first two bytes."""
        opcode = first & 0x0F
        is_control = Opcode.CLOSE <= opcode <= Opcode.PONG
        if first & 0x70 or second < _MASKED or not (is_control or opcode <= Opcode.BINARY):
            raise BrokenError(CloseCode.PROTOCOL_ERROR)
        if is_control:
            if not first & _FIN or second & 0x7F > _CONTROL_MAX:
                raise BrokenError(CloseCode.PROTOCOL_ERROR)
        elif (opcode == Opcode.CONTINUATION) is (self._parts is None):
            raise BrokenError(CloseCode.PROTOCOL_ERROR)
        # Empty parts would pile up below every limit in bytes.
        elif self._parts is not None and len(self._parts) >= FRAGMENTS_MAX:
            raise BrokenError(CloseCode.MESSAGE_TOO_BIG, Drop.TOO_MANY_FRAGMENTS)

    def _take(self, first: int, payload: bytes) -> Event | None:
        """A frame that is no whole binary message; None where more parts are to come."""
        opcode = first & 0x0F
        if opcode == Opcode.CLOSE:
            return Opcode.CLOSE, _close_code(payload)
        if opcode >= Opcode.PING:
            return opcode, payload
        if opcode != Opcode.CONTINUATION:
            self._opcode = opcode
        if self._parts is None and first & _FIN:
            return self._message(payload)
        if self._parts is None:
            self._parts = []
        self._parts.append(payload)
        self._size += len(payload)
        if not first & _FIN:
            return None
        parts, self._parts, self._size = self._parts, None, 0
        return self._message(b"".join(parts))

    def _message(self, payload: bytes) -> Event:
        return (BINARY, payload) if self._opcode == BINARY else (TEXT, _text(payload))


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise BrokenError(CloseCode.INVALID_TEXT) from error


def _close_code(payload: bytes) -> int:
    try:
        return int(Close.parse(payload).code)
    except ProtocolError as error:
        raise BrokenError(CloseCode.PROTOCOL_ERROR) from error
    except UnicodeDecodeError as error:
        raise BrokenError(CloseCode.INVALID_TEXT) from error


def whole(opcode: int, payload: bytes) -> bytes:
    """A message or control frame in one frame, unmasked as a server's are."""
    size = len(payload)
    if size < 126:
        return bytes((_FIN | opcode, size)) + payload
    if size < 65_536:
        return bytes((_FIN | opcode, 126, size >> 8, size & 0xFF)) + payload
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8) + payload
