"""seal.json and conversation.json: envelopes by themselves, and from private keys to what was written."""

from typing import Any

import pytest

from keys import primitives
from keys.content import decode_content, decode_receipt
from keys.handshake import HEADER_SIZE, Party, accept, decode_header
from keys.identities import Device, verify_device_list
from keys.prekeys import KEM_KINDS, PrivatePrekey, verify_prekey
from keys.ratchet import Ratchet
from keys.seal import InnerType, bucket_for, open_envelope, seal
from tests.vectors import independent
from tests.vectors.reading import NOW, Drawn, cases, fails, load, unhex
from wire.binary import Reader
from wire.device_lists import LIST_MAX, decode_device_list
from wire.prekeys import PrekeyKind, decode_prekey

FILE, TALK = load("seal"), load("conversation")


@pytest.mark.parametrize("item", FILE["valid"], ids=["message", "opening", "2 KiB"])
def test_seals(item: dict[str, Any]) -> None:
    device_key, identity = unhex(FILE["sender_device_key"]), unhex(FILE["sender_identity_private"])
    private, inner = unhex(FILE["sealing_private"]), unhex(item["inner"])
    recipient = unhex(FILE["recipient_device_key"])
    opened = open_envelope(unhex(item["envelope"]), recipient, [private])
    assert (opened.device_key, opened.identity_key) == (device_key, primitives.dh_key(identity))
    assert (opened.type, opened.inner) == (item["type"], inner)
    sealing = independent.public(private)
    again = independent.envelope(
        device_key, identity, recipient, sealing, item["type"], inner, unhex(item["random"])
    )
    assert again.hex() == item["envelope"]


@pytest.mark.parametrize("item", cases(FILE["refused"]))
def test_seals_that_do_not_open(item: dict[str, str]) -> None:
    private, recipient = unhex(FILE["sealing_private"]), unhex(FILE["recipient_device_key"])
    fails(item, lambda: open_envelope(unhex(item["envelope"]), recipient, [private]))


def test_sizes() -> None:
    for item in FILE["sizes"]:
        assert bucket_for(item["inner"]) == item["envelope"]
    with pytest.raises(ValueError, match="too large"):
        bucket_for(FILE["sizes"][-1]["inner"] + 1)


class Person:
    """Somebody of conversation.json, with all private halves."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.device = Device(
            unhex(described["device_seed"]), unhex(described["identity_private"]), described["created"]
        )
        self.devices = decode_device_list(unhex(described["device_list"]))
        self.prekeys = {
            item["kind"]: PrivatePrekey(unhex(item["private"]), decode_prekey(unhex(item["encoded"])))
            for item in described["prekeys"]
        }
        account = primitives.signing_key(unhex(described["account_seed"]))
        verify_device_list(self.devices, account)
        assert self.devices.devices == (self.device.entry(account),)
        assert sorted(self.prekeys) == sorted(PrekeyKind)
        for kind, prekey in self.prekeys.items():
            verify_prekey(prekey.public, self.device.key)
            made = primitives.kem_key if kind in KEM_KINDS else primitives.dh_key
            assert (prekey.public.kind, prekey.public.key) == (kind, made(prekey.private))

    def private(self, kind: PrekeyKind) -> bytes:
        return self.prekeys[kind].private

    @property
    def party(self) -> Party:
        return Party(self.devices, self.devices.devices[0])


def people() -> dict[str, Person]:
    return {side: Person(TALK[side]) for side in ("initiator", "acceptor")}


def split_opening(inner: bytes) -> tuple[bytes, bytes, bytes]:
    """Device list, handshake header, ratchet message."""
    reader = Reader(inner, "opening")
    devices, header = reader.lp(LIST_MAX), reader.take(HEADER_SIZE)
    return devices, header, reader.rest()


def first_state(alice: Person, bob: Person) -> Ratchet:
    """The acceptor's, from the first opening."""
    devices, encoded, _ = split_opening(unhex(TALK["envelopes"][0]["inner"]))
    assert decode_device_list(devices) == alice.devices
    header = decode_header(encoded)
    named = (PrekeyKind.SIGNED, header.kem_kind, PrekeyKind.ONE_TIME)
    signed, kem, one_time = (bob.prekeys[kind] for kind in named)
    ids = header.signed_id, header.kem_id, header.one_time_id
    assert ids == (signed.public.id, kem.public.id, one_time.public.id)
    agreement = accept(bob.device, bob.party, alice.party, header, signed, kem, one_time)
    return Ratchet.accept(agreement.root_key, agreement.associated, signed.private)


def test_a_whole_conversation_is_read_with_private_keys_alone() -> None:
    both = people()
    alice, bob = both["initiator"], both["acceptor"]
    state, texts = first_state(alice, bob), []
    for item in TALK["envelopes"]:
        (reader,) = set(both) - {item["from"]}
        sender = both[item["from"]]
        own = both[reader]
        opened = open_envelope(unhex(item["envelope"]), own.device.key, [own.private(PrekeyKind.SEALING)])
        assert (opened.device_key, opened.identity_key) == (sender.device.key, sender.device.identity_key)
        assert (opened.type, opened.inner.hex()) == (item["type"], item["inner"])
        is_opening = opened.type is InnerType.OPENING
        message = split_opening(opened.inner)[2] if is_opening else opened.inner
        assert message.hex() == item["message"]
        content = decode_content(unhex(item["content"]))
        if reader == "acceptor":
            state, plain = state.decrypt(message, NOW)
            assert plain.hex() == item["content"]
            texts.append(content.body.decode())
        else:
            drawn = Drawn(item["random"])
            state, again = state.encrypt(unhex(item["content"]), drawn)
            assert again == message
            assert decode_receipt(content.body).ranges == ((1, 2),)
    assert texts == ["Hello Bob, grüß dich", "Are you there?", "Good."]
    assert [item["type"] for item in TALK["envelopes"]] == [2, 2, 1, 1]


def test_our_seal_makes_the_same_envelopes() -> None:
    both = people()
    for item in TALK["envelopes"]:
        (reader,) = set(both) - {item["from"]}
        sealing = both[reader].prekeys[PrekeyKind.SEALING].public.key
        ephemeral = Drawn(item["random"][-64:])
        sender = both[item["from"]].device
        type, inner = InnerType(item["type"]), unhex(item["inner"])
        envelope = seal(sender, both[reader].device.key, sealing, type, inner, ephemeral)
        assert envelope.hex() == item["envelope"]


def test_a_second_implementation_writes_the_same_conversation() -> None:
    both = people()
    alice, bob = both["initiator"], both["acceptor"]
    _, header, _ = split_opening(unhex(TALK["envelopes"][0]["inner"]))
    ephemeral = unhex(load("handshake")["ephemeral_private"])
    signed = bob.private(PrekeyKind.SIGNED)
    _, *secrets = independent.agreement(
        alice.devices.encode(),
        bob.devices.encode(),
        header,
        alice.device.identity_private,
        ephemeral,
        signed,
        bob.private(PrekeyKind.ONE_TIME_KEM),
        bob.private(PrekeyKind.ONE_TIME),
    )
    root, associated = secrets
    sides = {
        "initiator": independent.Side(root, associated, b"", independent.public(signed)),
        "acceptor": independent.Side(root, associated, signed, b""),
    }
    own_list = alice.devices.encode()
    opening = len(own_list).to_bytes(4, "big") + own_list + header
    for item in TALK["envelopes"]:
        (reader,) = set(sides) - {item["from"]}
        random = unhex(item["random"])
        message = sides[item["from"]].encrypt(unhex(item["content"]), random[:-32])
        assert sides[reader].decrypt(message).hex() == item["content"]
        sender = both[item["from"]].device
        envelope = independent.envelope(
            independent.signing_public(sender.seed),
            sender.identity_private,
            independent.signing_public(both[reader].device.seed),
            independent.public(both[reader].private(PrekeyKind.SEALING)),
            item["type"],
            opening + message if item["type"] == 2 else message,
            random[-32:],
        )
        assert envelope.hex() == item["envelope"]
