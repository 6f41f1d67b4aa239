"""The forms that a canary may be seen in.

Owns how a value is written in other words: characters of several bytes, hexadecimal, base64, escapes,
backwards. What needs no list of forms is found otherwise: one-byte XOR by the differences of neighbouring
bytes, compression by unpacking (`clients.audit.canaries.search`). Pure.
"""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

# Long enough that chance does not make it: 12 characters of 32 are 60 bits, 8 random bytes are 64.
WINDOW_OF_TEXT: Final = 12
WINDOW_OF_BYTES: Final = 8
# What a value is looked for by: its first characters or bytes. Who shows a value shows these.
HEAD: Final = 16

_UTF: Final = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


def _inner_base64(value: bytes, alphabet: Callable[[bytes], bytes], offset: int) -> bytes:
    """The characters that `value` alone decides, where `offset` bytes (0 to 2) stand before it (RFC 4648, 4).

    Three bytes are four characters; the first also depends on what stands before, the last on what follows.
    """
    whole = alphabet(bytes(offset) + value)
    first = (offset * 8 + 5) // 6
    last = (offset + len(value)) * 8 // 6
    return whole[first:last]


def _inner_base32(value: bytes, offset: int) -> bytes:
    """The same for five bytes as eight characters (RFC 4648, 6)."""
    whole = base64.b32encode(bytes(offset) + value)
    return whole[(offset * 8 + 4) // 5 : (offset + len(value)) * 8 // 5]


def _escaped(value: bytes, prefix: str, digits: str) -> bytes:
    return "".join(prefix + format(byte, digits) for byte in value).encode()


def _readings(value: bytes) -> Iterator[tuple[str, str]]:
    """The value as text: UTF-8, and the characters of the same numbers, as a careless program reads it."""
    with contextlib.suppress(UnicodeDecodeError):
        yield "", value.decode("utf-8")
    yield ", read as latin-1", value.decode("latin-1")


def _unicode_escaped(text: str, digits: str) -> bytes:
    units = text.encode("utf-16-be")
    numbers = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join("\\u" + format(number, digits) for number in numbers).encode()


def whole(value: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, form) of what shows a value of 8 bytes or more; a form may come twice."""
    yield "raw", value
    for reading, text in _readings(value):
        for name in _UTF:
            yield f"{name}{reading}", text.encode(name)
        yield f"utf-8{reading}", text.encode("utf-8")
        yield f"as JSON{reading}", json.dumps(text)[1:-1].encode()
        yield f"escaped for JSON{reading}", _unicode_escaped(text, "04x")
        yield f"escaped for JSON, capitals{reading}", _unicode_escaped(text, "04X")
    yield "hex", value.hex().encode()
    yield "hex, capitals", value.hex().upper().encode()
    for separator in " :-":
        yield f"hex with {separator!r}", value.hex(separator).encode()
        yield f"hex with {separator!r}, capitals", value.hex(separator).upper().encode()
    for offset in range(3):
        yield f"base64 at {offset}", _inner_base64(value, base64.b64encode, offset)
        yield f"base64url at {offset}", _inner_base64(value, base64.urlsafe_b64encode, offset)
    for offset in range(5):
        yield f"base32 at {offset}", _inner_base32(value, offset)
        yield f"base32 at {offset}, small", _inner_base32(value, offset).lower()
    yield "in a URL", quote(value).encode()
    yield "escaped for URLs", _escaped(value, "%", "02X")
    yield "escaped for URLs, small", _escaped(value, "%", "02x")
    yield "escaped as bytes", _escaped(value, "\\x", "02x")
    yield "as Python shows it", repr(value)[2:-1].encode()
    yield "as numbers", ", ".join(map(str, value)).encode()
    yield "as numbers with spaces", " ".join(map(str, value)).encode()
    yield "as numbers in hex", ", ".join(f"0x{byte:02x}" for byte in value).encode()
    yield "as numbers, tight", ",".join(map(str, value)).encode()


def forms(value: bytes, *, is_text: bool) -> dict[bytes, str]:
    """Each form and its name: whole, backwards, and pieces of what is split or cut.

    A piece is a window of the raw value; with windows at every other place, no split leaves less than one
    whole unless the pieces are shorter than a window and a byte.
    """
    found: dict[bytes, str] = {}
    head = value.decode()[:HEAD].encode() if is_text else value[:HEAD]
    for name, form in whole(head):
        found.setdefault(form, name)
        found.setdefault(form[::-1], f"{name}, backwards")
    if is_text:
        for name, changed in (("in capitals", head.upper()), ("in small letters", head.lower())):
            found.setdefault(changed, name)
    window = WINDOW_OF_TEXT if is_text else WINDOW_OF_BYTES
    for start in range(0, len(value) - window + 1, 2):
        found.setdefault(value[start : start + window], "a piece")
    return found


def differences(value: bytes) -> bytes:
    """What XOR with any one byte leaves as it is: each byte XORed with the next one; one byte less."""
    if len(value) < 2:
        return b""
    number = int.from_bytes(value[:-1]) ^ int.from_bytes(value[1:])
    return number.to_bytes(len(value) - 1)
