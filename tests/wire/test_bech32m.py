"""wire.bech32m: BIP-350's checksum, one text per value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.bech32m import ALPHABET, decode, encode

KEY = bytes(range(32))
TEXT = encode("bp", 0, KEY)


def test_the_valid_vectors_of_bip_350_hold() -> None:
    # 32 groups 31..0: version 31, then 19 bytes with their 3 spare bits zero.
    text = "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx"
    version, data = decode("abcdef", text, 19)
    assert version == 31
    assert encode("abcdef", version, data) == text


def test_a_vector_whose_spare_bits_are_set_passes_the_checksum_and_fails_as_not_canonical() -> None:
    text = "split1checkupstagehandshakeupstreamerranterredcaperredlc445v"
    with pytest.raises(ValueError, match="not in canonical form"):
        decode("split", text, 29)
    with pytest.raises(ValueError, match="typing error"):
        decode("split", text[:-1] + "q", 29)


@pytest.mark.parametrize(
    ("prefix", "text", "size"),
    [
        # Bech32 of BIP-173: right letters, the other constant.
        ("abcdef", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", 19),
        ("split", "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", 29),
        # From BIP-350's list of invalid strings.
        ("y", "y1b0jsk6g", 0),
        ("lt1", "lt1igcx5c0", 0),
        ("in", "in1muywd", 0),
        ("mm", "mm1crxm3i", 0),
        ("au", "au1s5cgom", 0),
        ("M", "M1VUXWEZ", 0),
    ],
)
def test_the_invalid_vectors_of_bip_350_are_refused(prefix: str, text: str, size: int) -> None:
    with pytest.raises(ValueError, match=r"typing error|wrong length|cannot occur|begin with"):
        decode(prefix, text, size)


def test_every_single_character_substitution_is_caught() -> None:
    for at in range(len("bp1"), len(TEXT)):
        for letter in ALPHABET:
            if letter != TEXT[at]:
                with pytest.raises(ValueError, match="typing error"):
                    decode("bp", TEXT[:at] + letter + TEXT[at + 1 :], 32)


def test_every_swap_of_neighbours_is_caught() -> None:
    for at in range(3, len(TEXT) - 1):
        swapped = TEXT[:at] + TEXT[at + 1] + TEXT[at] + TEXT[at + 2 :]
        if swapped != TEXT:
            with pytest.raises(ValueError, match="typing error"):
                decode("bp", swapped, 32)


@given(st.binary(min_size=32, max_size=32), st.data())
def test_up_to_four_wrong_characters_are_caught(key: bytes, data: st.DataObject) -> None:
    text = encode("bp", 0, key)
    places = data.draw(st.lists(st.integers(3, len(text) - 1), min_size=1, max_size=4, unique=True))
    letters = list(text)
    for at in places:
        letters[at] = data.draw(st.sampled_from([c for c in ALPHABET if c != text[at]]))
    with pytest.raises(ValueError, match="typing error"):
        decode("bp", "".join(letters), 32)


def test_all_upper_case_is_the_same_and_mixed_case_is_refused() -> None:
    assert decode("bp", TEXT.upper(), 32) == (0, KEY)
    for mixed in (TEXT[:20] + TEXT[20:].upper(), "BP" + TEXT[2:], TEXT[:2] + TEXT[2:].upper()):
        with pytest.raises(ValueError, match="mixes upper and lower case"):
            decode("bp", mixed, 32)


@pytest.mark.parametrize(
    "text", ["", "bp", "bp1", TEXT[:-1], TEXT + "q", "q" + TEXT, TEXT[1:], "bq" + TEXT[2:]]
)
def test_other_lengths_and_prefixes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"wrong length|begin with"):
        decode("bp", text, 32)


@pytest.mark.parametrize("letter", ["b", "i", "o", "1", " ", "\0", "é", "@"])
def test_letters_outside_the_alphabet_are_refused(letter: str) -> None:
    with pytest.raises(ValueError, match="cannot occur"):
        decode("bp", TEXT[:10] + letter + TEXT[11:], 32)


@given(st.integers(0, 31), st.binary(min_size=1, max_size=40))
def test_every_value_round_trips(version: int, data: bytes) -> None:
    assert decode("bp", encode("bp", version, data), len(data)) == (version, data)
