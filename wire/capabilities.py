"""What the relay knows of a delivery token and of a presence capability: their hashes.

Owns the two hashes. A token and a capability are 16 random bytes each, given to contacts inside encrypted
messages; whoever shows one is not asked who it is. The relay keeps and compares hashes only, so that its
database gives nobody the right to write or to watch. Knows nothing of what they allow.
"""

from hashlib import sha256
from typing import Final

from wire.binary import label

_TOKEN: Final = label("token")
_PRESENCE: Final = label("presence")


def token_hash(token: bytes) -> bytes:
    """SHA-256(label `token` || delivery token, 16 bytes): 32 bytes."""
    return sha256(_TOKEN + token).digest()


def presence_hash(capability: bytes) -> bytes:
    """SHA-256(label `presence` || presence capability, 16 bytes): 32 bytes."""
    return sha256(_PRESENCE + capability).digest()
