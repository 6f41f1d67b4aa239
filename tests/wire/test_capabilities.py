"""wire.capabilities: what is hashed, and that neither hash stands for the other."""

import hashlib

from wire.capabilities import presence_capability, token_hash


def test_the_hashes_are_of_label_and_secret() -> None:
    secret = bytes(range(16))
    assert token_hash(secret) == hashlib.sha256(b"blindpost/v1/token\0" + secret).digest()
    assert presence_capability(secret) == hashlib.sha256(b"blindpost/v1/presence\0" + secret).digest()


def test_a_capability_is_no_token() -> None:
    assert token_hash(bytes(16)) != presence_capability(bytes(16))
