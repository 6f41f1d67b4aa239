"""Safety numbers: 60 digits that two people compare to know that nobody is between them.

Owns Signal's numeric fingerprint, version 2 (2017), over account keys: 5,200 rounds of SHA-512 a side,
30 digits a side, the smaller half first. Knows nothing of contacts.
"""

import base64
from hashlib import sha512
from typing import Final

from keys.primitives import equal
from keys.primitives import sha512 as digest
from wire.limits import PUBLIC_KEY

ROUNDS: Final = 5200
VERSION: Final = b"\x00\x00"
SCANNABLE: Final = "blindpost-verify:1:"
_HALF: Final = 32  # bytes of a fingerprint that are scanned
KEY_TYPE: Final = b"\x01"  # Ed25519 account key; Signal's 0x05 names Curve25519


def fingerprint(key: bytes, identifier: bytes) -> bytes:
    """64 bytes: h = SHA-512(version || key || identifier || key), then h = SHA-512(h || key)."""
    value = digest(VERSION + key + identifier + key)
    for _ in range(ROUNDS - 1):
        value = sha512(value + key).digest()
    return value


def digits(value: bytes) -> str:
    """30 digits: six 40-bit big-endian numbers, each modulo 100,000."""
    parts = (int.from_bytes(value[i : i + 5], "big") % 100_000 for i in range(0, 30, 5))
    return "".join(f"{part:05d}" for part in parts)


def _of_account(key: bytes) -> bytes:
    """The fingerprint of an account, whose identifier is its key."""
    if len(key) != PUBLIC_KEY:
        raise ValueError("account keys are 32 bytes")
    return fingerprint(KEY_TYPE + key, key)


def safety_number(one_account: bytes, other_account: bytes) -> str:
    """60 digits, equal on both sides."""
    return "".join(sorted(digits(_of_account(key)) for key in (one_account, other_account)))


def scannable(own: bytes, other: bytes) -> str:
    """What the other side scans: `blindpost-verify:1:` and, in base64url, 32 bytes of either fingerprint.

    Unlike the digits it says whose is whose, so that nobody takes their own code for the other's.
    """
    halves = _of_account(own)[:_HALF] + _of_account(other)[:_HALF]
    return SCANNABLE + base64.urlsafe_b64encode(halves).decode("ascii").rstrip("=")


def matches(own: bytes, other: bytes, text: str) -> bool:
    """Whether `text`, which comes from the other side, says that both sides know the same two accounts.

    60 digits with any spacing, or the scannable text of the other side. Raises ValueError for anything else,
    which says nothing about anybody.
    """
    given = "".join(text.split())
    if given.isascii() and given.startswith(SCANNABLE):
        return equal(given.encode(), scannable(other, own).encode())
    if len(given) != 60 or not (given.isascii() and given.isdecimal()):
        raise ValueError("neither 60 digits nor a scanned code")
    return equal(given.encode(), safety_number(own, other).encode())


def grouped(number: str) -> str:
    """The number as people read it: twelve groups of five digits, in three lines."""
    groups = [number[i : i + 5] for i in range(0, 60, 5)]
    return "\n".join(" ".join(groups[i : i + 4]) for i in range(0, 12, 4))
