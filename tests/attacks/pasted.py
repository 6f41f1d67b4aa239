"""Attacks with what a user takes from somebody: a backup, an address, an invite, a code to scan."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from clients.backup.sealed_files import opened, write_sealed
from clients.contact_book import ContactBook
from clients.errors import ClientError, TrustError
from clients.parsing import parse_address, parse_invite
from keys.backups import HEAD, SEALED_CHUNK, BackupLock, Parameters
from keys.primitives import KEY, sha256
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack, valued
from tests.attacks.neighbours import neighbours
from tests.attacks.seals import untagged
from tests.attacks.stage import Stage
from tests.support.homes import Home
from wire.bech32m import ALPHABET, CHECKSUM_CONSTANT
from wire.binary import u32, u64
from wire.invites import invite_text

SECRET: Final = b"the right passphrase"
MIB: Final = 1024 * 1024


def _backup(file: Path, lines: list[bytes]) -> bytes:
    """A backup of these lines, at the least cost; returns its bytes."""
    write_sealed(file, BackupLock.make(SECRET, Parameters(bytes(16), 1, 8192)), lines)
    return file.read_bytes()


def _read(file: Path, data: bytes) -> list[bytes]:
    """The lines of a backup as somebody gives it to us. Raises ClientError."""
    file.write_bytes(data)
    with opened(file, SECRET) as lines:
        return list(lines)


@attack(
    defence="what a passphrase may cost to try is bounded before it is tried: 1 GiB, ten passes",
    without=(valued("keys.backups.MEMORY_MAX", 2**63), valued("keys.backups.OPERATIONS_MAX", 2**32)),
)
async def costly_backup(stage: Stage) -> Outcome:
    """Give somebody a backup whose head says that its passphrase costs an exabyte, or four billion passes."""
    file, asked = stage.directory / "costly", list[tuple[int, int]]()
    whole = _backup(file, [b"a line\n"])
    costs = [(3, 2**60), (2**32 - 1, 8192), (11, 8192), (3, 2**30 + 1024)]

    def derive(_: bytes, __: bytes, operations: int, memory: int) -> bytes:
        asked.append((operations, memory))
        return bytes(KEY)

    with patch("keys.backups.passphrase_key", derive):
        for operations, memory in costs:
            try:
                _read(file, whole[:21] + u32(operations) + u64(memory) + whole[33:])
            except ClientError:
                continue
            return Succeeded("it is opened")
    if asked:
        return Succeeded(f"the reader would use {max(memory for _, memory in asked) // 2**30:,} GiB")
    return Caught("the reader", "refused before anything is derived", len(costs))


def _cheaply(passphrase: bytes, salt: bytes, operations: int, memory: int) -> bytes:
    """In Argon2id's place, which a flipped bit of the head would make to use up to a gigabyte."""
    return sha256(passphrase + salt + u32(operations) + u64(memory))


@attack(
    defence="every chunk of a backup, and its head, is authenticated",
    without=Removal("keys.backups.aead_decrypt", untagged),
    fell="Threema: the ZIP library under its backups did not check their tags (Paterson, Scarlata, "
    "Truong, 2023)",
)
async def change_backup(stage: Stage) -> Outcome:
    """Flip single bits of a backup: all of its head, and one in each 64 bytes behind."""
    dice, file = random.Random(5), stage.directory / "changed"
    lines = [b'{"record":"message","body":"%d"}\n' % number for number in range(200)]
    with patch("keys.backups.passphrase_key", _cheaply):
        whole = _backup(file, lines)
        true = _read(file, whole)
        places = [
            *range(HEAD * 8),
            *(at * 8 + dice.randrange(512) for at in range(HEAD, len(whole) - 64, 64)),
        ]
        for bit in places:
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            try:
                found = _read(file, bytes(changed))
            except ClientError:
                continue
            if found != true:
                return Succeeded("another text is restored than was saved")
    return Caught("the reader", "each is refused", len(places))


def _unnumbered(original: Callable[..., bytes]) -> Callable[..., bytes]:
    """Any chunk may be the last."""
    return lambda number, is_last: original(number, False)


@attack(
    defence="the last chunk of a backup says that it is the last",
    without=Removal("keys.backups._nonce", _unnumbered),
)
async def cut_backup(stage: Stage) -> Outcome:
    """Cut a backup where a chunk and a line end, so that what is left looks whole."""
    file = stage.directory / "cut"
    lines = [b"%063d\n" % number for number in range(3 * 1024)]  # 1,024 of them fill a chunk
    whole = _backup(file, lines)
    for chunks in (1, 2):
        try:
            found = _read(file, whole[: HEAD + chunks * SEALED_CHUNK])
        except ClientError:
            continue
        return Succeeded(f"{len(found):,} of {len(lines):,} lines are taken for all")
    return Caught("the reader", "refused as incomplete", 2)


@attack(
    defence="a record of a backup has at most 1 MiB",
    without=valued("clients.backup.sealed_files.LINE_MAX", 2**62),
)
async def endless_record(stage: Stage) -> Outcome:
    """Give somebody a backup, with its passphrase, of one record that is larger than their memory."""
    file, size = stage.directory / "endless", 8 * MIB
    whole, read = _backup(file, [b"x" * size + b"\n"]), 0
    real = BackupLock.open_chunk

    def counted(lock: BackupLock, number: int, sealed: bytes, *, is_last: bool) -> bytes:
        nonlocal read
        read += len(sealed)
        return real(lock, number, sealed, is_last=is_last)

    with patch.object(BackupLock, "open_chunk", counted):
        try:
            _read(file, whole)
        except ClientError:
            return Caught("the reader", f"refused after {read / MIB:.1f} of {size / MIB:.0f} MiB")
    return Succeeded(f"{size / MIB:.0f} MiB are held in memory, and would be whatever there is")


def _unchecked(original: object) -> Callable[..., int]:
    return lambda values: CHECKSUM_CONSTANT


def _altered(text: str) -> Iterator[str]:
    """With one character replaced by each other one, swapped with the next, left out, or doubled."""
    begin = text.index("1") + 1
    for at in range(begin, len(text)):
        before, after = text[:at], text[at + 1 :]
        yield from (before + other + after for other in ALPHABET if other != text[at])
        yield before + after[:1] + text[at] + after[1:]
        yield before + after
        yield before + text[at] * 2 + after


@attack(
    defence="addresses and invites end in a checksum that finds any error in up to four characters",
    without=Removal("wire.bech32m._polymod", _unchecked),
)
async def alter_address(stage: Stage) -> Outcome:
    """Alter an address or an invite on its way to somebody by one character, in every way."""
    home = Home(stage.directory, "bob")
    address = home.profile.address
    home.close()
    parsers: list[tuple[str, Callable[[str], Any]]] = [
        (address.text.partition("@")[0], parse_address),
        (invite_text(random.Random(6).randbytes(16)), parse_invite),
    ]
    count = 0
    for text, parse in parsers:
        true = parse(text)
        for altered in _altered(text):
            count += 1
            try:
                found = parse(altered)
            except ClientError:
                continue
            if found != true:
                return Succeeded("another account is taken for the one that was meant")
    return Caught("the reader", "each is refused", count)


def _unordered(original: Callable[[bytes, bytes], str]) -> Callable[[bytes, bytes], str]:
    """A code says which two accounts it is about, and not who shows it."""
    return lambda own, other: original(*sorted((own, other)))


@attack(
    defence="a scanned code says whose fingerprint is whose",
    without=tuple(
        Removal(f"{place}.scannable", _unordered) for place in ("keys.safety_number", "clients.contact_book")
    ),
)
async def show_a_code_back(stage: Stage) -> Outcome:
    """Hold a victim's own code, or another's, before its camera, to be taken for a verified contact."""
    with neighbours(stage.directory, "alice", "mallory", "carol") as (alice, *_):
        room = alice.mailroom
        book = ContactBook(alice.profile, room.contacts, room.history, room.cards, lambda _: None)
        shown = [book.scannable("mallory"), book.scannable("carol"), book.safety_number("carol")]
        for code in shown:
            try:
                book.verify("mallory", code)
            except TrustError:
                assert not book.named("mallory").is_verified
                continue
            return Succeeded("mallory counts as verified by alice's own code")
        return Caught("alice", "another code: said, and not verified", len(shown))


ATTACKS: Final[tuple[Attack, ...]] = (
    costly_backup, change_backup, cut_backup, endless_record, alter_address, show_a_code_back,
)  # fmt: skip
