"""Whether anything comes twice that must be fresh: ephemeral keys, nonces, blocks of ciphertext.

Owns what is remembered of all envelopes, and its bounds. One envelope may be seen several times: put again
under its id, delivered, delivered again. Whatever else is equal was made with a key or a nonce that had been
used, or by a cipher that shows equal plaintext as equal ciphertext.
"""

import hashlib
from typing import Final

KEY: Final = slice(1, 33)  # of an envelope: its ephemeral key, of which all its keys and nonces are made
BLOCK: Final = 16  # bytes, counted from the byte behind the version
KEYS_MAX: Final = 500_000  # of the whole transcript
NONCES_MAX: Final = 500_000
BLOCKS_MAX: Final = 1_000_000  # of a generation; blocks are compared with this one and the one before


class Repeats:
    """What was seen before. `forgot`: whether there were more keys or nonces than can be remembered."""

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes] = {}
        self._nonces: set[bytes] = set()
        self._blocks: set[bytes] = set()
        self._before: set[bytes] = set()
        self.again = 0  # envelopes that were seen before, as they may be
        self.forgot = False

    def envelope(self, frame_id: bytes, mailbox: bytes, envelope: bytes) -> str | None:
        """What of it was there before and must not have been; None where all is well."""
        key = envelope[KEY]
        whole = hashlib.blake2b(frame_id + mailbox + envelope, digest_size=16).digest()
        known = self._keys.get(key)
        if known == whole:
            self.again += 1
            return None
        if known is not None:
            return "the ephemeral key of this envelope was used before, in another frame"
        if len(self._keys) < KEYS_MAX:
            self._keys[key] = whole
        else:
            self.forgot = True
        return self._repeated_block(envelope)

    def _repeated_block(self, envelope: bytes) -> str | None:
        found = [envelope[at : at + BLOCK] for at in range(1, len(envelope) - BLOCK + 1, BLOCK)]
        blocks = set(found)
        if len(self._blocks) + len(blocks) > BLOCKS_MAX:
            self._before, self._blocks = self._blocks, set()
        is_new = self._blocks.isdisjoint(blocks) and self._before.isdisjoint(blocks)
        self._blocks |= blocks
        if not is_new:
            return f"a block of {BLOCK} bytes of this envelope was in another one before"
        if len(blocks) < len(found):
            return f"a block of {BLOCK} bytes comes twice in this envelope"
        return None

    def nonce(self, name: str, value: object) -> str | None:
        """The same of a nonce in a message. It is fresh for each connection."""
        known = f"{name} {value}".encode()
        if known in self._nonces:
            return f"the nonce of {name} was used before"
        if len(self._nonces) < NONCES_MAX:
            self._nonces.add(known)
        else:
            self.forgot = True
        return None
