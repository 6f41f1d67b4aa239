"""wire.device_lists: one encoding per list, strict order, bounded."""

import contextlib
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.device_lists import ENTRY_SIZE, LIST_MAX, NO_PREVIOUS, DeviceEntry, DeviceList, decode_device_list
from wire.errors import ErrorCode, WireError
from wire.limits import DEVICES_PER_ACCOUNT


def entry(number: int) -> DeviceEntry:
    return DeviceEntry(
        bytes([number]) * 32, bytes([100 + number]) * 32, 1000 + number, bytes([200 + number]) * 64
    )


def device_list(count: int = 2, version: int = 1, previous: bytes = NO_PREVIOUS) -> DeviceList:
    return DeviceList(
        b"A" * 32, version, previous, 5, tuple(entry(i) for i in range(1, count + 1)), b"S" * 64
    )


def refused(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        decode_device_list(data)
    assert caught.value.code is ErrorCode.REGISTRATION_REFUSED
    return str(caught.value)


@pytest.mark.parametrize("count", range(1, DEVICES_PER_ACCOUNT + 1))
def test_every_number_of_devices_round_trips(count: int) -> None:
    whole = device_list(count)
    assert len(whole.encode()) == 82 + count * ENTRY_SIZE + 64
    assert decode_device_list(whole.encode()) == whole


def test_the_layout_is_the_documented_one() -> None:
    expected = b"\x01" + b"A" * 32 + b"\0" * 7 + b"\x02" + b"P" * 32 + b"\0" * 7 + b"\x05" + b"\x01"
    expected += b"\x01" * 32 + b"e" * 32 + (1001).to_bytes(8, "big") + b"\xc9" * 64 + b"S" * 64
    assert device_list(1, 2, b"P" * 32).encode() == expected


def test_what_is_signed_and_hashed_is_labelled_and_leaves_the_signature_out() -> None:
    whole = device_list()
    assert whole.signed_bytes() == b"blindpost/v1/device-list\0" + whole.encode()[:-64]
    assert whole.hash() == sha256(b"blindpost/v1/device-list-hash\0" + whole.encode()[:-64]).digest()
    assert replace(whole, signature=b"T" * 64).hash() == whole.hash()
    fields = entry(1).encode()[:72]
    assert entry(1).signed_bytes(b"A" * 32) == b"blindpost/v1/device\0" + b"A" * 32 + fields


def test_a_list_whose_hash_was_asked_for_is_still_the_same_list() -> None:
    asked, other = device_list(), device_list()
    assert asked.hash() == other.hash() == asked.hash()
    assert asked == device_list()
    assert decode_device_list(asked.encode()) == asked
    assert replace(asked, version=2, previous=b"P" * 32).hash() != asked.hash()


def test_a_change_of_any_byte_of_the_body_changes_the_hash() -> None:
    whole = device_list()
    hashes = {whole.hash()}
    changes: list[DeviceList] = [
        replace(whole, account_key=b"B" * 32),
        replace(whole, version=2),
        replace(whole, previous=b"P" * 32),
        replace(whole, created=6),
        replace(whole, devices=whole.devices[:1]),
        *(
            replace(whole, devices=(changed, whole.devices[1]))
            for changed in (
                replace(whole.devices[0], device_key=b"\0" * 32),
                replace(whole.devices[0], identity_key=b"\0" * 32),
                replace(whole.devices[0], created=9),
                replace(whole.devices[0], signature=b"\0" * 64),
            )
        ),
    ]
    for change in changes:
        hashes.add(change.hash())
    assert len(hashes) == 1 + len(changes)


def test_every_truncation_and_trailing_byte_is_refused() -> None:
    whole = device_list().encode()
    for length in range(len(whole)):
        refused(whole[:length])
    assert "trailing" in refused(whole + b"\0")


def test_what_is_larger_than_any_list_is_refused() -> None:
    whole = device_list(DEVICES_PER_ACCOUNT).encode()
    assert len(whole) == LIST_MAX
    assert "trailing" in refused(whole + b"x" * 1_000_000)


@pytest.mark.parametrize("form", [0, 2, 255])
def test_another_format_is_refused(form: int) -> None:
    assert "format" in refused(bytes([form]) + device_list().encode()[1:])


@pytest.mark.parametrize("count", [0, 9, 255])
def test_no_device_and_more_than_eight_are_refused(count: int) -> None:
    whole = device_list(8).encode()
    body = (
        whole[:81] + bytes([count]) + b"".join(entry(i % 50 + 1).encode() for i in range(count)) + b"S" * 64
    )
    assert "number of devices" in refused(body)


@pytest.mark.parametrize(
    ("version", "previous"), [(0, NO_PREVIOUS), (0, b"P" * 32), (1, b"P" * 32), (2, NO_PREVIOUS)]
)
def test_only_version_one_has_no_predecessor(version: int, previous: bytes) -> None:
    assert "previous" in refused(device_list(1, version, previous).encode())


def test_a_version_that_fits_no_signed_integer_is_refused() -> None:
    assert (
        decode_device_list(device_list(version=2**63 - 1, previous=b"P" * 32).encode()).version == 2**63 - 1
    )
    for version in (2**63, 2**64 - 1):
        assert "limit" in refused(device_list(version=version, previous=b"P" * 32).encode())


def test_devices_out_of_order_or_repeated_are_refused() -> None:
    whole = device_list(3)
    one, two, three = whole.devices
    for devices in ((two, one, three), (one, three, two), (one, one, two), (one, two, two)):
        assert "order" in refused(replace(whole, devices=devices).encode())


def test_a_device_is_found_by_its_key_only() -> None:
    whole = device_list(3)
    assert whole.entry(b"\x02" * 32) == entry(2)
    for missing in (b"\x00" * 32, b"\x01" * 31 + b"\x02", b"\x09" * 32, b""):
        assert whole.entry(missing) is None


def test_signatures_are_in_no_repr() -> None:
    assert "SSSS" not in repr(device_list())
    assert "signature" not in repr(entry(1))


@given(st.binary(max_size=600))
def test_any_bytes_give_a_list_that_encodes_to_itself_or_a_wire_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert decode_device_list(data).encode() == data


@given(st.integers(0, 82 + 2 * ENTRY_SIZE + 63), st.binary(min_size=1, max_size=4))
def test_a_list_with_some_bytes_overwritten_encodes_to_itself_or_is_refused(at: int, junk: bytes) -> None:
    whole = device_list().encode()
    data = (whole[:at] + junk + whole[at + len(junk) :])[: len(whole)]
    with contextlib.suppress(WireError):
        assert decode_device_list(data).encode() == data
