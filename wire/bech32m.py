"""Bech32m, the checksummed text form of an address (BIP-350).

Owns the encoding only. It detects any error in up to four characters; case may be all lower or all
upper, never mixed.
"""

from typing import Final

ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_CONSTANT: Final = 0x2BC830A3  # BIP-350
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)  # BIP-173


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def encode(prefix: str, version: int, data: bytes) -> str:
    """`prefix` || "1" || version (5 bits) || data in 5-bit groups, zero padded || 6 checksum characters."""
    number = int.from_bytes(data, "big")
    groups = -(-len(data) * 8 // 5)
    number <<= groups * 5 - len(data) * 8
    values = [version] + [number >> 5 * (groups - 1 - i) & 31 for i in range(groups)]
    checksum = _polymod(_expand(prefix) + values + [0] * 6) ^ CHECKSUM_CONSTANT
    values += [checksum >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(ALPHABET[v] for v in values)


def decode(prefix: str, text: str, size: int) -> tuple[int, bytes]:
    """(version, `size` bytes of data). Raises ValueError with a reason for people."""
    if not text.isascii():
        raise ValueError("contains a character that cannot occur")
    if text.lower() != text and text.upper() != text:
        raise ValueError("mixes upper and lower case")
    text = text.lower()
    groups = -(-size * 8 // 5)
    if not text.startswith(prefix + "1"):
        raise ValueError(f"does not begin with {prefix}1")
    body = text[len(prefix) + 1 :]
    if len(body) != 1 + groups + 6:
        raise ValueError("has the wrong length")
    if any(c not in ALPHABET for c in body):
        raise ValueError("contains a character that cannot occur")
    values = [ALPHABET.index(c) for c in body]
    if _polymod(_expand(prefix) + values) != CHECKSUM_CONSTANT:
        raise ValueError("has a typing error (the checksum does not fit)")
    number = 0
    for value in values[1 : 1 + groups]:
        number = number << 5 | value
    spare = groups * 5 - size * 8
    if number & ((1 << spare) - 1):
        raise ValueError("is not in canonical form")
    return values[0], (number >> spare).to_bytes(size, "big")
