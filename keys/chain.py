"""The key derivation chains of the Double Ratchet, one small type per key.

Owns root, chain and message keys (Double Ratchet revision 4, sections 2.1, 2.2 and 7.2). Each value is
used by its one verb and replaced. Knows nothing of headers, order or peers.
"""

from dataclasses import dataclass, field
from typing import Final

from keys.errors import DecryptError
from keys.primitives import AEAD_NONCE, KEY, TAG, Random, aead_decrypt, aead_encrypt, equal, hkdf, mac
from keys.secrecy import Secret
from wire.binary import label

FRESH: Final = 16  # random bytes mixed into each message key
COMMITMENT: Final = 32
OVERHEAD: Final = FRESH + COMMITMENT + TAG


@dataclass(frozen=True, slots=True)
class MessageKey(Secret):
    """Encrypts one message. 32 bytes.

    The 16 fresh bytes mean that a state put back from a copy does not repeat a (key, nonce). The
    commitment is compared first, because XChaCha20-Poly1305 by itself does not commit to its key.
    """

    value: bytes = field(repr=False)

    def _expand(self, fresh: bytes) -> tuple[bytes, bytes, bytes]:
        size = KEY + AEAD_NONCE + COMMITMENT
        out = hkdf(salt=fresh, ikm=self.value, info=label("dr/msg"), size=size)
        return out[:KEY], out[KEY : KEY + AEAD_NONCE], out[KEY + AEAD_NONCE :]

    def encrypt(self, plaintext: bytes, associated: bytes, random: Random) -> bytes:
        """fresh 16 || commitment 32 || ciphertext || tag 16."""
        fresh = random(FRESH)
        key, nonce, commitment = self._expand(fresh)
        return fresh + commitment + aead_encrypt(key, nonce, plaintext, associated)

    def decrypt(self, body: bytes, associated: bytes) -> bytes:
        """The plaintext. Raises DecryptError."""
        if len(body) < OVERHEAD:
            raise DecryptError
        key, nonce, commitment = self._expand(body[:FRESH])
        if not equal(commitment, body[FRESH : FRESH + COMMITMENT]):
            raise DecryptError
        return aead_decrypt(key, nonce, body[FRESH + COMMITMENT :], associated)


@dataclass(frozen=True, slots=True)
class ChainKey(Secret):
    """One symmetric-key chain: a 32-byte key and the number of the message key it gives next."""

    value: bytes = field(repr=False)
    number: int

    def advance(self) -> tuple["ChainKey", MessageKey]:
        """KDF_CK of section 7.2: HMAC with 0x01 gives the message key, with 0x02 the next chain key."""
        return self._next(), self.message_key()

    def message_key(self) -> MessageKey:
        """The first half of that alone."""
        return MessageKey(mac(self.value, b"\x01"))

    def _next(self) -> "ChainKey":
        return ChainKey(mac(self.value, b"\x02"), self.number + 1)

    def to(self, number: int) -> tuple[list["ChainKey"], "ChainKey"]:
        """The chain keys from this one to before `number`, and the one behind them: one HMAC each."""
        passed, chain = list[ChainKey](), self
        while chain.number < number:
            passed.append(chain)
            chain = chain._next()
        return passed, chain


@dataclass(frozen=True, slots=True)
class RootKey(Secret):
    """The root chain: 32 bytes."""

    value: bytes = field(repr=False)

    def advance(self, shared: bytes) -> tuple["RootKey", ChainKey]:
        """KDF_RK of section 7.2: HKDF with the root key as salt and a DH output as input."""
        out = hkdf(salt=self.value, ikm=shared, info=label("dr/root"), size=2 * KEY)
        return RootKey(out[:KEY]), ChainKey(out[KEY:], 0)
