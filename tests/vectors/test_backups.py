"""backups.json: whole backups, and heads and chunks that do not open."""

import hashlib
from typing import Any

import pytest

from keys.backups import CHUNK, BackupLock, Parameters, decode_parameters
from tests.vectors import independent
from tests.vectors.reading import cases, fails, load, unhex

FILE = load("backups")


def content_of(item: dict[str, Any]) -> bytes:
    """The content that the file describes instead of holding it."""
    function, text = item["content_is"].split(" of ")
    assert function == "shake_256"
    return hashlib.shake_256(text.strip("'").encode()).digest(item["content_size"])


@pytest.mark.parametrize("item", FILE["backups"], ids=lambda item: item["name"])
def test_backups(item: dict[str, Any]) -> None:
    passphrase, salt, content = item["passphrase"].encode(), unhex(item["salt"]), content_of(item)
    lock = BackupLock.open(passphrase, unhex(item["head"]))
    assert decode_parameters(lock.head) == Parameters(salt, item["operations"], item["memory"])
    assert lock.key.hex() == item["key"]
    pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
    sealed = [lock.seal(i, piece, is_last=i == len(pieces) - 1) for i, piece in enumerate(pieces)]
    whole = lock.head + b"".join(sealed)
    assert whole == independent.backup(passphrase, item["operations"], item["memory"], salt, content)
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (item["file_size"], item["file_sha256"])
    assert item.get("file", whole.hex()) == whole.hex()
    opened = [lock.open_chunk(i, piece, is_last=i == len(sealed) - 1) for i, piece in enumerate(sealed)]
    assert b"".join(opened) == content


@pytest.mark.parametrize("item", cases(FILE["refused_heads"] + FILE["not_opening_heads"]))
def test_heads_that_are_refused(item: dict[str, str]) -> None:
    passphrase = FILE["backups"][0]["passphrase"].encode()
    fails(item, lambda: BackupLock.open(passphrase, unhex(item["head"])))


@pytest.mark.parametrize("item", cases(FILE["refused_chunks"]))
def test_chunks_that_are_refused(item: dict[str, Any]) -> None:
    first = FILE["backups"][0]
    lock = BackupLock.open(first["passphrase"].encode(), unhex(first["head"]))
    fails(item, lambda: lock.open_chunk(item["number"], unhex(item["chunk"]), is_last=item["is_last"]))
