"""keys.seal: exact buckets, a sender that is proved, and nothing that can be cut and pasted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import aead_decrypt, aead_encrypt, dh, dh_key, hkdf, pad
from keys.seal import INNER_MAX, OVERHEAD, InnerType, bucket_for, open_envelope, seal
from tests.keys.parties import ALICE, BOB, LOW_ORDER, MALLORY, NOW, Seeded, flipped
from wire.frames import check_envelope
from wire.limits import BUCKETS
from wire.prekeys import PrekeyKind

SEALING = BOB.private(PrekeyKind.SEALING)
S, PRIVATES, R = SEALING.public.key, [SEALING.private], BOB.device.key


def sealed(inner: bytes = b"inner", seed: str = "seal", device: Device = ALICE.device) -> bytes:
    return seal(device, R, S, InnerType.MESSAGE, inner, Seeded(seed))


def refused(envelope: bytes, privates: list[bytes] = PRIVATES, recipient: bytes = R) -> None:
    with pytest.raises(DecryptError):
        open_envelope(envelope, recipient, privates)


@pytest.mark.parametrize("type", InnerType)
def test_what_is_sealed_opens_with_its_sender_and_type(type: InnerType) -> None:
    opened = open_envelope(seal(ALICE.device, R, S, type, b"inner", Seeded("x")), R, PRIVATES)
    assert opened.device_key == ALICE.device.key
    assert opened.identity_key == ALICE.device.identity_key
    assert (opened.type, opened.inner) == (type, b"inner")


def test_envelopes_are_exactly_the_buckets() -> None:
    for smaller, bucket in zip((0, *BUCKETS), BUCKETS, strict=False):
        for size in {max(smaller - OVERHEAD + 1, 0), bucket - OVERHEAD}:
            envelope = sealed(b"x" * size)
            assert len(envelope) == bucket == bucket_for(size)
            check_envelope(envelope)
            assert open_envelope(envelope, R, PRIVATES).inner == b"x" * size


def test_what_fits_no_bucket_is_a_local_mistake() -> None:
    assert len(sealed(bytes(INNER_MAX))) == BUCKETS[-1]
    with pytest.raises(ValueError, match="too large"):
        sealed(bytes(INNER_MAX + 1))


def test_an_inner_of_nothing_or_that_ends_like_padding_opens_as_it_was() -> None:
    for inner in (b"", b"\x80", b"\0", b"\x80\0\0", b"x\x80" + bytes(50)):
        assert open_envelope(sealed(inner), R, PRIVATES).inner == inner


def test_the_right_one_of_several_sealing_keys_opens() -> None:
    others = [MALLORY.private(PrekeyKind.SEALING).private, b"o" * 32]
    for at in range(3):
        assert open_envelope(sealed(), R, [*others[:at], *PRIVATES, *others[at:]]).inner == b"inner"


def test_another_recipient_cannot_open() -> None:
    refused(sealed(), [MALLORY.private(PrekeyKind.SEALING).private])
    refused(sealed(), [ALICE.device.identity_private, ALICE.private(PrekeyKind.SEALING).private])
    refused(sealed(), [])


def test_no_byte_of_an_envelope_can_change() -> None:
    envelope = sealed(b"inner" * 50)
    for at in range(len(envelope)):
        refused(flipped(envelope, at, at % 8))
    # The highest bit of an X25519 key is ignored by X25519 itself, and covered here all the same.
    refused(flipped(envelope, 32, 7))


def test_every_other_size_is_refused() -> None:
    envelope = sealed()
    for size in (0, 1, 33, 113, 1023):
        refused(envelope[:size])
    for size in (1025, 2048, 65536, 131072):
        refused(envelope + bytes(size - len(envelope)))


def test_layers_of_two_envelopes_cannot_be_spliced() -> None:
    one, other = sealed(b"one", "one"), sealed(b"other", "other")
    mallorys = sealed(b"mallory", "mallory", MALLORY.device)
    for a, b in ((one, other), (one, mallorys), (mallorys, one)):
        refused(a[:33] + b[33:])
        refused(a[:113] + b[113:])
        refused(a[:33] + b[33:113] + a[113:])


def test_neither_sender_nor_recipient_is_visible() -> None:
    envelope = sealed(b"plain text")
    for known in (
        ALICE.device.key,
        ALICE.device.identity_key,
        ALICE.account.key,
        BOB.device.key,
        S,
        b"plain",
    ):
        assert known not in envelope


def test_two_envelopes_of_the_same_message_share_nothing() -> None:
    random = Seeded("two")
    one = seal(ALICE.device, R, S, InnerType.MESSAGE, b"same", random)
    other = seal(ALICE.device, R, S, InnerType.MESSAGE, b"same", random)
    assert sum(a == b for a, b in zip(one[1:], other[1:], strict=True)) < 30


def layer1(ephemeral_private: bytes, sender: bytes, version: bytes = b"\x01") -> tuple[bytes, bytes]:
    """Head and first layer, as anybody can make them, and the key k1."""
    ephemeral = dh_key(ephemeral_private)
    head = version + ephemeral
    out = hkdf(
        salt=bytes(32),
        ikm=dh(ephemeral_private, S),
        info=b"blindpost/v1/seal-e\0" + ephemeral + S + R,
        size=56,
    )
    return head + aead_encrypt(out[:32], out[32:], sender, head), out[:32]


def forged(sender: bytes, shared: bytes, version: bytes = b"\x01", size: int = 1024) -> bytes:
    """An envelope that names `sender`, with `shared` in the place of DH(sender's identity, S)."""
    front, k1 = layer1(b"e" * 32, sender, version)
    info = b"blindpost/v1/seal-s\0" + front[1:33] + S + R + front[33:]
    out = hkdf(salt=k1, ikm=k1 + shared, info=info, size=56)
    return front + aead_encrypt(out[:32], out[32:], pad(b"\x01forged", size - 113 - 16), front)


ALICE_SENDER = ALICE.device.key + ALICE.device.identity_key


def test_the_forger_of_the_next_test_is_able_to_seal() -> None:
    envelope = forged(ALICE_SENDER, dh(ALICE.device.identity_private, S))
    assert open_envelope(envelope, R, PRIVATES).inner == b"forged"


@pytest.mark.parametrize("version", [b"\x00", b"\x02", b"\xff"])
def test_what_was_sealed_as_another_version_is_not_read_as_this_one(version: bytes) -> None:
    refused(forged(ALICE_SENDER, dh(ALICE.device.identity_private, S), version))


@pytest.mark.parametrize("size", [200, 1023, 1025, 3072, 65_535, 65_537, 131_072])
def test_what_was_sealed_in_another_size_than_a_bucket_is_refused(size: int) -> None:
    refused(forged(ALICE_SENDER, dh(ALICE.device.identity_private, S), size=size))


def test_whoever_knows_only_public_keys_of_a_sender_cannot_seal_as_that_sender() -> None:
    # All that Mallory can compute: his own keys with everybody's public ones, and constants.
    mine = [MALLORY.device.identity_private, MALLORY.device.seed, b"e" * 32, MALLORY.account.seed]
    publics = [S, ALICE.device.identity_key, BOB.device.identity_key, dh_key(b"e" * 32)]
    shared = [dh(private, public) for private in mine for public in publics]
    for guess in [*shared, b"", bytes(32), S, ALICE.device.identity_key]:
        refused(forged(ALICE_SENDER, guess))


def test_a_device_key_without_its_identity_key_opens_as_what_it_is() -> None:
    # Mallory may write Alice's device key beside his own identity key: what opens shows his key, not hers.
    envelope = forged(ALICE.device.key + MALLORY.device.identity_key, dh(MALLORY.device.identity_private, S))
    opened = open_envelope(envelope, R, PRIVATES)
    assert opened.device_key == ALICE.device.key
    assert opened.identity_key != ALICE.entry.identity_key


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_low_order_keys_are_refused_in_every_place(point: bytes) -> None:
    refused(forged(ALICE.device.key + point, bytes(32)))
    refused(sealed()[:1] + point + sealed()[33:])
    with pytest.raises(DecryptError):
        seal(ALICE.device, R, point, InnerType.MESSAGE, b"inner", Seeded("low"))


def test_a_sealed_type_that_is_unknown_is_refused() -> None:
    front, k1 = layer1(b"e" * 32, ALICE_SENDER)
    info = b"blindpost/v1/seal-s\0" + front[1:33] + S + R + front[33:]
    out = hkdf(salt=k1, ikm=k1 + dh(ALICE.device.identity_private, S), info=info, size=56)
    for start in (b"\x00", b"\x03", b"\xff", b""):
        plain = pad(start, 1024 - 113 - 16)
        refused(front + aead_encrypt(out[:32], out[32:], plain, front))
    for plain in (bytes(1024 - 113 - 16), b"\x01" * (1024 - 113 - 16)):
        refused(front + aead_encrypt(out[:32], out[32:], plain, front))


def test_an_envelope_thrown_back_at_its_sender_does_not_open() -> None:
    refused(sealed(), [ALICE.private(PrekeyKind.SEALING).private])


def test_what_is_sealed_for_one_device_opens_for_no_other_that_holds_the_same_sealing_key() -> None:
    # Mallory publishes Bob's sealing key as its own, and passes on what it gets.
    for_mallory = seal(ALICE.device, MALLORY.device.key, S, InnerType.MESSAGE, b"inner", Seeded("seal"))
    assert open_envelope(for_mallory, MALLORY.device.key, PRIVATES).inner == b"inner"
    refused(for_mallory)
    refused(for_mallory, recipient=ALICE.device.key)


def test_a_recipient_could_have_made_the_envelope_itself() -> None:
    # Deniability: Bob needs no secret of Alice's to make what opens as hers, so it proves nothing to others.
    envelope = forged(ALICE_SENDER, dh(SEALING.private, ALICE.device.identity_key))
    opened = open_envelope(envelope, R, PRIVATES)
    assert (opened.device_key, opened.identity_key) == (ALICE.device.key, ALICE.device.identity_key)


def test_the_first_layer_opens_to_the_senders_two_keys() -> None:
    envelope = sealed(seed="layout")
    ephemeral = envelope[1:33]
    assert ephemeral == dh_key(Seeded("layout")(32))
    info = b"blindpost/v1/seal-e\0" + ephemeral + S + R
    out = hkdf(salt=bytes(32), ikm=dh(SEALING.private, ephemeral), info=info, size=56)
    assert aead_decrypt(out[:32], out[32:], envelope[33:113], envelope[:33]) == ALICE_SENDER


def test_another_device_of_the_sender_has_another_seal() -> None:
    other = replace(ALICE.device, identity_private=Device.generate(Seeded("other"), NOW).identity_private)
    assert open_envelope(sealed(device=other), R, PRIVATES).identity_key == other.identity_key


@given(st.binary(max_size=2000), st.sampled_from(BUCKETS[:2]))
def test_any_bytes_give_decrypt_error(data: bytes, size: int) -> None:
    refused(data)
    refused((b"\x01" + data + bytes(size))[:size])
    refused((sealed()[:113] + data + bytes(size))[:size])


@given(st.binary(max_size=1500))
def test_any_inner_comes_back(inner: bytes) -> None:
    assert open_envelope(sealed(inner), R, PRIVATES).inner == inner
