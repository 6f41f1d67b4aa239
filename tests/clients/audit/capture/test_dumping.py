"""A core dump is taken where the system allows it, read whole and deleted; else there is a reason."""

import os
import resource
import sys
from pathlib import Path

import pytest

from clients.audit.capture.dumping import PATTERN, core_dump
from clients.audit.capture.evidence import Evidence, Place, Source
from clients.audit.capture.relays import OwnRelay

# No relay: it forbids nothing, so that a core dump of it can be had without any right.
HOLDER = """
import json, sys, time
value = bytes.fromhex("{mirrored}")[::-1]
print(json.dumps({{"url": "ws://127.0.0.1:1"}}), flush=True)
time.sleep(60)
"""


def goes_to_a_file() -> bool:
    return not PATTERN.read_text().startswith("|") and "/" not in PATTERN.read_text()


async def test_what_was_in_memory_is_in_the_dump_and_then_it_is_gone(tmp_path: Path) -> None:
    value = os.urandom(32)
    program = (sys.executable, "-c", HOLDER.format(mirrored=value[::-1].hex()))
    relay = OwnRelay(tmp_path, program)
    await relay.start()
    try:
        dump = await core_dump(relay)
        is_allowed = (
            goes_to_a_file() and resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY
        )
        assert isinstance(dump, Source) or not is_allowed, dump
        if isinstance(dump, str):
            return
        (tmp_path / "evidence").mkdir()
        evidence = Evidence(tmp_path / "evidence")
        assert evidence.take(dump, "at the end").is_whole
        assert any(value in data for _, data in evidence.pieces(Place.CORE))
        assert [*relay.working.iterdir()] == []
    finally:
        await relay.kill()


async def test_a_real_relay_gives_one_or_there_is_a_reason(tmp_path: Path) -> None:
    relay = OwnRelay(tmp_path)
    await relay.start()
    try:
        dump = await core_dump(relay)
        if isinstance(dump, str):
            assert not goes_to_a_file() or "CAP_SYS_RESOURCE" in dump
            assert await relay.stop() == 0  # it was left as it was
        else:
            (tmp_path / "evidence").mkdir()
            evidence = Evidence(tmp_path / "evidence")
            assert evidence.take(dump, "at the end").is_whole
            assert any(
                (relay.data / "relay.key").read_bytes() in data for _, data in evidence.pieces(Place.CORE)
            )
    finally:
        await relay.kill()


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("|/usr/share/apport/apport %p\n", "a program (/usr/share/apport/apport)"),
        ("/var/core.%p", "a place of"),
    ],
)
async def test_where_dumps_go_elsewhere_the_relay_is_left_alone(
    tmp_path: Path, pattern: str, reason: str
) -> None:
    (tmp_path / "pattern").write_text(pattern)
    said = await core_dump(OwnRelay(tmp_path), tmp_path / "pattern")
    assert isinstance(said, str)
    assert reason in said
