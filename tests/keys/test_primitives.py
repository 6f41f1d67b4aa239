"""keys.primitives: published vectors, and one opaque error for whatever a peer can send."""

import hashlib
import json
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import primitives
from keys.errors import DecryptError
from tests.keys.parties import LOW_ORDER, flipped

KEM_VECTORS = json.loads((Path(__file__).parents[1] / "vectors/mlkem768.json").read_text())["vectors"]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


@pytest.mark.parametrize(
    ("ikm", "salt", "info", "okm"),
    [
        ("0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
        (bytes(range(0x50)).hex(), bytes(range(0x60, 0xB0)).hex(), bytes(range(0xB0, 0x100)).hex(),
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da327"
         "5600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"),
        ("0b" * 22, "", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ],
)  # fmt: skip
def test_hkdf_gives_the_vectors_of_rfc_5869(ikm: str, salt: str, info: str, okm: str) -> None:
    out = primitives.hkdf(salt=unhex(salt), ikm=unhex(ikm), info=unhex(info), size=len(okm) // 2)
    assert out.hex() == okm


def test_hkdf_gives_up_to_255_blocks_and_no_more() -> None:
    long = primitives.hkdf(salt=b"s", ikm=b"i", info=b"", size=255 * 32)
    assert len(long) == 255 * 32
    assert long[:33] == primitives.hkdf(salt=b"s", ikm=b"i", info=b"", size=33)
    assert primitives.hkdf(salt=b"s", ikm=b"i", info=b"", size=1) == long[:1]
    for size in (0, -1, 255 * 32 + 1):
        with pytest.raises(ValueError, match="size"):
            primitives.hkdf(salt=b"s", ikm=b"i", info=b"", size=size)


@pytest.mark.parametrize(
    ("scalar", "u", "out"),
    [
        ("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
        ("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"),
    ],
)  # fmt: skip
def test_dh_gives_the_vectors_of_rfc_7748(scalar: str, u: str, out: str) -> None:
    assert primitives.dh(unhex(scalar), unhex(u)).hex() == out


def test_dh_iterated_gives_the_values_of_rfc_7748_after_1_and_1000_rounds() -> None:
    k = u = b"\x09" + bytes(31)
    for round in range(1000):
        k, u = primitives.dh(k, u), k
        if round == 0:
            assert k.hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_both_sides_of_rfc_7748_section_6_1_agree() -> None:
    alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert (
        primitives.dh_key(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    )
    assert primitives.dh(alice, primitives.dh_key(bob)) == primitives.dh(bob, primitives.dh_key(alice))


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_every_low_order_point_is_refused_with_and_without_its_ignored_bit(point: bytes) -> None:
    for form in (point, flipped(point, 31, 7)):
        with pytest.raises(DecryptError):
            primitives.dh(b"\x42" * 32, form)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_a_dh_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecryptError):
        primitives.dh(b"\x42" * 32, b"\x09" * size)


@pytest.mark.parametrize(
    ("seed", "key", "message", "signature"),
    [
        ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f05"
         "95bbe24655141438e7a100b"),
        ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb"
         "4302aeeb00d291612bb0c00"),
        ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e97"
         "16ed28dc027beceea1ec40a"),
    ],
)  # fmt: skip
def test_signatures_are_those_of_rfc_8032(seed: str, key: str, message: str, signature: str) -> None:
    assert primitives.signing_key(unhex(seed)).hex() == key
    assert primitives.sign(unhex(seed), unhex(message)).hex() == signature
    assert primitives.verify(unhex(key), unhex(message), unhex(signature))


def test_a_signature_holds_for_its_key_message_and_bytes_only() -> None:
    seed = bytes(range(32))
    key, signature = primitives.signing_key(seed), primitives.sign(seed, b"message")
    assert primitives.verify(key, b"message", signature)
    assert not primitives.verify(key, b"messagf", signature)
    assert not primitives.verify(primitives.signing_key(bytes(32)), b"message", signature)
    for at in range(64):
        assert not primitives.verify(key, b"message", flipped(signature, at))
    for at in range(32):
        assert not primitives.verify(flipped(key, at), b"message", signature)


def test_no_byte_can_move_between_signature_and_message() -> None:
    seed = bytes(range(32))
    key, signature = primitives.signing_key(seed), primitives.sign(seed, b"message")
    assert not primitives.verify(key, b"essage", signature + b"m")
    assert not primitives.verify(key, signature[63:] + b"message", signature[:63])
    assert not primitives.verify(key, b"message", b"")
    assert not primitives.verify(b"", b"message", signature)


def test_a_key_of_another_size_verifies_nothing_though_its_first_32_bytes_would() -> None:
    # PyNaCl passes it on as it is, and a Python string of 31 bytes has a zero byte behind it.
    seeds = (number.to_bytes(32, "big") for number in range(10_000))
    seed = next(seed for seed in seeds if primitives.signing_key(seed)[31] == 0)
    key, signature = primitives.signing_key(seed), primitives.sign(seed, b"message")
    assert primitives.verify(key, b"message", signature)
    for other in (key[:31], key + b"\0", key + bytes(32)):
        assert not primitives.verify(other, b"message", signature)


def test_a_signature_with_s_not_reduced_is_refused() -> None:
    seed, order = bytes(range(32)), 2**252 + 27742317777372353535851937790883648493
    key, signature = primitives.signing_key(seed), primitives.sign(seed, b"message")
    s = int.from_bytes(signature[32:], "little") + order
    assert not primitives.verify(key, b"message", signature[:32] + s.to_bytes(32, "little"))


def test_keys_of_small_order_sign_nothing() -> None:
    # The identity point, with R = identity and S = 0, satisfies the bare equation for every message.
    identity = b"\x01" + bytes(31)
    assert not primitives.verify(identity, b"anything", identity + bytes(32))


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=80))
def test_verify_never_raises(key: bytes, message: bytes, signature: bytes) -> None:
    assert primitives.verify(key, message, signature) is False


AEAD = {
    "key": bytes(range(0x80, 0xA0)),
    "nonce": bytes(range(0x40, 0x58)),
    "associated": unhex("50515253c0c1c2c3c4c5c6c7"),
}
AEAD_PLAINTEXT = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you "
    b"only one tip for the future, sunscreen would be it."
)
AEAD_CIPHERTEXT = unhex(
    "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c2"
    "16cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c6"
    "8b13b52ec0875924c1c7987947deafd8780acf49"
)


def test_aead_gives_the_vector_of_the_xchacha_draft() -> None:
    assert primitives.aead_encrypt(plaintext=AEAD_PLAINTEXT, **AEAD) == AEAD_CIPHERTEXT
    assert primitives.aead_decrypt(ciphertext=AEAD_CIPHERTEXT, **AEAD) == AEAD_PLAINTEXT


def test_aead_refuses_every_changed_byte_and_every_truncation() -> None:
    for at in range(len(AEAD_CIPHERTEXT)):
        for broken in (flipped(AEAD_CIPHERTEXT, at), AEAD_CIPHERTEXT[:at]):
            with pytest.raises(DecryptError):
                primitives.aead_decrypt(ciphertext=broken, **AEAD)
    for name, value in AEAD.items():
        for at in range(len(value)):
            with pytest.raises(DecryptError):
                primitives.aead_decrypt(ciphertext=AEAD_CIPHERTEXT, **{**AEAD, name: flipped(value, at)})


@given(st.binary(max_size=64), st.binary(max_size=20))
def test_only_decrypt_error_escapes_from_aead(ciphertext: bytes, associated: bytes) -> None:
    with pytest.raises(DecryptError):
        primitives.aead_decrypt(bytes(32), bytes(24), ciphertext, associated)


@given(st.binary(max_size=40))
def test_only_decrypt_error_escapes_from_dh(public: bytes) -> None:
    try:
        assert len(primitives.dh(b"\x42" * 32, public)) == 32
    except DecryptError:
        assert len(public) != 32 or public[:31] + bytes([public[31] & 127]) in LOW_ORDER


@pytest.mark.parametrize("vector", KEM_VECTORS)
def test_mlkem_gives_what_an_independent_implementation_gave(vector: dict[str, str]) -> None:
    seed, ciphertext = unhex(vector["seed"]), unhex(vector["ciphertext"])
    assert primitives.kem_key(seed).hex() == vector["public"]
    assert primitives.kem_decapsulate(seed, ciphertext).hex() == vector["shared"]
    assert primitives.kem_decapsulate(seed, flipped(ciphertext, 0)).hex() == vector["forged_shared"]


def test_what_is_encapsulated_is_decapsulated() -> None:
    seed = bytes(range(64))
    shared, ciphertext = primitives.kem_encapsulate(primitives.kem_key(seed))
    assert (len(shared), len(ciphertext)) == (32, 1088)
    assert primitives.kem_decapsulate(seed, ciphertext) == shared
    assert primitives.kem_encapsulate(primitives.kem_key(seed)) != (shared, ciphertext)


def test_a_kem_key_with_a_coefficient_out_of_range_is_refused() -> None:
    # FIPS 203 section 7.2: every 12-bit coefficient must be below 3329.
    key = primitives.kem_key(bytes(64))
    for broken in (b"\x01\x0d" + key[2:], b"\xff" * 1184):
        with pytest.raises(DecryptError):
            primitives.kem_encapsulate(broken)


@pytest.mark.parametrize("size", [0, 1, 1087, 1089, 1184])
def test_a_kem_ciphertext_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecryptError):
        primitives.kem_decapsulate(bytes(64), bytes(size))


@given(st.binary(max_size=40) | st.binary(min_size=1184, max_size=1184))
def test_only_decrypt_error_escapes_from_the_kem(data: bytes) -> None:
    try:
        shared, ciphertext = primitives.kem_encapsulate(data)
    except DecryptError:
        pass
    else:
        assert (len(data), len(shared), len(ciphertext)) == (1184, 32, 1088)
    with pytest.raises(DecryptError):
        primitives.kem_decapsulate(bytes(64), data)


def test_padding_is_that_of_iso_7816() -> None:
    assert primitives.pad(b"", 1) == b"\x80"
    assert primitives.pad(b"ab", 5) == b"ab\x80\0\0"
    for size in (2, 1, 0):
        with pytest.raises(ValueError, match="fit"):
            primitives.pad(b"ab", size)


@given(st.binary(max_size=50), st.integers(1, 50))
def test_padding_round_trips(data: bytes, more: int) -> None:
    padded = primitives.pad(data, len(data) + more)
    assert len(padded) == len(data) + more
    assert primitives.unpad(padded) == data


@given(st.binary(max_size=20))
def test_what_was_not_padded_is_refused(data: bytes) -> None:
    try:
        inner = primitives.unpad(data)
    except DecryptError:
        assert not data.rstrip(b"\0").endswith(b"\x80")
    else:
        assert primitives.pad(inner, len(data)) == data


@pytest.mark.parametrize("padded", [b"", b"\0", b"\0" * 100, b"abc", b"abc\0\0", b"\x81\0"])
def test_padding_without_its_mark_is_refused(padded: bytes) -> None:
    with pytest.raises(DecryptError):
        primitives.unpad(padded)


def test_passphrase_keys_are_argon2id() -> None:
    # The value is that of another implementation, OpenSSL 4.0: one pass, one lane, 8 MiB.
    first = primitives.passphrase_key(b"x", bytes(16), 1, 8192 * 1024)
    assert first.hex() == "0406b603f13339b6e8f49da62e265c6176fc86c70a1f2d3f62754c81880fd4ca"
    assert primitives.passphrase_key(b"x", bytes(15) + b"\1", 1, 8192 * 1024) != first
    assert primitives.passphrase_key(b"y", bytes(16), 1, 8192 * 1024) != first


def test_too_little_memory_for_a_passphrase_key_is_said_as_such() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    now = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**27, now[1]))
    try:
        with pytest.raises(MemoryError):
            primitives.passphrase_key(b"x", bytes(16), 1, 2**29)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, now)


def test_digests_and_comparison_are_the_standard_ones() -> None:
    # RFC 4231 test case 2.
    tag = primitives.mac(b"Jefe", b"what do ya want for nothing?").hex()
    assert tag == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert primitives.sha256(b"abc") == hashlib.sha256(b"abc").digest()
    assert primitives.sha512(b"abc") == hashlib.sha512(b"abc").digest()
    assert primitives.equal(b"abc", b"abc")
    assert not primitives.equal(b"abc", b"abd")
    assert not primitives.equal(b"abc", b"ab")


def test_the_one_error_says_nothing() -> None:
    assert str(DecryptError()) == "cannot be decrypted"
