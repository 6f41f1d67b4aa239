"""How likely honest random bytes are to fail one of the tests of `wire.randomness`: exact sums and bounds.

Owns the arithmetic. Knows the tests by their numbers alone, so that a number that is changed there counts
here at once.
"""

import math
from typing import Final

from wire.randomness import (
    BIAS,
    CONTINUATION,
    DISTINCT,
    LEAD_2,
    LEAD_3,
    LETTERS_2,
    LETTERS_3,
    PRINTABLE,
    PRINTABLE_RUN,
    SEPARATORS,
    WINDOW,
)

# Bits that are fixed in the shortest head of each kind of file, and how many of 256 values may stand in the
# bytes that are not: one line for each alternative of `wire.randomness.MAGIC`.
HEADS: Final = (
    256.0**-8,  # PNG
    2 * 256.0**-6,  # GIF
    2 * 2 * 256.0**-9,  # JPEG; two bytes of length are free
    256.0**-5,  # PDF
    256.0**-5,  # zip, a byte of the version needed is free
    2 * 3 * 256.0**-5,  # gzip: flags and level; its time is free
    64 * 256.0**-5,  # zstd: one byte of the header has two bits that must be zero
    256.0**-6,  # xz
    9 * 256.0**-10,  # bzip2
    256.0**-6,  # 7z
    2 * 2 * 256.0**-7,  # ELF
    256.0**-5,  # Ogg
    3 * 256.0**-8,  # RIFF
    256.0**-7,  # MP4
)


def few_values(draws: int, at_most: int) -> float:
    """That so many random bytes have no more different values than that."""
    chances = [1.0] + [0.0] * at_most  # of each number of values so far; whatever has more is left out
    for _ in range(draws):
        chances = [
            chances[seen] * seen / 256 + (chances[seen - 1] * (257 - seen) / 256 if seen else 0.0)
            for seen in range(at_most + 1)
        ]
    return math.fsum(chances)


def run(length: int, each: float, times: int) -> float:
    """That a pattern of chance `each` stands `times` in a row, at any of `length` places: at most."""
    return length * each**times


def biased() -> float:
    """That ones and zeros differ by more than the square root of BIAS times their number: at most."""
    return 2 * math.exp(-BIAS / 2)


def false_reject(size: int) -> dict[str, float]:
    """What an honest envelope of so many bytes is refused for, each with its chance, or more than that."""
    whole, rest = divmod(size - 1, WINDOW)
    left = 256 - len(SEPARATORS)
    lead_2, lead_3, continuation = (len(each) / left for each in (LEAD_2, LEAD_3, CONTINUATION))
    windows = whole * few_values(WINDOW, DISTINCT) + (few_values(rest, DISTINCT) if rest else 0.0)
    return {
        "frequency": biased(),
        "empty cells": windows,
        "printable run": run(size, len(PRINTABLE) / 256, PRINTABLE_RUN),
        "letters": run(size, lead_2 * continuation, LETTERS_2)
        + run(size, lead_3 * continuation**2, LETTERS_3),
        "head of a file": math.fsum(HEADS),
    }
