"""wire.binary: big-endian fields, bounded reads, nothing left over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.binary import Reader, label, lp, u8, u16, u32, u64
from wire.errors import ErrorCode, WireError


def test_integers_are_big_endian_and_of_fixed_size() -> None:
    assert u8(0x12) + u16(0x1234) + u32(0x12345678) == bytes.fromhex("12123412345678")
    assert u64(0x0102030405060708) == bytes(range(1, 9))


@pytest.mark.parametrize(("encode", "size"), [(u8, 1), (u16, 2), (u32, 4), (u64, 8)])
def test_an_integer_that_does_not_fit_is_a_local_mistake(encode: object, size: int) -> None:
    assert callable(encode)
    assert encode(2 ** (8 * size) - 1) == b"\xff" * size
    for value in (2 ** (8 * size), -1):
        with pytest.raises(OverflowError):
            encode(value)


def test_a_label_names_product_version_and_purpose_and_ends_in_zero() -> None:
    assert label("login") == b"blindpost/v1/login\0"


def test_no_label_is_the_beginning_of_another() -> None:
    purposes = (
        "device",
        "device-list",
        "device-list-hash",
        "login",
        "login-ack",
        "hello",
        "pqxdh",
        "pqxdh-t",
    )
    labels = [label(purpose) for purpose in purposes]
    assert not [(a, b) for a in labels for b in labels if a is not b and b.startswith(a)]


def test_a_reader_takes_fields_in_order() -> None:
    reader = Reader(u8(1) + u16(2) + u32(3) + u64(4) + lp(b"abc") + b"rest", "thing")
    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.lp(3)) == (1, 2, 3, 4, b"abc")
    assert reader.remaining == 4
    assert reader.rest() == b"rest"
    reader.end()


def test_a_reader_refuses_what_is_left_over() -> None:
    reader = Reader(b"ab", "thing", ErrorCode.BAD_PREKEY)
    reader.u8()
    with pytest.raises(WireError, match="thing: trailing bytes") as caught:
        reader.end()
    assert caught.value.code is ErrorCode.BAD_PREKEY


def test_a_reader_refuses_to_read_past_the_end_and_stays_where_it_was() -> None:
    reader = Reader(b"abc", "thing")
    with pytest.raises(WireError, match="thing: truncated"):
        reader.u32()
    assert reader.take(3) == b"abc"


@pytest.mark.parametrize("claimed", [4, 5, 2**32 - 1])
def test_a_length_over_the_limit_is_refused_whatever_follows(claimed: int) -> None:
    with pytest.raises(WireError, match="over its limit"):
        Reader(u32(claimed) + b"abcd", "thing").lp(3)


def test_a_length_prefix_longer_than_the_data_is_refused() -> None:
    with pytest.raises(WireError, match="truncated"):
        Reader(u32(5) + b"abcd", "thing").lp(100)


@given(st.binary(max_size=64))
def test_a_length_prefixed_field_round_trips(value: bytes) -> None:
    reader = Reader(lp(value), "thing")
    assert reader.lp(64) == value
    reader.end()


@given(st.binary(max_size=20), st.lists(st.integers(0, 9), max_size=8))
def test_no_read_gives_fewer_bytes_than_asked(data: bytes, sizes: list[int]) -> None:
    reader, taken = Reader(data, "thing"), b""
    for size in sizes:
        if size > reader.remaining:
            with pytest.raises(WireError):
                reader.take(size)
        else:
            taken += reader.take(size)
            assert len(taken) + reader.remaining == len(data)
    assert taken + reader.rest() == data
