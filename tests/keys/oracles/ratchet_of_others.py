"""The package DoubleRatchet with the constants of this protocol: the other side of a conversation.

The state machine and the KDFs are the package's. Its AEAD is the seam: it is handed a message key, and all
in front of it is Double Ratchet alone. Behind it is what this protocol adds (16 fresh bytes, a commitment),
written out here once more over OpenSSL and libsodium, so that nothing of keys/ takes part.
"""

import os
from dataclasses import dataclass
from typing import Final

import nacl.bindings as sodium
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from doubleratchet import AEAD, KDF, AuthenticationFailedException, DoubleRatchet, EncryptedMessage, Header
from doubleratchet.recommended import HashFunction, kdf_hkdf, kdf_separate_hmacs
from doubleratchet.recommended.diffie_hellman_ratchet_curve25519 import DiffieHellmanRatchet
from nacl.exceptions import CryptoError

from keys.chain import MessageKey

# docs/protocol.md section 10
JUMP: Final = 1000
STORED: Final = 2000


class RootKdf(kdf_hkdf.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return b"blindpost/v1/dr/root\0"


class ChainKdf(kdf_separate_hmacs.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256


class Body(AEAD):
    """fresh 16 || commitment 32 || ciphertext and tag, under one message key."""

    @staticmethod
    def _expanded(fresh: bytes, key: bytes) -> tuple[bytes, bytes, bytes]:
        out = HKDF(SHA256(), 88, fresh, b"blindpost/v1/dr/msg\0").derive(key)
        return out[:32], out[32:56], out[56:]

    @classmethod
    async def encrypt(cls, plaintext: bytes, key: bytes, associated_data: bytes) -> bytes:
        fresh = os.urandom(16)
        inner, nonce, commitment = cls._expanded(fresh, key)
        sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated_data, nonce, inner)
        return fresh + commitment + sealed

    @classmethod
    async def decrypt(cls, ciphertext: bytes, key: bytes, associated_data: bytes) -> bytes:
        inner, nonce, commitment = cls._expanded(ciphertext[:16], key)
        if ciphertext[16:48] != commitment:
            raise AuthenticationFailedException
        sealed = ciphertext[48:]
        try:
            return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, associated_data, nonce, inner)
        except CryptoError:
            raise AuthenticationFailedException from None


class OurBody(AEAD):
    """keys.chain.MessageKey in the place of their AEAD: all that this protocol adds to a message."""

    @staticmethod
    async def encrypt(plaintext: bytes, key: bytes, associated_data: bytes) -> bytes:
        return MessageKey(key).encrypt(plaintext, associated_data, os.urandom)

    @staticmethod
    async def decrypt(ciphertext: bytes, key: bytes, associated_data: bytes) -> bytes:
        return MessageKey(key).decrypt(ciphertext, associated_data)


def header_bytes(header: Header) -> bytes:
    """The 40 bytes in front of a ratchet message."""
    lengths = header.previous_sending_chain_length, header.sending_chain_length
    return header.ratchet_pub + b"".join(length.to_bytes(4, "big") for length in lengths)


def split(message: bytes) -> EncryptedMessage:
    previous, number = (int.from_bytes(message[at : at + 4], "big") for at in (32, 36))
    return EncryptedMessage(Header(message[:32], previous, number), message[40:])


class TheirRatchet(DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data: bytes, header: Header) -> bytes:
        return associated_data + header_bytes(header)


@dataclass(frozen=True)
class Parts:
    """What the package lets its user choose."""

    root_kdf: type[KDF] = RootKdf
    chain_kdf: type[KDF] = ChainKdf
    constant: bytes = b"\x02\x01"  # the next chain key comes first, then the message key
    body: type[AEAD] = Body
    ratchet: type[TheirRatchet] = TheirRatchet


AS_SPECIFIED: Final = Parts()


class Other:
    """One side of a session. Exactly one of `remote` (initiator) and `signed_private` (acceptor) is given."""

    def __init__(
        self,
        root_key: bytes,
        associated: bytes,
        *,
        remote: bytes | None = None,
        signed_private: bytes | None = None,
        parts: Parts = AS_SPECIFIED,
    ) -> None:
        self._root_key, self._associated = root_key, associated
        self._remote, self._signed_private = remote, signed_private
        self._parts = parts
        self._state: TheirRatchet | None = None

    async def encrypt(self, plaintext: bytes) -> bytes:
        if self._state is None:
            assert self._remote is not None, "the acceptor has heard nothing yet"
            self._state, message = await self._parts.ratchet.encrypt_initial_message(
                DiffieHellmanRatchet, self._parts.root_kdf, self._parts.chain_kdf, self._parts.constant,
                JUMP, STORED, self._parts.body, self._root_key, self._remote, plaintext, self._associated,
            )  # fmt: skip
        else:
            message = await self._state.encrypt_message(plaintext, self._associated)
        return header_bytes(message.header) + message.ciphertext

    async def decrypt(self, message: bytes) -> bytes:
        if self._state is not None:
            return await self._state.decrypt_message(split(message), self._associated)
        assert self._signed_private is not None, "the initiator speaks first"
        self._state, plaintext = await self._parts.ratchet.decrypt_initial_message(
            DiffieHellmanRatchet, self._parts.root_kdf, self._parts.chain_kdf, self._parts.constant,
            JUMP, STORED, self._parts.body, self._root_key, self._signed_private, split(message),
            self._associated,
        )  # fmt: skip
        return plaintext
