"""wire.frames: what is accepted is one exact layout, and everything else is refused with its code."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import frames, limits
from wire.errors import ErrorCode, WireError
from wire.frames import Deliver, Put, check_envelope, decode_deliver, decode_put

FRAME_ID, MAILBOX = bytes(range(16)), bytes(range(100, 132))


def envelope(size: int) -> bytes:
    return b"\x01" + bytes(i % 251 for i in range(size - 1))


def put(size: int = 1024) -> bytes:
    return Put(FRAME_ID, MAILBOX, envelope(size)).encode()


def deliver(size: int = 1024, sequence: int = 7, flags: int = 0) -> bytes:
    return Deliver(FRAME_ID, MAILBOX, sequence, flags, envelope(size)).encode()


def test_put_has_the_documented_offsets() -> None:
    assert put() == b"\x01\x01" + FRAME_ID + MAILBOX + envelope(1024)
    assert len(put()) == frames.PUT_HEADER + 1024 == 50 + 1024


def test_deliver_has_the_documented_offsets() -> None:
    expected = b"\x02\x01" + FRAME_ID + MAILBOX + bytes.fromhex("0000000000000102") + b"\x01" + envelope(1024)
    assert deliver(sequence=0x102, flags=1) == expected
    assert len(deliver()) == frames.DELIVER_HEADER + 1024 == 59 + 1024


@pytest.mark.parametrize("size", limits.BUCKETS)
def test_every_bucket_round_trips(size: int) -> None:
    assert decode_put(put(size)) == Put(FRAME_ID, MAILBOX, envelope(size))
    assert decode_deliver(deliver(size)) == Deliver(FRAME_ID, MAILBOX, 7, 0, envelope(size))


@pytest.mark.parametrize("sequence", [1, 2**32, 2**63 - 1])
@pytest.mark.parametrize("flags", [0, frames.FLAG_REQUEST])
def test_extreme_sequences_and_the_request_flag_round_trip(sequence: int, flags: int) -> None:
    frame = decode_deliver(deliver(sequence=sequence, flags=flags))
    assert (frame.sequence, frame.flags) == (sequence, flags)


@pytest.mark.parametrize("bucket", limits.BUCKETS)
@pytest.mark.parametrize("off", [-1, 1])
def test_the_neighbours_of_every_bucket_are_refused(bucket: int, off: int) -> None:
    data = envelope(bucket + off)
    with pytest.raises(WireError) as caught:
        check_envelope(data)
    assert caught.value.code is ErrorCode.BAD_ENVELOPE
    for decode, frame in ((decode_put, put(bucket + off)), (decode_deliver, deliver(bucket + off))):
        with pytest.raises(WireError) as caught:
            decode(frame)
        too_large = len(frame) > frames.FRAME_MAX
        assert caught.value.code is (ErrorCode.TOO_LARGE if too_large else ErrorCode.BAD_ENVELOPE)


def test_multiples_of_a_kibibyte_that_are_no_power_of_two_are_refused() -> None:
    for size in (512, 3 * 1024, 5 * 1024, 48 * 1024):
        with pytest.raises(WireError) as caught:
            check_envelope(envelope(size))
        assert caught.value.code is ErrorCode.BAD_ENVELOPE


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_envelope_of_another_version_is_refused(version: int) -> None:
    data = bytes([version]) + bytes(1023)
    with pytest.raises(WireError) as caught:
        check_envelope(data)
    assert caught.value.code is ErrorCode.BAD_ENVELOPE


@pytest.mark.parametrize("version", [0, 2, 255])
def test_a_frame_around_an_envelope_of_another_version_is_refused(version: int) -> None:
    for decode, whole, header in ((decode_put, put(), 50), (decode_deliver, deliver(), 59)):
        with pytest.raises(WireError) as caught:
            decode(whole[:header] + bytes([version]) + whole[header + 1 :])
        assert caught.value.code is ErrorCode.BAD_ENVELOPE


def test_every_truncation_is_refused() -> None:
    for decode, whole, header in ((decode_put, put(), 50), (decode_deliver, deliver(), 59)):
        for length in range(len(whole)):
            with pytest.raises(WireError) as caught:
                decode(whole[:length])
            expected = ErrorCode.BAD_FRAME if length < header else ErrorCode.BAD_ENVELOPE
            assert caught.value.code is expected


def test_trailing_bytes_are_refused() -> None:
    for decode, whole in ((decode_put, put()), (decode_deliver, deliver())):
        with pytest.raises(WireError) as caught:
            decode(whole + b"\0")
        assert caught.value.code is ErrorCode.BAD_ENVELOPE


def test_more_than_the_largest_frame_is_too_large_before_anything_is_read() -> None:
    for decode in (decode_put, decode_deliver):
        with pytest.raises(WireError) as caught:
            decode(b"\xff" * (frames.FRAME_MAX + 1))
        assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_frame_of_the_other_type_is_refused() -> None:
    for decode, whole in ((decode_put, deliver()), (decode_deliver, put()), (decode_put, b"\0" + put()[1:])):
        with pytest.raises(WireError) as caught:
            decode(whole)
        assert caught.value.code is ErrorCode.BAD_FRAME


@pytest.mark.parametrize("version", [0, 2, 255])
def test_a_frame_of_another_version_is_named_so(version: int) -> None:
    for decode, whole in ((decode_put, put()), (decode_deliver, deliver())):
        with pytest.raises(WireError) as caught:
            decode(whole[:1] + bytes([version]) + whole[2:])
        assert caught.value.code is ErrorCode.UNSUPPORTED_VERSION


@pytest.mark.parametrize("flags", [2, 3, 4, 128, 255])
def test_unknown_flags_are_refused(flags: int) -> None:
    with pytest.raises(WireError, match="unknown flag") as caught:
        decode_deliver(deliver(flags=flags))
    assert caught.value.code is ErrorCode.BAD_FRAME


def test_sequence_zero_is_refused() -> None:
    with pytest.raises(WireError, match="sequence") as caught:
        decode_deliver(deliver(sequence=0))
    assert caught.value.code is ErrorCode.BAD_FRAME


def test_the_envelope_is_in_no_repr() -> None:
    for frame in (Put(FRAME_ID, MAILBOX, b"\x01CANARY"), Deliver(FRAME_ID, MAILBOX, 1, 0, b"\x01CANARY")):
        assert "CANARY" not in repr(frame)


heads = st.sampled_from([b"", b"\x01\x01", b"\x02\x01", put()[:50], deliver()[:59], put(), deliver()])


@given(heads, st.binary(max_size=1100))
def test_any_bytes_give_a_frame_that_encodes_to_itself_or_a_wire_error(head: bytes, tail: bytes) -> None:
    data = head + tail
    with contextlib.suppress(WireError):
        assert decode_put(data).encode() == data
    with contextlib.suppress(WireError):
        assert decode_deliver(data).encode() == data


@given(st.binary(min_size=1, max_size=40))
def test_an_error_never_quotes_the_frame(junk: bytes) -> None:
    for decode in (decode_put, decode_deliver):
        with pytest.raises(WireError) as caught:
            decode(b"\x01\x01" + b"CANARY" + junk)
        assert "CANARY" not in str(caught.value)
        assert re.fullmatch(r"[a-zA-Z0-9 :*^.]+", str(caught.value))


@pytest.mark.parametrize("sequence", [0, 2**63, 2**64 - 1])
def test_a_sequence_that_no_database_could_hold_is_refused(sequence: int) -> None:
    with pytest.raises(WireError) as refused:
        decode_deliver(deliver(sequence=sequence, flags=0))
    assert refused.value.code is ErrorCode.BAD_FRAME
