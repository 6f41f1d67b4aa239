"""keys.chain: three small key types that do one step each and commit to what they encrypt."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.chain import COMMITMENT, FRESH, OVERHEAD, ChainKey, MessageKey, RootKey
from keys.errors import DecryptError
from keys.primitives import aead_encrypt, hkdf
from tests.keys.parties import Seeded, counted, flipped

KEY = MessageKey(bytes(range(32)))


def test_a_chain_steps_by_hmac_of_one_and_two() -> None:
    after, key = ChainKey(b"c" * 32, 7).advance()
    assert key.value == hmac.digest(b"c" * 32, b"\x01", "sha256")
    assert (after.value, after.number) == (hmac.digest(b"c" * 32, b"\x02", "sha256"), 8)


def test_a_root_steps_by_hkdf_with_itself_as_salt() -> None:
    root, chain = RootKey(b"r" * 32).advance(b"s" * 32)
    out = hkdf(salt=b"r" * 32, ikm=b"s" * 32, info=b"blindpost/v1/dr/root\0", size=64)
    assert (root.value, chain.value, chain.number) == (out[:32], out[32:], 0)


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_what_is_encrypted_is_decrypted(plaintext: bytes, associated: bytes) -> None:
    body = KEY.encrypt(plaintext, associated, Seeded("body"))
    assert len(body) == OVERHEAD + len(plaintext)
    assert KEY.decrypt(body, associated) == plaintext


def test_no_bit_of_a_body_can_change() -> None:
    body = KEY.encrypt(b"text", b"ad", Seeded("body"))
    for at in range(len(body)):
        for bit in range(8):
            with pytest.raises(DecryptError):
                KEY.decrypt(flipped(body, at, bit), b"ad")
    with pytest.raises(DecryptError):
        KEY.decrypt(body, b"aD")
    with pytest.raises(DecryptError):
        MessageKey(bytes(32)).decrypt(body, b"ad")


def test_every_truncated_body_is_refused() -> None:
    body = KEY.encrypt(b"text", b"ad", Seeded("body"))
    for length in range(len(body)):
        with counted() as calls, pytest.raises(DecryptError):
            KEY.decrypt(body[:length], b"ad")
        assert calls.hkdf == (length >= OVERHEAD), "a size that cannot be right costs nothing"


def test_a_body_whose_tag_is_right_and_whose_commitment_is_not_is_refused() -> None:
    # Whoever found one ciphertext that authenticates under two keys cannot also match both commitments.
    body = KEY.encrypt(b"text", b"ad", Seeded("body"))
    fresh = body[:FRESH]
    out = hkdf(salt=fresh, ikm=KEY.value, info=b"blindpost/v1/dr/msg\0", size=88)
    sealed = aead_encrypt(out[:32], out[32:56], b"text", b"ad")
    assert fresh + out[56:] + sealed == body
    for commitment in (bytes(COMMITMENT), flipped(out[56:], 0), flipped(out[56:], 31, 7)):
        with pytest.raises(DecryptError):
            KEY.decrypt(fresh + commitment + sealed, b"ad")


def test_the_same_message_key_never_encrypts_twice_under_the_same_key_and_nonce() -> None:
    random = Seeded("fresh")
    bodies = [KEY.encrypt(b"text", b"ad", random) for _ in range(20)]
    expanded = {
        hkdf(salt=body[:FRESH], ikm=KEY.value, info=b"blindpost/v1/dr/msg\0", size=56) for body in bodies
    }
    assert len(expanded) == len({body[FRESH:] for body in bodies}) == 20


@given(st.binary(max_size=120))
def test_only_decrypt_error_escapes(body: bytes) -> None:
    with pytest.raises(DecryptError):
        KEY.decrypt(body, b"")
