"""The auditor's own key: made once, kept from others, never made anew over one that is damaged."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clients.audit.reporting.auditor_key import own_auditor
from clients.config import auditor_key_path
from clients.errors import StorageError


def test_it_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "data" / "blindpost" / "auditor.key"
    made = own_auditor(file)
    assert own_auditor(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.read_text() == made.seed.hex() + "\n"
    assert own_auditor(tmp_path / "other.key").key != made.key


@pytest.mark.parametrize(
    "content", [b"", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64, b"00" * 32 + b"\n00"]
)
def test_what_holds_no_key_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "auditor.key"
    file.write_bytes(content)
    file.chmod(0o644)  # nobody is told to take a file from others that is none of the auditor's
    with pytest.raises(StorageError, match="holds no auditor's key"):
        own_auditor(file)
    assert file.read_bytes() == content


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "auditor.key"
    own_auditor(file)
    file.chmod(0o640)
    with pytest.raises(StorageError, match="chmod 600"):
        own_auditor(file)


def test_a_directory_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read or made: Is a directory"):
        own_auditor(tmp_path)


def test_it_stands_beside_the_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert auditor_key_path() == tmp_path / "blindpost" / "auditor.key"


def test_two_audits_that_begin_at_once_have_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            file = tmp_path / str(number) / "auditor.key"
            file.parent.mkdir()
            assert len({auditor.key for auditor in pool.map(own_auditor, [file] * 8)}) == 1
            assert [each.name for each in file.parent.iterdir()] == ["auditor.key"]
