"""Canonical binary: fixed order, big-endian integers, nothing left over.

Owns the reader that every decoder of signed or framed bytes uses. Knows no field by name. Writing needs
no counterpart: encoders join `int.to_bytes` and byte strings in the documented order.
"""

from wire.errors import ErrorCode, WireError


def lp(value: bytes) -> bytes:
    """Length-prefixed bytes: u32 length || value."""
    return len(value).to_bytes(4, "big") + value


def u8(value: int) -> bytes:
    """One byte."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """Two bytes, big-endian."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Four bytes, big-endian."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Eight bytes, big-endian."""
    return value.to_bytes(8, "big")


def label(purpose: str) -> bytes:
    """`blindpost/v1/<purpose>` and a zero byte: the first bytes under every signature, hash and KDF."""
    return b"blindpost/v1/" + purpose.encode("ascii") + b"\0"


class Reader:
    """Takes fields from `data` in order; whatever does not fit raises `WireError(code)`.

    Lengths are checked before anything is sliced. `end()` refuses trailing bytes, so each value has
    one encoding only.
    """

    __slots__ = ("_at", "_code", "_data", "_what")

    def __init__(self, data: bytes, what: str, code: ErrorCode = ErrorCode.BAD_REQUEST) -> None:
        self._data = data
        self._at = 0
        self._what = what
        self._code = code

    def refuse(self, why: str) -> WireError:
        """The error of this reader: `<what>: <why>`."""
        return WireError(self._code, f"{self._what}: {why}")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > len(self._data) - self._at:
            raise self.refuse("truncated")
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def integer(self, size: int) -> int:
        """The next `size` bytes as an unsigned big-endian integer."""
        return int.from_bytes(self.take(size), "big")

    def u8(self) -> int:
        """One byte."""
        return self.integer(1)

    def u16(self) -> int:
        """Two bytes."""
        return self.integer(2)

    def u32(self) -> int:
        """Four bytes."""
        return self.integer(4)

    def u64(self) -> int:
        """Eight bytes, below 2^63: every field of this width must fit a signed integer of a database."""
        value = self.integer(8)
        if value >= 2**63:
            raise self.refuse("a number is over its limit")
        return value

    def lp(self, limit: int) -> bytes:
        """u32 length || that many bytes, at most `limit`."""
        size = self.u32()
        if size > limit:
            raise self.refuse("a field is over its limit")
        return self.take(size)

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._data) - self._at)

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def end(self) -> None:
        """Refuse trailing bytes."""
        if self._at != len(self._data):
            raise self.refuse("trailing bytes")
