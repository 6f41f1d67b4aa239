"""Whether a frame costs more where many are stored: the same load over a thousand and a million.

Owns the sizes. The growth over connections is measured in `bench.idle`.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from bench import durable, live
from bench.rows import Row
from bench.systems import DURABLE, LONE, Blindpost
from bench.verdict import BrokenHarness
from tests.support.full_store import fill

STORED: Final = (1_000, 30_000, 1_000_000)
OTHERS: Final = 1_000  # mailboxes that hold them
LONGEST_CHECK: Final = 180.0  # seconds
IDLE_FOR: Final = 0.5
NEEDED: Final = 4 * 1024**3  # bytes of disk


def _wait_for_its_check(relay: Blindpost) -> None:
    """After a start a large database is checked beside everything else, which doubles what a frame costs."""
    until = time.monotonic() + LONGEST_CHECK
    while time.monotonic() < until:
        before = relay.cpu()
        time.sleep(IDLE_FOR)
        if relay.cpu() - before < IDLE_FOR / 20:
            return
    raise BrokenHarness(
        f"a relay computes for {LONGEST_CHECK:.0f} s after its start, and nobody asked for it"
    )


def measure(rounds: int, seconds: float) -> list[Row]:
    """Lone frames, durable puts and the drain, for each."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as temporary:
        if shutil.disk_usage(temporary).free < NEEDED:
            print(f"growth left out: it needs {NEEDED // 1024**3} GB in {temporary}")
            return []
        others = [os.urandom(32) for _ in range(OTHERS)]
        for stored in STORED:
            directory = Path(temporary) / str(stored)
            directory.mkdir()
            fill(directory / "relay.db", others, stored)
            with Blindpost(directory) as relay:
                _wait_for_its_check(relay)
                found = live.measure(LONE, [relay], rounds, seconds, shown=False)
                found += durable.measure(relay, [], rounds, seconds, directory, DURABLE[:1])
            for row in found:
                row.mode, row.system = "growth", f"{row.mode}, {stored:,} frames stored"
            rows += found
            shutil.rmtree(directory)
    return rows
