"""Targets for what comes back from files, from a relay's keeping and from an operator's hand."""

import atexit
import io
import tempfile
from functools import cache
from pathlib import Path

from clients.backup import sealed_files
from clients.backup.records import ProfileRecord, decode_record
from clients.errors import StorageError
from keys.backups import CHUNK, HEAD, BackupLock, Parameters, decode_parameters
from keys.checkpoint import SIZE, Checkpoint, open_checkpoint, seal_checkpoint
from keys.errors import DecryptError
from relay.buckets import Rate
from relay.registration import AllowListError, read_allow_list
from relay.store.mark import Mark, MarkError, read_mark, write_mark
from tests.fuzz.target import Choices, Target, script
from tests.fuzz.vector_seeds import texts
from tests.keys.parties import ALICE, BOB, Seeded
from wire.errors import WireError
from wire.invites import invite_text, parse_invite

LOCK = BackupLock(bytes(HEAD), bytes(32))
BEEN = Checkpoint(1, bytes(16), (1, 2, 3, 4, 5))


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="blindpost-fuzz-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def backup_head(data: bytes) -> None:
    """`decode_parameters`: nothing that costs more than the bounds is ever derived."""
    try:
        parameters = decode_parameters(data)
    except WireError:
        return
    assert data.startswith(parameters.encode())
    assert len(data) == HEAD


def backup_record(data: bytes) -> None:
    """`decode_record`."""
    try:
        record = decode_record(data)
    except ValueError as error:
        assert len(str(error)) < 100, "the line is quoted"
        return
    assert decode_record(record.encode()) == record


def backup_chunks(data: bytes) -> None:
    """The chunks of a backup, sealed rightly and then cut, changed or put together: whole, or damaged."""
    choices = Choices(data)
    sizes = [choices.number(3) % (2 * CHUNK) for _ in range(1 + choices.below(4))]
    lines = [b"x" * size + b"\n" for size in sizes]
    whole = b"".join(sealed_files._sealed(LOCK, lines))
    given = choices.spoil(whole)[: len(whole) - choices.number(2)] + choices.part()
    try:
        found = [*sealed_files._lines(sealed_files._chunks(io.BytesIO(given), LOCK))]
    except StorageError:
        assert given != whole
        return
    assert given == whole
    assert found == [line[:-1] for line in lines]


def checkpoint(data: bytes) -> None:
    """`open_checkpoint`: only what this device has sealed opens, whatever a relay shows."""
    choices = Choices(data)
    whole = seal_checkpoint(ALICE.device, BEEN, Seeded("checkpoint"))
    given = choices.rest() if choices.below(2) else choices.spoil(whole)
    try:
        opened = open_checkpoint(ALICE.device, given)
    except DecryptError:
        return
    assert given == whole
    assert opened == BEEN


def invite(data: bytes) -> None:
    """`parse_invite`."""
    text = data.decode("utf-8", "replace")
    try:
        value = parse_invite(text)
    except WireError as error:
        assert str(error).isascii()
        return
    assert invite_text(value) == text.strip().lower()


def rate(data: bytes) -> None:
    """`Rate.parse`: what an operator writes."""
    text = data.decode("utf-8", "replace")
    try:
        parsed = Rate.parse(text)
    except ValueError:
        return
    assert Rate.parse(str(parsed)) == parsed
    assert parsed.interval > 0


def mark(data: bytes) -> None:
    """`read_mark`: a damaged file beside the relay's database is an error, and never another mark."""
    path = _folder() / "relay.mark"
    path.write_bytes(data)
    try:
        found = read_mark(path)
    except MarkError:
        return
    assert found is not None
    write_mark(path, found)
    assert read_mark(path) == found


def allow_list(data: bytes) -> None:
    """`read_allow_list`."""
    path = _folder() / "allowed"
    path.write_bytes(data)
    try:
        keys = read_allow_list(path)
    except AllowListError as error:
        assert "\n" not in str(error)
        return
    assert all(len(key) == 32 for key in keys)


def _head() -> bytes:
    return Parameters(bytes(16)).encode() + bytes(32)


def _marks() -> list[bytes]:
    path = _folder() / "seed.mark"
    write_mark(path, Mark("ab", 1, 2, 3, 4))
    return [
        path.read_bytes(),
        b'{"store":1,"commits":1.5}',
        b"[" * 4000,
        b'{"store":"a","commits":true}',
        b"{}",
    ]


def _records() -> list[bytes]:
    profile = ProfileRecord(made=1, account=ALICE.account.seed, relay="relay.example", contacts=1, messages=0)
    lists = b'{"record":"relay","origin":"wss://a","relay_key":"' + b"A" * 43 + b'"}'
    return [
        profile.encode(),
        lists,
        b'{"record":"none"}',
        b'{"record":"token","purpose":"contacts"}',
        b"\xff",
    ]


TARGETS = (
    Target("backup_head", backup_head, lambda: [_head(), _head()[:-1], _head() + b"\0"], max_input=100),
    Target("backup_record", backup_record, _records, (b'"record":"', b'"message"', b'"contact"')),
    Target(
        "backup_chunks",
        backup_chunks,
        lambda: [
            b"\0\0\0\x20\0",
            b"\1\0\0\1\0\xff\xff\0\0\0",
            b"\0\1\0\0\1\0\1\1" + bytes(8),
            b"\2\0\xff\xff\1\0\1\0\0\7\0",
        ],
        max_input=300,
    ),
    Target("checkpoint", checkpoint, lambda: [b"\0\0", b"\0\1\0\x20\1", b"\1" + bytes(SIZE)], max_input=200),
    Target("invite", invite, lambda: [invite_text(bytes(16)).encode(), b"bpinvite1q"]),
    Target("rate", rate, lambda: [b"1000+100/s", b"20+6/min", b"6+6/h", b"0+0/s", b"+1/s"], max_input=60),
    Target("mark", mark, _marks),
    Target(
        "allow_list",
        allow_list,
        lambda: [b"\n".join(texts("addresses", "valid")) + b"\n# a comment\n", script(b"x"), BOB.account.key],
    ),
)  # fmt: skip
