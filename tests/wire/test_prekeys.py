"""wire.prekeys: one encoding per prekey, the kind under the signature, bundles in one order."""

import contextlib
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import ErrorCode, WireError
from wire.prekeys import KEY_SIZE, PREKEY_MAX, Prekey, PrekeyKind, decode_device_bundle, decode_prekey

DEVICE = b"D" * 32


def prekey(kind: PrekeyKind, id: int = 7) -> Prekey:
    return Prekey(kind, id, 1000, bytes([kind]) * KEY_SIZE[kind], b"S" * 64)


def refused(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        decode_prekey(data)
    assert caught.value.code is ErrorCode.BAD_PREKEY
    return str(caught.value)


@pytest.mark.parametrize("kind", PrekeyKind)
def test_every_kind_round_trips_in_its_documented_size(kind: PrekeyKind) -> None:
    encoded = prekey(kind).encode()
    assert len(encoded) == (1261 if "KEM" in kind.name else 109) <= PREKEY_MAX
    assert decode_prekey(encoded) == prekey(kind)


def test_the_layout_is_the_documented_one() -> None:
    expected = b"\x02" + b"\0\0\0\x07" + b"\0" * 6 + b"\x03\xe8" + b"\x02" * 32 + b"S" * 64
    assert prekey(PrekeyKind.SEALING).encode() == expected


def test_what_is_signed_names_kind_device_id_time_and_key() -> None:
    expected = b"blindpost/v1/prekey\0" + b"\x01" + DEVICE + b"\0\0\0\x07" + b"\0" * 6 + b"\x03\xe8"
    expected += b"\0\0\0\x20" + b"\x01" * 32
    assert prekey(PrekeyKind.SIGNED).signed_bytes(DEVICE) == expected


def test_every_truncation_and_trailing_byte_is_refused() -> None:
    for kind in (PrekeyKind.SIGNED, PrekeyKind.ONE_TIME_KEM):
        whole = prekey(kind).encode()
        for length in range(len(whole)):
            refused(whole[:length])
        assert "trailing" in refused(whole + b"\0")
        assert "trailing" in refused(whole + b"x" * 1_000_000)


@pytest.mark.parametrize("kind", [0, 6, 128, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    assert "kind" in refused(bytes([kind]) + prekey(PrekeyKind.SIGNED).encode()[1:])


def test_id_zero_is_refused() -> None:
    assert "zero" in refused(prekey(PrekeyKind.SIGNED, 0).encode())


def test_a_key_of_one_size_cannot_be_read_as_a_kind_of_another() -> None:
    short, long = prekey(PrekeyKind.SIGNED).encode(), prekey(PrekeyKind.ONE_TIME_KEM).encode()
    assert "truncated" in refused(bytes([PrekeyKind.LAST_RESORT_KEM]) + short[1:])
    assert "trailing" in refused(bytes([PrekeyKind.ONE_TIME]) + long[1:])


def test_bundles_of_three_or_four_in_order_round_trip() -> None:
    for kem in (PrekeyKind.ONE_TIME_KEM, PrekeyKind.LAST_RESORT_KEM):
        always = [prekey(PrekeyKind.SIGNED), prekey(PrekeyKind.SEALING), prekey(kem)]
        for some in (always, [*always, prekey(PrekeyKind.ONE_TIME)]):
            bundle = decode_device_bundle(DEVICE, [item.encode() for item in some])
            assert list(bundle.prekeys()) == some
            assert bundle.device_key == DEVICE
            assert (bundle.one_time is None) == (len(some) == 3)


def test_no_other_combination_of_kinds_is_a_bundle() -> None:
    accepted = []
    for length in range(6):
        for kinds in product(PrekeyKind, repeat=length):
            if length == 5 and kinds[:4] != (1, 2, 5, 3):
                continue  # five are refused by number; one family of them is enough
            try:
                decode_device_bundle(DEVICE, [prekey(kind).encode() for kind in kinds])
            except WireError as error:
                assert error.code is ErrorCode.BAD_PREKEY
            else:
                accepted.append(tuple(int(kind) for kind in kinds))
    assert accepted == [(1, 2, 4), (1, 2, 5), (1, 2, 4, 3), (1, 2, 5, 3)]


@given(st.binary(max_size=130) | st.tuples(st.sampled_from(range(7)), st.binary(max_size=1300)).map(
    lambda pair: bytes([pair[0]]) + pair[1]
))  # fmt: skip
def test_any_bytes_give_a_prekey_that_encodes_to_itself_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert decode_prekey(data).encode() == data


@given(
    st.lists(st.binary(max_size=120) | st.sampled_from([prekey(k).encode() for k in PrekeyKind]), max_size=5)
)
def test_any_list_gives_a_bundle_that_encodes_to_itself_or_a_wire_error(items: list[bytes]) -> None:
    with contextlib.suppress(WireError):
        assert [item.encode() for item in decode_device_bundle(DEVICE, items).prekeys()] == items
