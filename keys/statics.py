"""What follows from keys that live for weeks, computed once: their public halves and agreements.

Owns what is remembered, in the memory of the program and nowhere else. The seal agrees on the sender's
identity key and the recipient's sealing key with every envelope, always with the same outcome. Each outcome
follows from a private key that the program holds anyway, and is forgotten with it; none of them opens an
envelope without the agreement on its ephemeral key, which is never remembered. Knows nothing of seals.
"""

from collections.abc import Sequence
from typing import Final

from keys.primitives import dh, dh_key
from keys.secrecy import Secret

REMEMBERED: Final = 256  # of each; strangers can make up identity keys, so the oldest go first


class Statics(Secret):
    """Public halves and agreements that were needed before."""

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes] = {}
        self._shared: dict[tuple[bytes, bytes], bytes] = {}
        self._held: Sequence[bytes] = ()

    def keep(self, privates: Sequence[bytes]) -> None:
        """Forget every private key but these: what was deleted elsewhere is not kept here."""
        if self._held == privates:
            return
        self._held = privates
        self._keys = {private: key for private, key in self._keys.items() if private in privates}
        self._shared = {pair: shared for pair, shared in self._shared.items() if pair[0] in privates}

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
