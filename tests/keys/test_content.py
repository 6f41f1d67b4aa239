"""keys.content: one encoding, unknown things kept, everything else refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.content import (
    CONTENT_HEADER,
    RANGES_MAX,
    Content,
    Extension,
    Kind,
    ReadMark,
    Receipt,
    decode_content,
    decode_receipt,
    decode_typing,
    list_extension,
    read_list_extension,
)
from keys.errors import DecryptError
from wire.limits import TEXT_MAX

ID, STREAM = b"i" * 16, b"s" * 16
TEXT = Content(Kind.TEXT, ID, STREAM, 7, 1_800_000_000_123, b"hello", ((1, b"one"), (5, b""), (200, b"new")))


def refused(data: bytes) -> None:
    with pytest.raises(DecryptError):
        decode_content(data)


def test_the_layout_is_the_documented_one() -> None:
    expected = b"\x01" + ID + STREAM + (7).to_bytes(8, "big") + (1_800_000_000_123).to_bytes(8, "big")
    expected += b"\0\x05hello" + b"\x01\0\x03one" + b"\x05\0\0" + b"\xc8\0\x03new"
    assert TEXT.encode() == expected
    assert CONTENT_HEADER == 51


def test_a_content_round_trips() -> None:
    assert decode_content(TEXT.encode()) == TEXT


@pytest.mark.parametrize("kind", range(256))
def test_every_kind_known_or_not_is_kept(kind: int) -> None:
    assert decode_content(replace(TEXT, kind=kind).encode()).kind == kind


def test_every_extension_known_or_not_is_kept() -> None:
    extensions = tuple((type, bytes([type])) for type in range(256))
    content = decode_content(replace(TEXT, extensions=extensions).encode())
    assert content.extensions == extensions
    assert content.extension(Extension.TOKEN) == b"\x02"
    assert replace(TEXT, extensions=()).extension(Extension.TOKEN) is None


def test_extensions_are_written_in_order() -> None:
    shuffled = replace(TEXT, extensions=TEXT.extensions[::-1])
    assert shuffled.encode() == TEXT.encode()


def test_an_extension_that_would_be_written_twice_is_a_local_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        replace(TEXT, extensions=((1, b"one"), (2, b""), (1, b"one"))).encode()


def test_extensions_out_of_order_or_twice_are_refused() -> None:
    head = replace(TEXT, extensions=()).encode()
    refused(head + b"\x01\0\0" + b"\x03\0\0" + b"\x02\0\0")
    refused(head + b"\x02\0\0" + b"\x01\0\0")
    refused(head + b"\x01\0\0" + b"\x01\0\0")
    refused(head + b"\x01\0\1a" + b"\x01\0\1b")


def test_every_truncation_is_refused_or_ends_at_an_extension() -> None:
    whole = TEXT.encode()
    ends = {CONTENT_HEADER + 5, CONTENT_HEADER + 5 + 6, CONTENT_HEADER + 5 + 9}
    for length in range(len(whole)):
        if length in ends:
            assert decode_content(whole[:length]).encode() == whole[:length]
        else:
            refused(whole[:length])
    refused(whole + b"\0")


def test_a_body_is_at_most_65000_bytes() -> None:
    longest = replace(TEXT, body=b"x" * TEXT_MAX, extensions=())
    assert decode_content(longest.encode()) == longest
    with pytest.raises(ValueError, match="65,000"):
        replace(longest, body=b"x" * (TEXT_MAX + 1)).encode()
    whole = longest.encode()
    refused(whole[:49] + (TEXT_MAX + 1).to_bytes(2, "big") + whole[51:] + b"x")


@pytest.mark.parametrize(("sequence", "sent", "holds"), [
    (0, 0, False), (1, 0, True), (2**63 - 1, 2**63 - 1, True), (2**63, 0, False), (1, 2**63, False),
    (2**64 - 1, 0, False),
])  # fmt: skip
def test_numbers_stay_in_the_range_of_a_signed_integer(sequence: int, sent: int, holds: bool) -> None:
    content = replace(TEXT, sequence=sequence, sent_ms=sent)
    if holds:
        assert decode_content(content.encode()) == content
    else:
        refused(content.encode())


@given(st.binary(max_size=150))
def test_any_bytes_give_a_content_that_encodes_to_itself_or_decrypt_error(data: bytes) -> None:
    for whole in (data, TEXT.encode()[:49] + data, TEXT.encode()[:56] + data):
        try:
            content = decode_content(whole)
        except DecryptError:
            continue
        assert content.encode() == whole


def test_nothing_that_was_written_is_in_the_repr() -> None:
    shown = repr(replace(TEXT, body=b"CANARY", extensions=((2, b"CANARY"),), stream_id=b"CANARYCANARYCANA"))
    assert "CANARY" not in shown


def test_a_stream_is_in_no_repr() -> None:
    for value in (TEXT, Receipt(b"CANARYCANARYCANA", ((1, 2),)), ReadMark(b"CANARYCANARYCANA", 3)):
        assert "CANARY" not in repr(value)


def test_typing_is_one_or_zero_and_nothing_else() -> None:
    assert decode_typing(b"\x01") is True
    assert decode_typing(b"\x00") is False
    for body in (b"", b"\x02", b"\xff", b"\x01\x01", b"\x00\x00", b"\x01\x00"):
        with pytest.raises(DecryptError):
            decode_typing(body)


RECEIPT = Receipt(STREAM, ((1, 5), (7, 7), (9, 2**63 - 1)))


def test_a_receipt_round_trips_in_its_documented_layout() -> None:
    numbers = (1, 5, 7, 7, 9, 2**63 - 1)
    assert RECEIPT.encode() == STREAM + b"\x03" + b"".join(n.to_bytes(8, "big") for n in numbers)
    assert decode_receipt(RECEIPT.encode()) == RECEIPT


def test_a_receipt_has_1_to_64_ranges() -> None:
    most = Receipt(STREAM, tuple((3 * n + 1, 3 * n + 2) for n in range(RANGES_MAX)))
    assert decode_receipt(most.encode()) == most
    for ranges in ((), (*most.ranges, (1000, 1000))):
        with pytest.raises(ValueError, match="64"):
            Receipt(STREAM, ranges).encode()
    for count in (0, RANGES_MAX + 1, 255):
        body = b"".join((2 * n + 1).to_bytes(8, "big") * 2 for n in range(count))
        with pytest.raises(DecryptError):
            decode_receipt(STREAM + bytes([count]) + body)


@pytest.mark.parametrize(
    "ranges",
    [
        ((0, 1),),
        ((2, 1),),
        ((5, 6), (1, 2)),
        ((1, 5), (4, 8)),
        ((1, 2**63),),
        ((2**63, 2**63),),
        ((1, 2**64 - 1),),
    ],
)
def test_ranges_that_do_not_ascend_or_leave_the_range_are_refused(
    ranges: tuple[tuple[int, int], ...],
) -> None:
    with pytest.raises(DecryptError):
        decode_receipt(Receipt(STREAM, ranges).encode())


def test_every_truncated_or_longer_receipt_is_refused() -> None:
    whole = RECEIPT.encode()
    for broken in [*(whole[:length] for length in range(len(whole))), whole + b"\0"]:
        with pytest.raises(DecryptError):
            decode_receipt(broken)


@given(st.binary(max_size=100))
def test_any_bytes_give_a_receipt_that_encodes_to_itself_or_decrypt_error(data: bytes) -> None:
    for whole in (data, STREAM + b"\x01" + data):
        try:
            receipt = decode_receipt(whole)
        except DecryptError:
            continue
        assert receipt.encode() == whole


def test_the_list_extension_round_trips_and_has_one_size() -> None:
    type, value = list_extension(2**64 - 1, b"h" * 32)
    assert type == Extension.DEVICE_LIST
    assert read_list_extension(value) == (2**64 - 1, b"h" * 32)
    for broken in (b"", value[:-1], value + b"\0"):
        with pytest.raises(DecryptError):
            read_list_extension(broken)
