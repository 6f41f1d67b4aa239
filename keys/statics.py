"""What follows from keys that live for weeks, computed once: their public halves and agreements.

Owns what is remembered, for as long as the program runs and nowhere else. The seal agrees on the sender's
identity key and the recipient's sealing key with every envelope, always with the same outcome. Each outcome
follows from a private key that the program holds anyway; none of them opens an envelope without the agreement
on its ephemeral key, which is never remembered. Knows nothing of seals.
"""

from typing import Final

from keys.primitives import dh, dh_key
from keys.secrecy import Secret

REMEMBERED: Final = 256  # of each; strangers can make up identity keys, so the oldest go first


class Statics(Secret):
    """Public halves and agreements that were needed before."""

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes] = {}
        self._shared: dict[tuple[bytes, bytes], bytes] = {}

    def dh_key(self, private: bytes) -> bytes:
        """See `keys.primitives.dh_key`."""
        found = self._keys.get(private)
        if found is None:
            found = self._keys[private] = dh_key(private)
            if len(self._keys) > REMEMBERED:
                del self._keys[next(iter(self._keys))]
        return found

    def dh(self, private: bytes, public: bytes) -> bytes:
        """See `keys.primitives.dh`. Raises DecryptError, and remembers nothing then."""
        found = self._shared.get((private, public))
        if found is None:
            found = self._shared[private, public] = dh(private, public)
            if len(self._shared) > REMEMBERED:
                del self._shared[next(iter(self._shared))]
        return found
