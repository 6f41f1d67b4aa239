"""Lines of JSON, as they go over a profile's socket and through `blindpost serve`.

Owns how bytes become lines and lines become objects, both ways, and the size of a line. What the objects mean
is in `clients.local.calls`.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, Never

from clients.errors import TooLargeError, UsageError
from clients.model import Json

LINE_MAX: Final = (
    512 * 1024
)  # bytes, line feed included: a text of 65,000 bytes with each of them escaped fits
PROTOCOL: Final = 1


class TooLong:
    """Stands for a line that was too long. It has been skipped to its end."""


class Splitter:
    """Bytes in, whole lines out. Never keeps more than one line."""

    def __init__(self, limit: int = LINE_MAX) -> None:
        self._limit = limit
        self._begun = bytearray()
        self._skips = False

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """The lines that `data` completes, without their line feeds."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            yield from self._line(end)
        if self._skips or len(self._begun) + len(rest) >= self._limit:
            self._skips = True
            self._begun.clear()
        else:
            self._begun += rest

    def _line(self, end: bytes) -> Iterator[bytes | TooLong]:
        is_long = self._skips or len(self._begun) + len(end) >= self._limit
        line = TooLong() if is_long else bytes(self._begun + end)
        self._begun.clear()
        self._skips = False
        yield line

    def rest(self) -> Iterator[bytes | TooLong]:
        """The last line, where it was not ended by a line feed."""
        if self._begun or self._skips:
            yield from self._line(b"")


def is_blank(line: bytes | TooLong) -> bool:
    """Whether a line says nothing, and needs no answer."""
    return isinstance(line, bytes) and not line.strip()


def encode(value: Json) -> bytes:
    """One line."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half a character, which JSON can carry and UTF-8 cannot
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _refuse_number(_: str) -> Never:
    raise ValueError


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def decode(line: bytes | TooLong) -> dict[str, Any]:
    """The object on a line. Raises UsageError, or TooLargeError over 512 KiB."""
    if isinstance(line, TooLong):
        raise TooLargeError(f"A line has at most {LINE_MAX:,} bytes. This one was skipped.")
    try:
        value = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_refuse_number)
    except (ValueError, RecursionError):
        raise UsageError("The line is not JSON in UTF-8, or a key occurs twice in it.") from None
    if not isinstance(value, dict):
        raise UsageError('The line is not an object. Example: {"call": "me", "ref": 1}')
    return value
