"""What is read of a real process and its files: all of it, or it is said what was not."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.audit.capture.sight import PAGE, PIECE, Sight, file, files, memory, open_files

HOLDER = """
import os, sys, tempfile
value = bytes.fromhex(sys.stdin.readline())
directory = sys.stdin.readline().strip() or None
big = bytearray({size})
big[{at}:{at} + len(value)] = value
unnamed = tempfile.TemporaryFile(dir=directory)
unnamed.write(b"in no directory: " + value)
unnamed.flush()
removed = tempfile.NamedTemporaryFile(dir=directory, delete=False)
removed.write(b"in none any more: " + value)
removed.flush()
os.unlink(removed.name)
named = tempfile.NamedTemporaryFile(dir=directory)
named.write(b"in a directory: " + value)
named.flush()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(value: bytes, size: int, at: int, directory: Path | str = "") -> Iterator[int]:
    """A process that has a value, told through a pipe, in its memory and in open files, named and unnamed."""
    program = HOLDER.format(size=size, at=at)
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{value.hex()}\n{directory}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


def test_a_value_in_memory_is_seen_also_where_two_pieces_meet() -> None:
    value = os.urandom(32)
    with holding(value, 3 * PIECE, 2 * PIECE - 40) as pid:
        sight = Sight("holder")
        assert sum(value in data for _, data in memory(pid, sight)) >= 1
        assert sight.is_whole
        assert sight.bytes_read > 3 * PIECE


HIDER = """
import ctypes, mmap, sys
page = mmap.mmap(-1, mmap.PAGESIZE, {flags})
page.write(bytes.fromhex("{mirrored}")[::-1])
start = ctypes.addressof(ctypes.c_char.from_buffer(page))
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
print(hex(start), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("flags", ["mmap.MAP_SHARED", "mmap.MAP_PRIVATE"])
def test_memory_that_a_process_may_not_read_itself_is_seen(flags: str) -> None:
    value = os.urandom(32)
    program = HIDER.format(flags=flags, mirrored=value[::-1].hex())
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        start = int(process.stdout.readline(), 16)
        sight = Sight("hider")
        places = {where.rpartition(" at ")[2] for where, data in memory(process.pid, sight) if value in data}
        assert sight.is_whole
        assert hex(start) in places
        process.stdin.close()


@pytest.mark.parametrize("is_below", [False, True])
def test_files_that_only_their_process_can_name_are_seen(tmp_path: Path, is_below: bool) -> None:
    value = os.urandom(32)
    with holding(value, 64, 0, tmp_path if is_below else "") as pid:
        sight = Sight("holder")
        seen = {data.removesuffix(value) for _, data in open_files(pid, tmp_path, sight) if value in data}
        elsewhere = set() if is_below else {b"in a directory: "}
        assert seen == {b"in no directory: ", b"in none any more: "} | elsewhere
        assert sight.is_whole


def test_files_are_seen_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "canary-name").write_bytes(b"content")
    sight = Sight("disk")
    assert [data for _, data in files(tmp_path, sight)] == [b"deep\n", b"deep/canary-name\ncontent"]
    assert (sight.bytes_read, sight.is_whole) == (7, True)


def test_what_a_directory_says_of_a_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "leads-nowhere").symlink_to("a-canary-that-is-no-file")
    (tmp_path / "marked").write_bytes(b"content")
    expected = {b"leads-nowhere\na-canary-that-is-no-file\n", b"marked\ncontent"}
    with contextlib.suppress(OSError):  # a file system without extended attributes
        os.setxattr(tmp_path / "marked", "user.note", b"a canary")
        expected = {*expected, b"marked\nuser.note\na canary\ncontent"} - {b"marked\ncontent"}
    sight = Sight("disk")
    assert {data for _, data in files(tmp_path, sight)} == expected
    assert sight.is_whole


def test_names_of_what_is_open_elsewhere_are_seen(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a-canary")
    with open(os.open(tmp_path / "a-canary", os.O_RDWR | os.O_NONBLOCK), "rb"):
        seen = b"".join(data for _, data in open_files(os.getpid(), tmp_path / "deeper", Sight("here")))
    assert os.fsencode(tmp_path / "a-canary") in seen


def test_a_value_in_a_file_is_seen_also_where_two_pieces_meet(tmp_path: Path) -> None:
    value = os.urandom(32)
    (tmp_path / "big").write_bytes(bytes(PIECE - 16) + value)
    sight = Sight("disk")
    assert sum(value in data for _, data in files(tmp_path, sight)) == 1
    assert sight.bytes_read == PIECE + 16
    assert [len(data) for _, data in file(tmp_path / "big", "big", Sight("end"), start=PIECE)] == [16]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = Sight("gone")
    assert list(memory(process.pid, gone)) == []
    assert list(open_files(process.pid, tmp_path, gone)) == []
    assert len(gone.unread) == 2
    assert not gone.is_whole
    nothing = Sight("nothing")
    assert list(files(tmp_path / "nothing here", nothing)) == []
    assert not nothing.is_whole


MAPPER = """
import mmap, sys
name, places, value = sys.argv[1], sys.argv[2:], bytes.fromhex(sys.stdin.readline())
with open(name, "rb") as opened:
    mapped = mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
sum(mapped[::4096])
for at in map(int, places):
    mapped[at:at + len(value)] = value
untouched = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE)
print("ready", flush=True)
sys.stdin.read()
"""


def seen_of(file: Path, sight: Sight, value: bytes = b"", places: tuple[int, ...] = ()) -> list[bytes]:
    """What is read of a private mapping of `file`, into which a process wrote `value` here and there."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", MAPPER, str(file), *map(str, places)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(value.hex().encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        found = [data for where, data in memory(process.pid, sight) if str(file) in where]
        process.stdin.close()
    assert sight.is_whole
    return found


def test_of_a_file_from_before_the_audit_only_the_pages_that_were_written_are_read() -> None:
    old = next(path for path in Path(os.__file__).parent.glob("*.py") if path.stat().st_size > 42 * PAGE)
    value = os.urandom(32)
    near, far = seen_of(old, Sight("mapper"), value, (2 * PAGE - 16, 9 * PAGE, 40 * PAGE))
    assert (len(near), near.count(value)) == (9 * PAGE, 2)
    assert (len(far), far.count(value)) == (PAGE, 1)
    untouched = Sight("mapper")
    assert seen_of(old, untouched) == []
    assert untouched.passed_over > 64 << 20 > untouched.bytes_read


def test_a_file_that_came_with_the_audit_is_read_where_it_is_mapped(tmp_path: Path) -> None:
    value = os.urandom(32)
    (tmp_path / "new").write_bytes(bytes(64 * PAGE) + value)
    assert any(value in data for data in seen_of(tmp_path / "new", Sight("mapper")))
