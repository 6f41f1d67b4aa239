"""What a run of the bench leaves: one row for each system in each mode, and how it is printed.

Owns the record; knows nothing of how it was measured.
"""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.generator import FULL, Figures


@dataclass(slots=True)
class Row:
    """One system in one mode. A list has one value for each round."""

    mode: str
    system: str
    size: int  # bytes of payload
    rates: list[float] = field(default_factory=list)  # per second
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # the server's, per frame
    generator: list[float] = field(default_factory=list)  # share of its core
    note: str = ""

    def add(self, figures: Figures, server_cpu: float) -> None:
        """One more round; `server_cpu` in seconds."""
        self.rates.append(figures.rate)
        self.p50_us.append(figures.p50_us)
        self.p99_us.append(figures.p99_us)
        self.cpu_us.append(1e6 * server_cpu / max(1, figures.all))
        self.generator.append(figures.cpu)

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def p50(self) -> float:
        """The median of the rounds' p50, us."""
        return statistics.median(self.p50_us)

    @property
    def p99(self) -> float:
        """The median of the rounds' p99, us."""
        return statistics.median(self.p99_us)

    @property
    def generator_is_full(self) -> bool:
        """Whether the generator may have been what bounds this."""
        return bool(self.generator) and statistics.median(self.generator) > FULL

    def as_json(self) -> dict[str, Any]:
        """As it is written to a file."""
        return asdict(self)


HEAD = f"{'':44}{'1/s':>12}{'p50 us':>10}{'p99 us':>10}{'cpu us':>9}{'gen':>6}"


def line(row: Row) -> str:
    """One row for a terminal."""

    def cell(values: list[float], width: int, shape: str) -> str:
        return f"{statistics.median(values):{width}{shape}}" if values else " " * width

    name = f"{row.system}, {row.size} B" if row.size else row.system
    full = "  generator full" if row.generator_is_full else ""
    return (
        f"{row.mode:9} {name:34}{cell(row.rates, 12, ',.0f')}{cell(row.p50_us, 10, ',.0f')}"
        f"{cell(row.p99_us, 10, ',.0f')}{cell(row.cpu_us, 9, '.2f')}{cell(row.generator, 6, '.0%')}"
        f"{full}{'  ' + row.note if row.note else ''}"
    )


def show(rows: Iterable[Row]) -> None:
    """Print rows as they come."""
    for row in rows:
        print(line(row), flush=True)
