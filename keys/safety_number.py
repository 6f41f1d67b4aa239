"""Safety numbers: 60 digits that two people compare to know that nobody is between them.

Owns Signal's numeric fingerprint, version 2 (2017), over account keys: 5,200 rounds of SHA-512 a side,
30 digits a side, the smaller half first. Knows nothing of contacts.
"""

from hashlib import sha512
from typing import Final

from keys.primitives import sha512 as digest
from wire.limits import PUBLIC_KEY

ROUNDS: Final = 5200
VERSION: Final = b"\x00\x00"
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


def safety_number(one_account: bytes, other_account: bytes) -> str:
    """60 digits, equal on both sides. The identifier of an account is its key."""
    if len(one_account) != PUBLIC_KEY or len(other_account) != PUBLIC_KEY:
        raise ValueError("account keys are 32 bytes")
    halves = (digits(fingerprint(KEY_TYPE + key, key)) for key in (one_account, other_account))
    return "".join(sorted(halves))


def grouped(number: str) -> str:
    """The number as people read it: twelve groups of five digits, in three lines."""
    groups = [number[i : i + 5] for i in range(0, 60, 5)]
    return "\n".join(" ".join(groups[i : i + 4]) for i in range(0, 12, 4))
