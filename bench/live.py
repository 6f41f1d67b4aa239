"""Frames between people who are there: interleaved rounds over all systems, one mode at a time.

Owns the order of the rounds; knows no protocol.
"""

import contextlib
import time
from collections.abc import Sequence

from bench.rows import Row, show
from bench.systems import Mode, System

WARM_UP = 0.3  # seconds


def measure(mode: Mode, systems: Sequence[System], rounds: int, seconds: float) -> list[Row]:
    """Every system in turn, then the next round; medians are then of the same minutes."""
    rows = [Row(mode.name, system.name, system.size) for system in systems]
    with contextlib.ExitStack() as stack:
        generators = [stack.enter_context(system.open(mode)) for system in systems]
        for generator in generators:
            generator.run(WARM_UP, mode.window)
        for _ in range(rounds):
            for system, generator, row in zip(systems, generators, rows, strict=True):
                before = system.cpu()
                figures = generator.run(seconds, mode.window)
                row.add(figures, system.cpu() - before)
        time.sleep(0)
    show(rows)
    return rows
