"""The way to a terminal that is slow or stands still."""

import asyncio
import contextlib
import os
from collections.abc import Iterator

import pytest

from clients.chat import wire as wire_module
from clients.chat.wire import Wire, open_output

MUCH = "x" * 300_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A terminal's two ends: what is read, and what does not block."""
    read, write = os.pipe()
    for end in (read, write):
        os.set_blocking(end, False)
    yield read, write
    os.close(read)


async def test_what_is_not_taken_now_goes_out_later_and_nobody_waits(pipe: tuple[int, int]) -> None:
    drained = asyncio.Event()
    wire = Wire(pipe[1], "utf-8", drained.set)
    wire.write(MUCH)
    wire.flush()
    wire.write("end")
    wire.flush()
    was_busy = wire.is_busy
    assert was_busy
    got = b""
    while not got.endswith(b"end"):
        with contextlib.suppress(BlockingIOError):
            got += os.read(pipe[0], 65536)
        await asyncio.sleep(0)
    await drained.wait()
    assert got.decode() == MUCH + "end"
    assert not wire.is_busy
    wire.close()


async def test_a_terminal_that_stands_still_is_not_waited_for_at_the_end(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_module, "DRAIN_WITHIN", 0.01)
    wire = Wire(pipe[1], "utf-8", lambda: None)
    wire.write(MUCH)
    wire.flush()
    wire.close()
    assert not wire.is_busy


def test_a_terminal_that_is_gone_is_no_exception() -> None:
    read, write = os.pipe()
    os.close(read)
    wire = Wire(write, "utf-8", lambda: None)
    wire.write("to nobody")
    wire.flush()
    assert not wire.is_busy
    wire.close()


def test_what_an_encoding_lacks_is_replaced(pipe: tuple[int, int]) -> None:
    wire = Wire(pipe[1], "ascii", lambda: None)
    wire.write("a\u2713b")
    wire.flush()
    assert os.read(pipe[0], 10) == b"a?b"
    wire.close()


def test_the_descriptor_of_others_keeps_blocking() -> None:
    master, slave = os.openpty()
    with open(slave, "w") as stream:
        output, wire = open_output(stream, lambda: None)
        assert wire is not None
        output.write_raw("hello")
        output.flush()
        assert os.read(master, 10) == b"hello"
        assert os.get_blocking(slave)
        wire.close()
    os.close(master)
