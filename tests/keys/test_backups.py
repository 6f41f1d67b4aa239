"""The lock of a backup: every bit of head and chunks counts, and so do their order and their end."""

import pytest
from nacl.pwhash.argon2id import MEMLIMIT_MODERATE, OPSLIMIT_MODERATE

from keys import backups
from keys.backups import CHUNK, HEAD, HEADER, BackupLock, Parameters, decode_parameters, is_backup
from keys.errors import DecryptError
from keys.primitives import aead_encrypt
from wire.errors import WireError

PASSPHRASE = b"correct horse battery staple"
CHEAP = Parameters(b"s" * 16, 1, 8192)


@pytest.fixture(scope="module")
def lock() -> BackupLock:
    return BackupLock.make(PASSPHRASE, CHEAP)


def test_what_was_sealed_is_opened(lock: BackupLock) -> None:
    opened = BackupLock.open(PASSPHRASE, lock.head)
    for number, chunk, is_last in ((0, b"x" * CHUNK, False), (1, b"y", True), (7, b"z" * CHUNK, True)):
        sealed = lock.seal(number, chunk, is_last=is_last)
        assert opened.open_chunk(number, sealed, is_last=is_last) == chunk


def test_another_passphrase_opens_nothing(lock: BackupLock) -> None:
    for other in (b"", PASSPHRASE + b" ", PASSPHRASE[:-1], PASSPHRASE.upper()):
        with pytest.raises(DecryptError):
            BackupLock.open(other, lock.head)


def test_no_bit_of_the_head_can_change(lock: BackupLock) -> None:
    for at in range(HEAD * 8):
        head = bytearray(lock.head)
        head[at // 8] ^= 1 << at % 8
        with pytest.raises((DecryptError, WireError)):
            BackupLock.open(PASSPHRASE, bytes(head))


def test_parameters_are_bound_into_key_and_chunks() -> None:
    """The same secret under other parameters is another key: they are no mere hint beside the ciphertext."""
    one, other = (BackupLock.make(PASSPHRASE, Parameters(b"s" * 16, 1, 8192 + n)) for n in (0, 1))
    # 8192 and 8193 bytes are one and the same to Argon2id, which counts in KiB.
    assert one.key != other.key
    sealed = one.seal(0, b"x", is_last=True)
    with pytest.raises(DecryptError):
        BackupLock(other.head, one.key).open_chunk(0, sealed, is_last=True)


def test_chunks_have_their_place_and_their_end(lock: BackupLock) -> None:
    first, last = lock.seal(0, b"x" * CHUNK, is_last=False), lock.seal(1, b"y" * CHUNK, is_last=True)
    for number, sealed, is_last in (
        (1, first, False), (0, first, True), (0, last, True), (1, last, False), (2, last, True),
    ):  # fmt: skip
        with pytest.raises(DecryptError):
            lock.open_chunk(number, sealed, is_last=is_last)
    for sealed in (first[:-1], first + b"x", b"", last[:16], bytes([first[0] ^ 1]) + first[1:]):
        with pytest.raises(DecryptError):
            lock.open_chunk(0, sealed, is_last=False)


def test_an_empty_or_short_chunk_stands_nowhere(lock: BackupLock) -> None:
    for chunk, is_last in ((b"", True), (b"", False), (b"x", False), (b"x" * (CHUNK + 1), True)):
        with pytest.raises(ValueError, match="nowhere"):
            lock.seal(0, chunk, is_last=is_last)


@pytest.mark.parametrize(
    ("operations", "memory"),
    [(0, 8192), (11, 8192), (2**32 - 1, 8192), (1, 8191), (1, 2**30 + 1), (1, 2**62)],
)
def test_bounds_are_checked_before_any_work(
    operations: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object) -> bytes:
        raise AssertionError("work was done")

    monkeypatch.setattr(backups, "passphrase_key", never)
    head = Parameters(b"s" * 16, operations, memory).encode() + bytes(32)
    with pytest.raises(WireError, match="out of range"):
        BackupLock.open(PASSPHRASE, head)


@pytest.mark.parametrize(("operations", "memory"), [(1, 8192), (10, 8192), (1, 2**30), (3, 2**28)])
def test_what_lies_within_the_bounds_is_read(operations: int, memory: int) -> None:
    parameters = Parameters(b"s" * 16, operations, memory)
    assert decode_parameters(parameters.encode() + bytes(32)) == parameters


def test_the_head_has_its_documented_layout(lock: BackupLock) -> None:
    memory = (8192).to_bytes(8, "big")
    fields = b"blindpost/v1/backup\0" + b"\x01" + b"\0\0\0\x01" + memory + b"s" * 16
    assert lock.head[:-32] == fields
    assert len(fields) == HEADER == 49
    assert len(lock.head) == HEAD == 81
    assert is_backup(lock.head)
    assert is_backup(fields[:20])
    for other in (b"", fields[:19], b"\0" + fields):
        assert not is_backup(other)


@pytest.mark.parametrize(
    "magic", [bytes(20), b"\xff" * 20, b"blindpost/v1/backuq\0", b"blindpost/v1/backuo\0"]
)
def test_what_begins_otherwise_is_no_backup(lock: BackupLock, magic: bytes) -> None:
    with pytest.raises(WireError, match="none"):
        decode_parameters(magic + lock.head[20:])


@pytest.mark.parametrize("form", [0, 2, 255])
def test_another_format_is_refused(lock: BackupLock, form: int) -> None:
    with pytest.raises(WireError, match="unknown format"):
        decode_parameters(lock.head[:20] + bytes([form]) + lock.head[21:])


def test_a_new_backup_costs_what_libsodium_calls_moderate() -> None:
    usual = Parameters(b"s" * 16)
    assert (usual.operations, usual.memory) == (OPSLIMIT_MODERATE, MEMLIMIT_MODERATE)


def test_a_chunk_of_a_size_that_stands_nowhere_is_not_opened_though_it_would_authenticate(
    lock: BackupLock,
) -> None:
    for size, is_last in ((0, True), (0, False), (1, False), (CHUNK - 1, False), (CHUNK + 1, True)):
        nonce = bytes(15) + (5).to_bytes(8, "big") + bytes([is_last])
        sealed = aead_encrypt(lock.key, nonce, b"x" * size, lock.head)
        with pytest.raises(DecryptError):
            lock.open_chunk(5, sealed, is_last=is_last)


def test_a_secret_is_in_no_repr(lock: BackupLock) -> None:
    assert lock.key.hex() not in repr(lock)
    assert str(lock.key) not in repr(lock)
