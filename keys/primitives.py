"""The one door to libsodium and OpenSSL.

Owns every call of a cryptographic primitive but the relay's signatures, and turns each way in which
these libraries fail into one opaque `DecryptError`. Knows nothing of protocols. Nothing is invented:
Ed25519 (RFC 8032), X25519 (RFC 7748), XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), HKDF-SHA256
(RFC 5869), ML-KEM-768 (FIPS 203), Argon2id (RFC 9106), ISO/IEC 7816-4 padding.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import nacl.bindings as sodium
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as NoMemory

from keys.errors import DecryptError

Random = Callable[[int], bytes]  # n -> n unpredictable bytes; in programs always os.urandom

KEY: Final = 32
TAG: Final = 16  # Poly1305
AEAD_NONCE: Final = 24  # XChaCha20
KEM_SEED: Final = 64  # d || z of FIPS 203 section 7.1


def sign(seed: bytes, message: bytes) -> bytes:
    """64-byte Ed25519 signature by the 32-byte `seed`."""
    _, secret = sodium.crypto_sign_seed_keypair(seed)
    return sodium.crypto_sign(message, secret)[:64]


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is `key`'s over `message`, by libsodium's rules on every side.

    PyNaCl does not look at the size of the key: libsodium would read past a shorter one.
    """
    if len(key) != KEY or len(signature) != 64:
        return False
    try:
        sodium.crypto_sign_open(signature + message, key)
    except CryptoError:
        return False
    return True


def signing_key(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a 32-byte seed."""
    return sodium.crypto_sign_seed_keypair(seed)[0]


def dh_key(private: bytes) -> bytes:
    """The 32-byte X25519 public key of a 32-byte private key."""
    return sodium.crypto_scalarmult_base(private)


def dh(private: bytes, public: bytes) -> bytes:
    """32-byte X25519 shared secret. Raises DecryptError for a low-order public key (RFC 7748 section 6.1)."""
    if len(public) != KEY:
        raise DecryptError
    try:
        return sodium.crypto_scalarmult(private, public)
    except CryptoError:
        raise DecryptError from None


def is_dh_key(public: bytes) -> bool:
    """Whether a public key is 32 bytes and not of low order (every private key refuses those)."""
    try:
        dh(b"\x40" * KEY, public)
    except DecryptError:
        return False
    return True


def hkdf(*, salt: bytes, ikm: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256, extract then expand (RFC 5869 section 2), at most 255 * 32 bytes."""
    if not 0 < size <= 255 * 32:
        raise ValueError("size out of range")
    pseudorandom = hmac.digest(salt, ikm, "sha256")
    block, result = b"", b""
    for counter in range(1, -(-size // 32) + 1):
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), "sha256")
        result += block
    return result[:size]


def mac(key: bytes, message: bytes) -> bytes:
    """32-byte HMAC-SHA256 (RFC 2104)."""
    return hmac.digest(key, message, "sha256")


def sha256(message: bytes) -> bytes:
    """32-byte SHA-256."""
    return hashlib.sha256(message).digest()


def sha512(message: bytes) -> bytes:
    """64-byte SHA-512."""
    return hashlib.sha512(message).digest()


def equal(a: bytes, b: bytes) -> bool:
    """Comparison in time that depends on the lengths only."""
    return hmac.compare_digest(a, b)


def aead_encrypt(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """XChaCha20-Poly1305: ciphertext || 16-byte tag. A (key, nonce) must never be used twice."""
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key)


def aead_decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """The plaintext. Raises DecryptError."""
    if len(ciphertext) < TAG:
        raise DecryptError
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key)
    except CryptoError:
        raise DecryptError from None


def kem_key(seed: bytes) -> bytes:
    """The 1184-byte ML-KEM-768 encapsulation key of a 64-byte seed."""
    return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def is_kem_key(public: bytes) -> bool:
    """Whether a public key passes the check of FIPS 203 section 7.2."""
    try:
        MLKEM768PublicKey.from_public_bytes(public)
    except ValueError:
        return False
    return True


def kem_encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """(32-byte shared secret, 1088-byte ciphertext). OpenSSL draws its own randomness here.

    Raises DecryptError for a key that fails the check of FIPS 203 section 7.2.
    """
    try:
        return MLKEM768PublicKey.from_public_bytes(public).encapsulate()
    except ValueError:
        raise DecryptError from None


def kem_decapsulate(seed: bytes, ciphertext: bytes) -> bytes:
    """32-byte shared secret; for a forged ciphertext an unpredictable one (implicit rejection, FIPS 203)."""
    try:
        return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
    except ValueError:
        raise DecryptError from None


def pad(data: bytes, size: int) -> bytes:
    """`data` || 0x80 || zeros, exactly `size` bytes (ISO/IEC 7816-4). `data` must be shorter than `size`."""
    if len(data) >= size:
        raise ValueError("does not fit")
    return data + b"\x80" + bytes(size - len(data) - 1)


def unpad(padded: bytes) -> bytes:
    """What was padded. Raises DecryptError. Only ever called on authenticated bytes."""
    marked = padded.rstrip(b"\0")
    if not marked.endswith(b"\x80"):
        raise DecryptError
    return marked[:-1]


def passphrase_key(passphrase: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    """32 bytes by Argon2id (RFC 9106): 16-byte salt, `operations` passes, `memory` bytes.

    Raises MemoryError where there is less memory than that.
    """
    try:
        return sodium.crypto_pwhash_alg(
            KEY, passphrase, salt, operations, memory, sodium.crypto_pwhash_ALG_ARGON2ID13
        )
    except NoMemory:
        raise MemoryError from None
