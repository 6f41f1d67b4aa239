"""published.json: what standards and other projects print, against the primitives as this code calls them."""

import hashlib
from typing import Any

import pytest

from keys import primitives
from keys.errors import DecryptError
from keys.safety_number import digits, fingerprint
from tests.vectors.reading import load, unhex

PUBLISHED = load("published")


def vectors(*path: str) -> list[Any]:
    items = PUBLISHED
    for name in path:
        items = items[name]
    assert items["source"]
    return list(items["vectors"])


@pytest.mark.parametrize("item", vectors("hkdf_sha256"))
def test_hkdf(item: dict[str, Any]) -> None:
    salt, ikm, info = (unhex(item[name]) for name in ("salt", "ikm", "info"))
    assert primitives.hkdf(salt=salt, ikm=ikm, info=info, size=item["size"]).hex() == item["output"]


@pytest.mark.parametrize("item", vectors("hmac_sha256"))
def test_hmac(item: dict[str, str]) -> None:
    assert primitives.mac(unhex(item["key"]), unhex(item["message"])).hex() == item["output"]


@pytest.mark.parametrize("item", PUBLISHED["x25519"]["multiplied"])
def test_x25519(item: dict[str, str]) -> None:
    assert primitives.dh(unhex(item["scalar"]), unhex(item["u"])).hex() == item["output"]


def test_x25519_iterated() -> None:
    expected = {item["rounds"]: item["output"] for item in PUBLISHED["x25519"]["iterated"]}
    scalar = u = b"\x09" + bytes(31)
    for round in range(1, max(expected) + 1):
        scalar, u = primitives.dh(scalar, u), scalar
        assert scalar.hex() == expected.get(round, scalar.hex())
    assert sorted(expected) == [1, 1000]


def test_x25519_agreement() -> None:
    agreed = {name: unhex(value) for name, value in PUBLISHED["x25519"]["agreed"].items()}
    for one, other in (("alice", "bob"), ("bob", "alice")):
        assert primitives.dh_key(agreed[f"{one}_private"]) == agreed[f"{one}_public"]
        assert primitives.dh(agreed[f"{one}_private"], agreed[f"{other}_public"]) == agreed["shared"]


@pytest.mark.parametrize("item", vectors("ed25519"))
def test_ed25519(item: dict[str, str]) -> None:
    seed, message, signature = (unhex(item[name]) for name in ("seed", "message", "signature"))
    assert primitives.signing_key(seed).hex() == item["public"]
    assert primitives.sign(seed, message) == signature
    assert primitives.verify(unhex(item["public"]), message, signature)
    assert not primitives.verify(unhex(item["public"]), message + b"\0", signature)


@pytest.mark.parametrize("item", vectors("ed25519_edge_cases"), ids=lambda item: item["why"])
def test_ed25519_where_libraries_differ(item: dict[str, Any]) -> None:
    # A libsodium that judges otherwise would believe lists that other clients refuse: see docs/protocol.md 1.
    key, message, signature = (unhex(item[name]) for name in ("key", "message", "signature"))
    assert primitives.verify(key, message, signature) is item["holds"]


def test_xchacha20_poly1305() -> None:
    item = PUBLISHED["xchacha20_poly1305"]
    key, nonce, associated = (unhex(item[name]) for name in ("key", "nonce", "associated"))
    plaintext, ciphertext = unhex(item["plaintext"]), unhex(item["ciphertext"])
    assert primitives.aead_encrypt(key, nonce, plaintext, associated) == ciphertext
    assert primitives.aead_decrypt(key, nonce, ciphertext, associated) == plaintext
    with pytest.raises(DecryptError):
        primitives.aead_decrypt(key, nonce, ciphertext, associated[:-1])


@pytest.mark.parametrize("item", vectors("ml_kem_768", "keys"), ids=lambda item: item["tcId"])
def test_ml_kem_keys(item: dict[str, str]) -> None:
    assert primitives.kem_key(unhex(item["d"] + item["z"])).hex() == item["public"]
    assert primitives.is_kem_key(unhex(item["public"]))


@pytest.mark.parametrize("item", vectors("ml_kem_768", "known_answers"))
def test_ml_kem_decapsulation(item: dict[str, str]) -> None:
    seed = unhex(item["d"] + item["z"])
    assert primitives.kem_key(seed).hex() == item["public"]
    assert primitives.kem_decapsulate(seed, unhex(item["ciphertext"])).hex() == item["shared"]
    assert primitives.kem_decapsulate(seed, unhex(item["wrong_ciphertext"])).hex() == item["wrong_shared"]


def test_ml_kem_compares_ciphertexts_beyond_a_zero_byte() -> None:
    item = PUBLISHED["ml_kem_768"]["zero_byte"]
    assert primitives.kem_decapsulate(unhex(item["seed"]), unhex(item["ciphertext"])).hex() == item["shared"]


@pytest.mark.parametrize("item", load("mlkem768")["vectors"], ids=["first", "second", "third"])
def test_ml_kem_as_kyber_py_has_it(item: dict[str, str]) -> None:
    seed, ciphertext = unhex(item["seed"]), unhex(item["ciphertext"])
    assert primitives.kem_key(seed).hex() == item["public"]
    assert primitives.kem_decapsulate(seed, ciphertext).hex() == item["shared"]
    forged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    assert primitives.kem_decapsulate(seed, forged).hex() == item["forged_shared"]


def test_signals_fingerprints_displayed_and_scanned_in_both_directions() -> None:
    item = PUBLISHED["safety_number"]
    prints = {
        name: fingerprint(unhex(item[name]["key"]), item[name]["identifier"].encode())
        for name in ("alice", "bob")
    }
    halves = [digits(value) for value in prints.values()]
    assert "".join(sorted(halves)) == item["number"]
    for own, other in (("alice", "bob"), ("bob", "alice")):
        scanned = "080212220a20" + prints[own][:32].hex() + "1a220a20" + prints[other][:32].hex()
        assert scanned == item[own]["scannable"]


def test_hashes_are_those_of_hashlib() -> None:
    assert primitives.sha256(b"abc") == hashlib.sha256(b"abc").digest()
    assert primitives.sha512(b"abc") == hashlib.sha512(b"abc").digest()
