"""The goals that were set before the relay was fast, and what this run says of them: reported, not judged.

Owns the goals; a ratio is of the medians of one run. Knows no server.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.peers.comparison import (
    FASTAPI,
    JETSTREAM,
    LIMIT,
    MQTT_1,
    NATS,
    NATS_REQUEST,
    SQLITE,
)
from bench.rows import Row

OURS: Final = "blindpost"
FASTEST: Final = "blindpost, compiled, on uvloop"  # what both options make of it
ENVELOPE: Final = 1024  # the smallest that there is: peers are compared at this size, and at the table's 256
Measure = Callable[[Row], float]


def rate(row: Row) -> float:
    """Frames per second."""
    return row.rate


def p50(row: Row) -> float:
    """Median latency, us."""
    return row.p50


def p99(row: Row) -> float:
    """99th percentile of the latency, us."""
    return row.p99


@dataclass(frozen=True, slots=True)
class Goal:
    """`mode` at least (where it is to be small: at most) so many times `peer`; without one an amount."""

    text: str
    mode: str
    wanted: float
    peer: str | None = None
    of: Measure = rate
    at_most: bool = False


GOALS: Final = (
    Goal("lone, beside nats-server best effort", "lone", 0.8, NATS),
    Goal("lone, beside nats request-reply", "lone", 1.5, NATS_REQUEST),
    Goal("2,000 users, beside nats-server best effort", "2000", 1.0, NATS),
    Goal("burst, beside nats-server best effort", "burst", 0.3, NATS),
    Goal("burst, beside mosquitto QoS 1", "burst", 2.5, MQTT_1),
    Goal("burst, beside the FastAPI route", "burst", 6.0, FASTAPI),
    Goal("recipient away, beside JetStream (not fsynced)", "durable", 2.0, JETSTREAM),
    Goal("recipient away, one in flight, beside JetStream", "durable 1", 2.0, JETSTREAM),
    Goal("recipient away, beside SQLite alone", "durable", 0.5, SQLITE),
    Goal("latency of one pair, p50, beside the C forwarder", "pair", 1.3, LIMIT, p50, at_most=True),
    Goal("latency of one pair, p99, beside the C forwarder", "pair", 1.5, LIMIT, p99, at_most=True),
    Goal("lone saturated, p99, beside the C forwarder", "lone", 2.5, LIMIT, p99, at_most=True),
    Goal("KiB per idle logged-in connection, 10,000", "idle", 6.0, at_most=True),
    Goal("logins per second", "logins", 3000.0),
    Goal("client pair and relay on two cores, messages per second, 64 at a time", "client", 1500.0),
)
IDLE_GOAL_ROW: Final = "KiB per idle device connection, 10,000"
CLIENT_GOAL_ROW: Final = "sent, shown and receipted, 64 at a time"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A goal and what was found: a ratio or an amount for each size of the peer that was measured."""

    goal: Goal
    found: dict[int, float]  # by the peer's size of payload; 0 for an amount
    fastest: float | None = None  # the same for the compiled relay, beside the peer at our own size

    @property
    def judged(self) -> float | None:
        """What the goal is held against: the peer at our own size, where there is one."""
        return self.found.get(ENVELOPE, self.found.get(0))

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.judged is None:
            return None
        return self.judged <= self.goal.wanted if self.goal.at_most else self.judged >= self.goal.wanted

    @property
    def verdict(self) -> str:
        """In a word."""
        return {None: "not measured", True: "met", False: "missed"}[self.met]

    def shown(self, size: int) -> str:
        """The figure for this size of the peer's payload."""
        if size not in self.found:
            return ""
        return f"{self.found[size]:.2f} x" if self.goal.peer else f"{self.found[size]:,.1f}"

    @property
    def shown_fastest(self) -> str:
        """The figure for the compiled relay, where it was measured."""
        return "" if self.fastest is None else f"{self.fastest:.2f} x"

    @property
    def wanted(self) -> str:
        """The goal as text."""
        sign = "<=" if self.goal.at_most else ">="
        return f"{sign} {self.goal.wanted:g} x" if self.goal.peer else f"{sign} {self.goal.wanted:,g}"


def _ours(rows: Sequence[Row], goal: Goal) -> Row | None:
    for row in rows:
        if row.mode == goal.mode and (
            row.system == OURS
            or (row.mode == "idle" and row.system == IDLE_GOAL_ROW)
            or (row.mode == "client" and row.system == CLIENT_GOAL_ROW)
        ):
            return row
    return None


def _beside(rows: Sequence[Row], goal: Goal, ours: Row) -> dict[int, float]:
    """Ratios to the peer, by its size of payload."""
    peers = [row for row in rows if row.mode == goal.mode and row.system == goal.peer and goal.of(row) > 0]
    return {row.size: goal.of(ours) / goal.of(row) for row in peers}


def outcomes(rows: Sequence[Row]) -> list[Outcome]:
    """Every goal, as far as this run says something of it."""
    all_of_them = []
    for goal in GOALS:
        ours = _ours(rows, goal)
        if ours is None or goal.peer is None:
            all_of_them.append(Outcome(goal, {} if ours is None else {0: ours.rate}))
            continue
        fastest = [row for row in rows if row.mode == goal.mode and row.system == FASTEST]
        compiled = _beside(rows, goal, fastest[0]).get(ENVELOPE) if fastest else None
        all_of_them.append(Outcome(goal, _beside(rows, goal, ours), compiled))
    return all_of_them


def show(rows: Sequence[Row]) -> None:
    """Print the goals that this run says something of."""
    said = [outcome for outcome in outcomes(rows) if outcome.found]
    if not said:
        return
    print(f"\n{'':60}{'goal':>10}{'256 B':>10}{'1 KiB':>10}{'':9}{'compiled':>10}")
    for outcome in said:
        figure = outcome.shown(ENVELOPE) or outcome.shown(0)
        shown = f"{outcome.wanted:>10}{outcome.shown(256):>10}{figure:>10}  {outcome.verdict:7}"
        print(f"{outcome.goal.text:60}{shown}{outcome.shown_fastest:>10}")
    print(
        "(blindpost at 1 KiB, its smallest envelope, against the peer at 256 B and at 1 KiB; judged at 1 KiB;"
        " compiled: what uvloop and machine code make of it, at 1 KiB)"
    )
