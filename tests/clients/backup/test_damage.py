"""Backups that are damaged, sealed wrongly or larger than memory: they change nothing and quote nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clients.backup.making import back_up
from clients.backup.records import LINE_MAX, decode_record
from clients.backup.restoring import restore
from clients.backup.sealed_files import opened, write_sealed
from clients.config import ClientConfig
from clients.errors import ClientError, LockedError, StorageError, UsageError
from keys.backups import CHUNK, HEAD, BackupLock
from tests.clients.backup.conftest import PASSPHRASE
from tests.clients.backup.restored import SECRET, lines_of, lock, nobody, silent
from tests.support.homes import Home


async def test_a_wrong_passphrase_or_a_damaged_backup_changes_nothing(
    homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    alice, bob = homes
    for number in range(3):
        alice.say(bob, f"{number}" * 60_000)
    await back_up(alice.config, file, PASSPHRASE, silent)
    good = file.read_bytes()
    assert len(good) > 3 * CHUNK
    config = ClientConfig(tmp_path / "again")
    with pytest.raises(LockedError, match="does not open"):
        restore(config, file, PASSPHRASE + "!", None, nobody)
    second = HEAD + CHUNK + 16
    damaged = {
        "cut": good[:-1],
        "cut between chunks": good[:second],
        "cut to its head": good[:HEAD],
        "longer": good + b"x",
        "a bit of the last chunk": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
        "another order": good[:HEAD] + good[second : second + CHUNK + 16] + good[HEAD:second]
        + good[second + CHUNK + 16 :],
    }  # fmt: skip
    for name, content in damaged.items():
        file.write_bytes(content)
        with pytest.raises(StorageError, match="damaged"):
            restore(config, file, PASSPHRASE, None, nobody)
        assert not config.profile.exists(), name
    for other in (b"", b"no backup at all", good[1:]):
        file.write_bytes(other)
        with pytest.raises(UsageError, match="no backup"):
            restore(config, file, PASSPHRASE, None, nobody)
    assert not config.profile.exists()
    file.write_bytes(good)
    assert restore(config, file, PASSPHRASE, None, nobody)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, lines[0]],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines[:-1], b'{"record":"sessions"}'],
        lambda lines: [*lines[:-1], lines[-1][:-1] + b',"sessions":"AAAA"}'],
        lambda lines: [*lines[:-1], b""],
        lambda lines: [],
    ],
)
async def test_a_backup_that_was_sealed_wrongly_changes_nothing(
    change: Callable[[list[bytes]], list[bytes]], homes: tuple[Home, Home], tmp_path: Path, file: Path
) -> None:
    """Whoever knows the passphrase can seal anything: it is judged all the same."""
    alice, _ = homes
    await back_up(alice.config, file, PASSPHRASE, silent)
    lines = [line + b"\n" for line in change(lines_of(file))] or [b"\n"]
    write_sealed(file, lock(), lines)
    config = ClientConfig(tmp_path / "again")
    with pytest.raises(StorageError, match="damaged"):
        restore(config, file, PASSPHRASE, None, nobody)
    assert not config.profile.exists()


def test_a_backup_keeps_little_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and lines of any number; one of each at a time."""
    sizes: list[int] = []
    genuine = BackupLock.open_chunk

    def noted(self: BackupLock, number: int, sealed: bytes, *, is_last: bool) -> bytes:
        sizes.append(len(sealed))
        return genuine(self, number, sealed, is_last=is_last)

    write_sealed(file, lock(), (b"x" * 99_999 + b"\n" for _ in range(100)))
    monkeypatch.setattr(BackupLock, "open_chunk", noted)
    with opened(file, SECRET) as lines:
        for number, line in enumerate(lines, start=1):
            assert len(line) == 99_999
            assert sum(sizes) <= number * 100_000 + 2 * (CHUNK + 16)
    assert number == 100
    write_sealed(file, lock(), iter([b"x" * (LINE_MAX + 2 * CHUNK)]))
    with opened(file, SECRET) as lines, pytest.raises(StorageError):
        next(lines)


def test_records_quote_nothing_when_they_are_refused() -> None:
    with pytest.raises(ValueError, match="no record") as refused:
        decode_record(b'{"record":"message","body":"secret words"}')
    assert "secret" not in str(refused.value)
    assert not isinstance(refused.value, ClientError)
