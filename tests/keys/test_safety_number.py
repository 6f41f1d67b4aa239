"""keys.safety_number: Signal's numeric fingerprint, equal on both sides and on no other pair."""

import base64
import hashlib

import pytest

from keys.safety_number import (
    KEY_TYPE,
    SCANNABLE,
    digits,
    fingerprint,
    grouped,
    matches,
    safety_number,
    scannable,
)
from tests.keys.parties import ALICE, BOB, flipped

ONE, OTHER = ALICE.account.key, BOB.account.key


def plain(key: bytes, identifier: bytes) -> str:
    """The published algorithm, written out once more without looking at ours."""
    digest = b"\0\0" + key + identifier
    for _ in range(5200):
        digest = hashlib.sha512(digest + key).digest()
    out = ""
    for chunk in range(6):
        number = 0
        for byte in digest[5 * chunk : 5 * chunk + 5]:
            number = number * 256 + byte
        out += str(number % 100000).rjust(5, "0")
    return out


def test_the_published_vector_of_libsignal_comes_out() -> None:
    # NumericFingerprintGeneratorTest, version 1 text, 5200 iterations.
    alice = bytes.fromhex("0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868")
    bob = bytes.fromhex("05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b")
    halves = [digits(fingerprint(alice, b"+14152222222")), digits(fingerprint(bob, b"+14153333333"))]
    assert "".join(sorted(halves)) == "300354477692869396892869876765458257569162576843440918079131"


def test_it_is_what_an_independent_implementation_gives() -> None:
    assert safety_number(ONE, OTHER) == "".join(
        sorted((plain(KEY_TYPE + ONE, ONE), plain(KEY_TYPE + OTHER, OTHER)))
    )


def test_both_sides_see_the_same_sixty_digits() -> None:
    number = safety_number(ONE, OTHER)
    assert number == safety_number(OTHER, ONE)
    assert len(number) == 60
    assert number.isdecimal()
    assert number.isascii()


@pytest.mark.parametrize("at", [0, 7, 31])
def test_it_differs_when_any_part_of_either_key_does(at: int) -> None:
    number = safety_number(ONE, OTHER)
    for pair in ((flipped(ONE, at, 7), OTHER), (ONE, flipped(OTHER, at))):
        changed = safety_number(*pair)
        # Exactly one half changes, and the other can be recognised in both.
        assert len({changed[:30], changed[30:]} & {number[:30], number[30:]}) == 1


def test_only_whole_keys_have_a_number() -> None:
    for pair in ((ONE[:31], OTHER), (ONE, OTHER + b"\0"), (b"", b"")):
        with pytest.raises(ValueError, match="32 bytes"):
            safety_number(*pair)


def test_it_is_read_in_three_lines_of_four_groups() -> None:
    number = "".join(f"{n:05d}" for n in range(12))
    assert grouped(number) == ("00000 00001 00002 00003\n00004 00005 00006 00007\n00008 00009 00010 00011")


def test_what_is_scanned_is_half_of_either_fingerprint_ones_own_first() -> None:
    text = scannable(ONE, OTHER)
    assert text.startswith("blindpost-verify:1:")
    halves = base64.urlsafe_b64decode(text.removeprefix(SCANNABLE) + "==")
    assert halves == fingerprint(KEY_TYPE + ONE, ONE)[:32] + fingerprint(KEY_TYPE + OTHER, OTHER)[:32]
    with pytest.raises(ValueError, match="32 bytes"):
        scannable(ONE[:31], OTHER)


def test_what_the_other_side_shows_matches_in_every_spelling() -> None:
    number = safety_number(ONE, OTHER)
    for text in (number, grouped(number), " ".join(number), f"\n{number[:7]}\t{number[7:]}\r\n"):
        assert matches(ONE, OTHER, text)
        assert matches(OTHER, ONE, text)
    assert matches(ONE, OTHER, scannable(OTHER, ONE))
    assert matches(OTHER, ONE, f" {scannable(ONE, OTHER)}\n")


def test_ones_own_code_or_that_of_another_pair_does_not_match() -> None:
    third = flipped(OTHER, 5)
    number = safety_number(ONE, OTHER)
    for text in (scannable(ONE, OTHER), scannable(OTHER, third), scannable(third, ONE), SCANNABLE,
                 scannable(OTHER, ONE)[:-1], scannable(OTHER, ONE) + "A", safety_number(ONE, third),
                 safety_number(OTHER, third), "0" * 60, number[30:] + "0" * 30):  # fmt: skip
        assert not matches(ONE, OTHER, text)


@pytest.mark.parametrize("at", [0, 29, 59])
def test_one_wrong_digit_does_not_match(at: int) -> None:
    number = safety_number(ONE, OTHER)
    wrong = str((int(number[at]) + 1) % 10)
    assert not matches(ONE, OTHER, number[:at] + wrong + number[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1" * 59,
        "1" * 61,
        "\u0661" * 60,
        "x" * 60,
        "blindpost-verify:2:abc",
        "\ud800",
        SCANNABLE + "\udcff",
    ],
)
def test_what_is_neither_says_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        matches(ONE, OTHER, text)
