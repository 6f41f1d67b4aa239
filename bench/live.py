"""Frames between people who are there: interleaved rounds over all systems, one mode at a time.

Owns the order of the rounds; knows no protocol.
"""

import contextlib
from collections.abc import Sequence
from typing import Final

from bench.rows import Row, show
from bench.systems import Mode, System

WARM_UP: Final = 0.3  # seconds
LONGEST: Final = 10.0


def measure(
    mode: Mode, systems: Sequence[System], rounds: int, seconds: float, *, shown: bool = True
) -> list[Row]:
    """Every system in turn, then the next round; medians are then of the same minutes."""
    rows = [Row(mode.name, system.name, system.size) for system in systems]
    with contextlib.ExitStack() as stack:
        generators = [stack.enter_context(system.open(mode)) for system in systems]
        trials = [generator.run(WARM_UP, mode.window) for generator in generators]
        for _ in range(rounds):
            for system, generator, row, trial in zip(systems, generators, rows, trials, strict=True):
                # A run begins with nothing under way, so it must be long beside the time a frame takes.
                length = max(seconds, min(LONGEST, 5 * trial.p50_us / 1e6))
                before = system.cpu()
                figures = generator.run(length, mode.window)
                row.add(figures, system.cpu() - before)
    if shown:
        show(rows)
    return rows
