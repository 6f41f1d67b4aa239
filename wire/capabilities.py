"""What stands for a delivery token and for a presence secret: hashes.

Owns the two hashes. The relay keeps only the hash of a token, so that its database gives nobody the right to
write. Of a presence secret contacts keep only the hash, the capability: they can watch its owner, and cannot
appear in its place, because for that the relay wants the secret itself. Knows nothing of what they allow.
"""

from hashlib import sha256
from typing import Final

from wire.binary import label

_TOKEN: Final = label("token")
_PRESENCE: Final = label("presence")


def token_hash(token: bytes) -> bytes:
    """SHA-256(label `token` || delivery token, 16 bytes): 32 bytes."""
    return sha256(_TOKEN + token).digest()


def presence_capability(secret: bytes) -> bytes:
    """SHA-256(label `presence` || presence secret, 16 bytes): 32 bytes."""
    return sha256(_PRESENCE + secret).digest()
