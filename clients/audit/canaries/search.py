"""The search for canaries in whatever was captured.

Owns all forms of all canaries as one automaton, what is unpacked on the way, and the count of bytes that were
looked through. Knows nothing of where data comes from.
"""

import contextlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import ahocorasick_rs
import zstandard

from clients.audit.canaries.encodings import differences, forms

CHUNK: Final = 4 * 1024 * 1024  # bytes that are looked through at a time
UNPACKED_MAX: Final = 1024 * 1024  # bytes of what one compressed stream holds
STEP: Final = 16  # bytes that are unpacked at a time: where a stream breaks, the last of them are lost
DEPTH: Final = 3  # streams within streams
SHORTEST: Final = 8  # bytes of a value: a shorter one would be found by chance
# RFC 1950, 2.2: method 8 with a window of 256 bytes to 32 KiB, no dictionary, and a check of both bytes.
_ZLIB: Final = tuple(
    bytes((method, flags))
    for method in range(0x08, 0x79, 0x10)
    for flags in range(256)
    if not flags & 0x20 and (method * 256 + flags) % 31 == 0
)
_GZIP: Final = b"\x1f\x8b\x08"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_MAGICS: Final = (*_ZLIB, _GZIP, _ZSTD)


@dataclass(frozen=True, slots=True)
class Canary:
    """A value that must be seen nowhere: a random text that a user typed, or a private key."""

    name: str
    value: bytes = field(repr=False)
    is_text: bool

    def __post_init__(self) -> None:
        if len(self.value) < SHORTEST:
            raise ValueError(f"a canary has {SHORTEST} bytes at least: {self.name}")


@dataclass(frozen=True, slots=True)
class Finding:
    """A canary was seen: in which form, where, and how many bytes from its beginning."""

    canary: str
    form: str
    source: str
    offset: int


def _unpacked(data: memoryview, magic: bytes) -> bytes:
    """What a compressed stream holds up to where it ends or breaks, as where a page of a database ends."""
    unpacker = (
        zstandard.ZstdDecompressor().decompressobj()
        if magic == _ZSTD
        else zlib.decompressobj(zlib.MAX_WBITS | 32)
    )
    found = bytearray()
    with contextlib.suppress(zlib.error, zstandard.ZstdError):
        for start in range(0, len(data), STEP):
            found += unpacker.decompress(data[start : start + STEP])
            if unpacker.eof or len(found) > UNPACKED_MAX:
                break
    return bytes(found)


class Search:
    """Every form of `canaries`. `scanned` counts bytes, what was unpacked included."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self.canaries = list(canaries)
        self.scanned = 0
        self.found: list[Finding] = []
        plain: dict[bytes, tuple[str, str]] = {}
        xored: dict[bytes, tuple[str, str]] = {}
        for canary in self.canaries:
            for form, name in forms(canary.value, is_text=canary.is_text).items():
                plain.setdefault(form, (canary.name, name))
                if len(form) >= SHORTEST:
                    xored.setdefault(differences(form), (canary.name, f"{name}, XOR with a byte"))
        self.encodings = len({name for _, name in (*plain.values(), *xored.values())})
        self._plain, self._plain_names = _automaton(plain)
        self._xored, self._xored_names = _automaton(xored)
        self._overlap = max(map(len, plain), default=1)
        self._magics = ahocorasick_rs.BytesAhoCorasick(_MAGICS)

    def look(self, source: str, data: bytes) -> list[Finding]:
        """Look through all of `data`; what is found is added to `found`, too."""
        found = list(dict.fromkeys(self._all(source, data, 0, DEPTH)))
        self.found += found
        return found

    def _all(self, source: str, data: bytes, base: int, depth: int) -> Iterator[Finding]:
        for start in range(0, max(len(data), 1), CHUNK):
            chunk = data[max(start - self._overlap, 0) : start + CHUNK]
            at = base + max(start - self._overlap, 0)
            self.scanned += min(CHUNK, len(data) - start)
            yield from _matches(self._plain, self._plain_names, source, chunk, at)
            yield from _matches(self._xored, self._xored_names, source, differences(chunk), at)
        if depth:
            view = memoryview(data)
            for magic, offset, _ in self._magics.find_matches_as_indexes(data, overlapping=True):
                inside = _unpacked(view[offset : offset + UNPACKED_MAX], _MAGICS[magic])
                if len(inside) >= SHORTEST:
                    yield from self._all(f"{source}, unpacked at {base + offset}", inside, 0, depth - 1)


def _automaton(
    patterns: dict[bytes, tuple[str, str]],
) -> tuple[ahocorasick_rs.BytesAhoCorasick, list[tuple[str, str]]]:
    return ahocorasick_rs.BytesAhoCorasick(list(patterns)), list(patterns.values())


def _matches(
    automaton: ahocorasick_rs.BytesAhoCorasick,
    names: list[tuple[str, str]],
    source: str,
    data: bytes,
    base: int,
) -> Iterator[Finding]:
    for index, start, _ in automaton.find_matches_as_indexes(data, overlapping=True):
        canary, form = names[index]
        yield Finding(canary, form, source, base + start)
