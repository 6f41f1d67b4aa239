"""What nobody has encrypted is told from what somebody has, by each test at its very threshold."""

import random
from typing import Final

import pytest

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
    WINDOW,
    has_text,
    is_biased,
    is_file,
    looks_like_plaintext,
    repeats_itself,
)


def test_the_figures_are_those_of_the_theory_and_of_ascii_and_unicode() -> None:
    assert (BIAS, WINDOW, DISTINCT, PRINTABLE_RUN, LETTERS_2, LETTERS_3) == (46, 256, 126, 36, 10, 7)
    assert {chr(byte) for byte in PRINTABLE} == {
        c for c in map(chr, range(128)) if c.isprintable() or c in "\t\n\r"
    }
    two = {chr(code).encode() for code in range(0x80, 0x800)}
    three = {chr(code).encode() for code in (*range(0x800, 0xD800), *range(0xE000, 0x10000))}
    assert {letter[0] for letter in two} == set(LEAD_2)
    assert {letter[0] for letter in three} == set(LEAD_3)
    assert {byte for letter in two | three for byte in letter[1:]} == set(CONTINUATION)


def test_the_first_free_byte_is_of_the_first_window() -> None:
    few = bytes([255]) + bytes(range(DISTINCT)) + bytes(WINDOW - DISTINCT - 1)
    even = bytes(range(256))
    assert not repeats_itself(b"\x01" + few + even[1:])


NO_TEXT: Final = bytes(range(0x80, 0xC0))  # ends of letters, and no letter


def of(*parts: bytes, size: int = 1024) -> bytes:
    """An envelope with these parts from its first free byte on, and nothing behind them that is text."""
    return (b"\x01" + b"".join(parts) + NO_TEXT * (size // len(NO_TEXT)))[:size]


def test_what_all_bytes_stand_in_evenly_passes() -> None:
    assert not looks_like_plaintext(b"\x01" + random.Random(2).randbytes(1023))
    even = b"\x01" + (bytes(range(255, -1, -1)) * 4)[:1023]
    assert not is_biased(even)
    assert not repeats_itself(even)


@pytest.mark.parametrize("sign", [1, -1])
def test_too_many_ones_or_zeros(sign: int) -> None:
    bits = 8 * 1023
    most = int((BIAS * bits) ** 0.5)  # of the difference; with as many bits it is even
    for difference, is_refused in ((most // 2 * 2, False), (most // 2 * 2 + 2, True)):
        ones = (bits + sign * difference) // 2
        envelope = b"\x01" + ((1 << ones) - 1).to_bytes(1023)
        assert is_biased(envelope) is is_refused


def test_too_few_values_in_any_256_bytes() -> None:
    values = bytes(range(DISTINCT + 1)) * 3
    even = bytes(range(256))
    for place in range(3):
        enough, few = [even] * 3, [even] * 3
        enough[place], few[place] = values[:WINDOW], values[:DISTINCT] + bytes(WINDOW - DISTINCT)
        assert not repeats_itself(b"\x01" + b"".join(enough) + even[1:])
        assert repeats_itself(b"\x01" + b"".join(few) + even[1:])


@pytest.mark.parametrize(
    ("piece", "most"),
    [(b"a", PRINTABLE_RUN - 1), ("я".encode(), LETTERS_2 - 1), ("信".encode(), LETTERS_3 - 1)],
)
@pytest.mark.parametrize("at", [0, 400, 1023])
def test_too_long_a_run_of_text_wherever_it_is(piece: bytes, most: int, at: int) -> None:
    around = NO_TEXT * 16
    for count, is_refused in ((most, False), (most + 1, True)):
        run = piece * count
        before = min(at, 1023 - len(run))
        assert has_text((b"\x01" + around[:before] + run + around)[:1024]) is is_refused


def test_blanks_and_full_stops_do_not_end_a_run_of_letters() -> None:
    words = ("Да", "это", "мы", "и", "никто", "другой")
    assert has_text(of(", ".join(words).encode()))
    assert not has_text(of("0".join(words).encode()))


def test_each_of_the_tests_is_enough() -> None:
    tests = (is_file, is_biased, has_text, repeats_itself)
    noise = random.Random(3).randbytes(65_535)
    each = (
        b"BZh91AY&SY" + noise[10:],
        bytes(byte | (index % 8 == 0) for index, byte in enumerate(noise)),
        noise[:500] + b"a" * PRINTABLE_RUN + noise[500 + PRINTABLE_RUN :],
        noise[:WINDOW] + noise[:100] * 2 + noise[: WINDOW - 200] + noise[2 * WINDOW :],
    )
    assert not looks_like_plaintext(b"\x01" + noise)
    for number, payload in enumerate(each):
        envelope = b"\x01" + payload
        assert len(envelope) == 65_536
        assert [test(envelope) for test in tests] == [at == number for at in range(4)]
        assert looks_like_plaintext(envelope)


def test_a_file_where_an_envelope_begins_and_nowhere_else() -> None:
    heads = (
        b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\xff\xd8\xff\xe1\0\x20Exif\0",
        b"%PDF-", b"PK\x03\x04\x14\0", b"\x1f\x8b\x08\0abcd\x02", b"\x28\xb5\x2f\xfd\xa4", b"\xfd7zXZ\0",
        b"BZh91AY&SY", b"7z\xbc\xaf\x27\x1c", b"\x7fELF\x02\x01\x01", b"OggS\0", b"RIFFabcdWAVE",
        b"\0\0\0\x18ftyp",
    )  # fmt: skip
    for head in heads:
        assert is_file(of(head))
        assert not is_file(of(b"\x01", head))
        assert not is_file(of(head[:-1], bytes((head[-1] ^ 0x18,))))
