"""Whether an envelope looks as if nobody had encrypted it.

Owns the tests; keeps nothing and knows no connection. They find what is broken, not malice: whoever wants to
can make anything look random. A relay refuses by them where its operator says so (`relay.firewall`), and an
audit judges by them what a client sends.

An envelope is a version byte and uniformly random bytes, but for the top bit of its X25519 key, which is 0
(docs/protocol.md, 11). Each test asks for what such bytes do not show, and all of them together refuse less
than one honest envelope in 10^9, whatever its size; `bench.chance` adds the figures below up.

- Frequency (NIST SP 800-22, 2.1): among n random bits the ones and zeros differ by more than sqrt(46 n)
  with a probability of 2 exp(-23) = 2e-10 at most (Hoeffding, 1963).
- Empty cells (Feller, An Introduction to Probability Theory I, IV.2): 256 random bytes have 162 different
  values, give or take 5, and 126 or fewer with a probability of 5e-13. Text in any encoding, pixels and
  machine code have fewer, and a byte that all are XORed with changes nothing. Each 256 bytes are judged
  alone.
- Longest run (NIST SP 800-22, 2.4, of bytes of a class in place of ones): 36 of ASCII's printable bytes in
  a row, which short texts have too; or as many letters of UTF-8 as one word or two have: 10 of two bytes or
  7 of three, whatever blanks and full stops stand between. 1e-10 at most each, in 64 KiB.
- The head of a file, where an envelope's first free byte is: compressed files show little else. 2e-10.
"""

import re
from typing import Final

BIAS: Final = 46  # squared difference of ones and zeros, in bits of the envelope
WINDOW: Final = 256  # bytes
DISTINCT: Final = 126  # values in a window, or fewer
PRINTABLE_RUN: Final = 36
LETTERS_2: Final = 10
LETTERS_3: Final = 7

PRINTABLE: Final = frozenset((*range(0x20, 0x7F), *b"\t\n\r"))
SEPARATORS: Final = b" \t\n\r.,;:!?-\"'()"
LEAD_2, LEAD_3, CONTINUATION = range(0xC2, 0xE0), range(0xE0, 0xF0), range(0x80, 0xC0)  # RFC 3629, section 4
# Of PNG, GIF, JPEG, PDF, zip, gzip, zstd, xz, bzip2, 7z, ELF, Ogg, RIFF (WAVE, WebP, AVI) and MP4.
MAGIC: Final = re.compile(
    rb"\x89PNG\r\n\x1a\n|GIF8[79]a|\xff\xd8\xff[\xe0\xe1]..(?:JFIF|Exif)\0|%PDF-|PK\x03\x04.\0"
    rb"|\x1f\x8b\x08[\x00\x08]....[\x00\x02\x04]|\x28\xb5\x2f\xfd[\x00-\x07\x20-\x27\x40-\x47\x60-\x67"
    rb"\x80-\x87\xa0-\xa7\xc0-\xc7\xe0-\xe7]|\xfd7zXZ\0|BZh[1-9]1AY&SY|7z\xbc\xaf\x27\x1c"
    rb"|\x7fELF[\x01\x02][\x01\x02]\x01|OggS\0|RIFF....(?:WAVE|WEBP|AVI )|\0\0\0.ftyp",
    re.DOTALL,
)

_EVERY: Final = bytes(range(256))
_PRINTED: Final = bytes(byte in PRINTABLE for byte in range(256))
_RUN: Final = b"\x01" * PRINTABLE_RUN
_LETTERED: Final = bytes(
    2 if byte in LEAD_2 else 3 if byte in LEAD_3 else byte in CONTINUATION for byte in range(256)
)
_RUN_2, _RUN_3 = b"\x02\x01" * LETTERS_2, b"\x03\x01\x01" * LETTERS_3


def is_biased(envelope: bytes) -> bool:
    """Whether ones and zeros are too far apart, behind the version byte, which has a single one."""
    bits = 8 * len(envelope) - 8
    return bool((2 * (int.from_bytes(envelope).bit_count() - 1) - bits) ** 2 > BIAS * bits)


def repeats_itself(envelope: bytes) -> bool:
    """Whether any 256 bytes have too few different values, counted from the first free byte on."""
    for at in range(1, len(envelope), WINDOW):
        # What is left of all values when those that occur are taken away.
        if len(_EVERY.translate(None, envelope[at : at + WINDOW])) >= 256 - DISTINCT:
            return True
    return False


def has_text(envelope: bytes) -> bool:
    """Whether so many bytes or letters of a text stand in a row."""
    if _RUN in envelope.translate(_PRINTED):
        return True
    letters = envelope.translate(_LETTERED, SEPARATORS)
    return _RUN_2 in letters or _RUN_3 in letters


def is_file(envelope: bytes) -> bool:
    """Whether it begins like a file behind the version byte."""
    return MAGIC.match(envelope, 1) is not None


def looks_like_plaintext(envelope: bytes) -> bool:
    """Whether any of the tests says so of a whole envelope."""
    return is_file(envelope) or is_biased(envelope) or has_text(envelope) or repeats_itself(envelope)
