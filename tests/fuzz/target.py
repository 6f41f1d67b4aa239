"""What a fuzz target is, and how it reads the bytes that it is given.

Owns the type that every list of targets is made of, and the reader that turns bytes into choices. Knows no
decoder and no fuzzer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_INPUT = 4096


@dataclass(frozen=True)
class Target:
    """One property of one decoder.

    `run` returns where the property holds and raises anything at all where it does not. `seeds` are inputs
    that reach far; `words` are what a mutation may insert.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()
    max_input: int = MAX_INPUT


class Choices:
    """Bytes as a script: whatever is asked for beyond their end is zero or empty, so that each input means
    something."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def below(self, count: int) -> int:
        """A number from 0 to `count` - 1, from one byte."""
        return int.from_bytes(self.take(1)) % count

    def number(self, size: int) -> int:
        """A number from `size` bytes."""
        return int.from_bytes(self.take(size))

    def take(self, size: int) -> bytes:
        """`size` bytes, fewer at the end."""
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part

    def part(self) -> bytes:
        """Bytes behind their own length, u16."""
        return self.take(self.number(2))

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._data))

    def spoil(self, whole: bytes) -> bytes:
        """`whole` with up to three bytes changed."""
        changed = bytearray(whole)
        for _ in range(self.below(4)):
            at, by = self.number(2), self.below(256)
            if changed:
                changed[at % len(changed)] ^= by
        return bytes(changed)


def script(*parts: bytes | int) -> bytes:
    """The bytes that `Choices` reads as these: numbers below 256 as one byte, bytes behind their length."""
    return b"".join(
        bytes([part]) if isinstance(part, int) else len(part).to_bytes(2) + part for part in parts
    )
