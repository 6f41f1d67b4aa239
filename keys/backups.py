"""The lock of a backup: a passphrase, and a stream of chunks that cannot be changed, cut or reordered.

Owns the head of the file and the cipher of its chunks: Argon2id (RFC 9106) with its parameters in the head,
HKDF-SHA256 over the head, then STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption
and its Nonce-Reuse Misuse-Resistance", 2015), as age has it, with XChaCha20-Poly1305. The head is in the
derivation and is the associated data of each chunk. Knows neither files nor what a backup holds.

| offset | size | head                                                      |
|-------:|-----:|-----------------------------------------------------------|
|      0 |   20 | `label(backup)`                                           |
|     20 |    1 | format = 0x01                                             |
|     21 |    4 | Argon2id passes, 1 to 10                                  |
|     25 |    8 | Argon2id memory in bytes, 8 KiB to 1 GiB                  |
|     33 |   16 | salt, random for each backup                              |
|     49 |   32 | commitment: the second half of what is derived            |

Every chunk but the last holds 65,536 bytes, the last 1 to 65,536; each has a tag of 16 behind it.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from keys.errors import DecryptError
from keys.primitives import KEY, TAG, aead_decrypt, aead_encrypt, equal, hkdf, passphrase_key
from keys.secrecy import Secret
from wire.binary import Reader, label, u8, u32, u64

MAGIC: Final = label("backup")
FORMAT: Final = 0x01
SALT: Final = 16
OPERATIONS: Final = 3  # Argon2id "moderate" of libsodium
MEMORY: Final = 256 * 1024 * 1024
OPERATIONS_MAX: Final = 10  # what a forged head may cost whoever tries to open it
MEMORY_MIN: Final = 8 * 1024  # libsodium's
MEMORY_MAX: Final = 1024 * 1024 * 1024
HEADER: Final = len(MAGIC) + 1 + 4 + 8 + SALT
HEAD: Final = HEADER + KEY
CHUNK: Final = 65_536
SEALED_CHUNK: Final = CHUNK + TAG


@dataclass(frozen=True, slots=True)
class Parameters:
    """How the passphrase becomes a key. Each backup has a salt of its own, and so a key of its own."""

    salt: bytes
    operations: int = OPERATIONS
    memory: int = MEMORY

    def encode(self) -> bytes:
        """The 49 bytes in front of the commitment."""
        return MAGIC + u8(FORMAT) + u32(self.operations) + u64(self.memory) + self.salt


def is_backup(head: bytes) -> bool:
    """Whether a file that begins so is a backup of any format."""
    return head.startswith(MAGIC)


def decode_parameters(head: bytes) -> Parameters:
    """The parameters in a head of 81 bytes. Raises WireError for any but the canonical form and bounds."""
    reader = Reader(head, "backup")
    if reader.take(len(MAGIC)) != MAGIC:
        raise reader.refuse("this is none")
    if reader.u8() != FORMAT:
        raise reader.refuse("unknown format")
    operations, memory, salt = reader.u32(), reader.u64(), reader.take(SALT)
    reader.take(KEY)
    reader.end()
    if not 1 <= operations <= OPERATIONS_MAX or not MEMORY_MIN <= memory <= MEMORY_MAX:
        raise reader.refuse("the cost of its passphrase is out of range")
    return Parameters(salt, operations, memory)


@dataclass(frozen=True, slots=True)
class BackupLock(Secret):
    """The head of a backup, and what seals and opens its chunks, numbered from 0."""

    head: bytes
    key: bytes = field(repr=False)

    @classmethod
    def make(cls, passphrase: bytes, parameters: Parameters) -> Self:
        """The lock of a new backup. Raises MemoryError where there is less memory than the parameters say."""
        header = parameters.encode()
        secret = passphrase_key(passphrase, parameters.salt, parameters.operations, parameters.memory)
        derived = hkdf(salt=b"", ikm=secret, info=label("backup-keys") + header, size=2 * KEY)
        return cls(header + derived[KEY:], derived[:KEY])

    @classmethod
    def open(cls, passphrase: bytes, head: bytes) -> Self:
        """The lock of a backup that begins with `head`.

        Raises WireError for no head, DecryptError for another passphrase or another head than was written.
        The commitment makes sure that one passphrase alone opens a backup, whoever made it.
        """
        lock = cls.make(passphrase, decode_parameters(head))
        if not equal(lock.head, head):
            raise DecryptError
        return lock

    def seal(self, number: int, chunk: bytes, *, is_last: bool) -> bytes:
        """A chunk of 65,536 bytes, or the last with at least one, and 16 bytes more."""
        if not 0 < len(chunk) <= CHUNK or (len(chunk) < CHUNK and not is_last):
            raise ValueError("a chunk of this size stands nowhere")
        return aead_encrypt(self.key, _nonce(number, is_last), chunk, self.head)

    def open_chunk(self, number: int, sealed: bytes, *, is_last: bool) -> bytes:
        """What was sealed as this chunk. Raises DecryptError."""
        if not TAG < len(sealed) <= SEALED_CHUNK or (len(sealed) < SEALED_CHUNK and not is_last):
            raise DecryptError
        return aead_decrypt(self.key, _nonce(number, is_last), sealed, self.head)


def _nonce(number: int, is_last: bool) -> bytes:
    """STREAM: a counter and whether this is the end. The key belongs to one backup, so nothing repeats."""
    return bytes(15) + u64(number) + u8(is_last)
