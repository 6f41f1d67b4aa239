"""handshake.json: agreements as our acceptor and a second implementation of the initiator compute them."""

from typing import Any

import pytest

from keys import primitives
from keys.handshake import Agreement, Party, accept, decode_header
from keys.identities import Device, verify_device_list
from keys.prekeys import PrivatePrekey
from tests.vectors import independent
from tests.vectors.reading import NOW, cases, fails, load, unhex
from wire.device_lists import decode_device_list
from wire.prekeys import Prekey, PrekeyKind

FILE = load("handshake")
OUTPUTS = ("transcript", "root_key", "associated")


def acceptance(header: str, item: dict[str, Any]) -> Agreement:
    """Our `accept`, from nothing but the file."""
    lists = [decode_device_list(unhex(FILE[side]["device_list"])) for side in ("initiator", "acceptor")]
    peer, own = (Party(devices, devices.devices[0]) for devices in lists)
    decoded = decode_header(unhex(header))

    def prekey(kind: PrekeyKind, id: int, private: bytes) -> PrivatePrekey:
        is_kem = kind in (PrekeyKind.LAST_RESORT_KEM, PrekeyKind.ONE_TIME_KEM)
        key = primitives.kem_key(private) if is_kem else primitives.dh_key(private)
        return PrivatePrekey(private, Prekey(kind, id, NOW, key, bytes(64)))

    one_time = item["one_time_private"]
    return accept(
        Device(bytes(32), unhex(FILE["acceptor"]["identity_private"]), NOW),
        own,
        peer,
        decoded,
        prekey(PrekeyKind.SIGNED, decoded.signed_id, unhex(item["signed_private"])),
        prekey(decoded.kem_kind, decoded.kem_id, unhex(item["kem_seed"])),
        prekey(PrekeyKind.ONE_TIME, decoded.one_time_id, unhex(one_time)) if one_time else None,
    )


def test_sides() -> None:
    for side in ("initiator", "acceptor"):
        devices = decode_device_list(unhex(FILE[side]["device_list"]))
        verify_device_list(devices, unhex(FILE[side]["account_key"]))
        identity = primitives.dh_key(unhex(FILE[side]["identity_private"]))
        assert [entry.identity_key for entry in devices.devices] == [identity]


@pytest.mark.parametrize("item", FILE["valid"], ids=lambda item: item["name"])
def test_agreements(item: dict[str, Any]) -> None:
    expected = tuple(unhex(item[field]) for field in OUTPUTS)
    ours = acceptance(item["header"], item)
    assert (ours.transcript, ours.root_key, ours.associated) == expected
    one_time = item["one_time_private"]
    assert expected == independent.agreement(
        unhex(FILE["initiator"]["device_list"]),
        unhex(FILE["acceptor"]["device_list"]),
        unhex(item["header"]),
        unhex(FILE["initiator"]["identity_private"]),
        unhex(FILE["ephemeral_private"]),
        unhex(item["signed_private"]),
        unhex(item["kem_seed"]),
        unhex(one_time) if one_time else None,
    )


@pytest.mark.parametrize("item", cases(FILE["malformed"]))
def test_headers_that_are_malformed(item: dict[str, str]) -> None:
    fails(item, lambda: decode_header(unhex(item["header"])))


@pytest.mark.parametrize("item", cases(FILE["not_accepted"]))
def test_headers_that_are_not_accepted(item: dict[str, str]) -> None:
    decode_header(unhex(item["header"]))
    fails(item, lambda: acceptance(item["header"], FILE["valid"][1]))


@pytest.mark.parametrize("item", cases(FILE["disagreeing"]))
def test_headers_that_give_another_agreement(item: dict[str, str]) -> None:
    assert item["failure"] == "disagreement"
    right = FILE["valid"][1]
    ours = acceptance(item["header"], right)
    for field in OUTPUTS:
        assert getattr(ours, field) != unhex(right[field])
