"""How many devices log in per second: connect, upgrade, hello, login with true signatures, and away again.

Owns the processes that do so on the generator's core, and what they cost. The relay's own CPU time for a
login is the figure that does not depend on them.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from bench.crowd import AT_ONCE, Person, enter, log_in
from bench.generator import last_core
from bench.measured_relay import MeasuredRelay
from bench.rows import Row
from wire.addresses import RelayUrl

PROCESSES: Final = 3  # one computes while the others wait for the relay
PEOPLE: Final = 64  # of each process: logged in together, then away together


@dataclass(frozen=True, slots=True)
class Done:
    """What one process did."""

    logins: int
    cpu: float  # seconds


def pin() -> None:
    """Work on the generator's core."""
    os.sched_setaffinity(0, {last_core()})


def log_in_again_and_again(url: RelayUrl, people: Sequence[Person], seconds: float) -> Done:
    """All of them, until the time is over."""
    until, used, logins = time.monotonic() + seconds, time.process_time(), 0
    while time.monotonic() < until:
        lines = log_in(url, people)
        logins += len(lines)
        for line in lines:
            line.socket.close()
    return Done(logins, time.process_time() - used)


def measure(relay: MeasuredRelay, rounds: int, seconds: float, name: str = "blindpost") -> list[Row]:
    """One row."""
    crowds = [[Person.generate() for _ in range(PEOPLE)] for _ in range(PROCESSES)]
    for crowd in crowds:
        assert len(crowd) <= AT_ONCE
        for line in enter(relay.url, crowd, tokens=False, pull=False):
            line.socket.close()
    row = Row("logins", name, 0)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, pin) as pool:
        for length in (0.1, *[seconds] * rounds):
            before, start = relay.cpu(), time.monotonic()
            working = [pool.submit(log_in_again_and_again, relay.url, crowd, length) for crowd in crowds]
            done = [each.result() for each in working]
            taken, used = time.monotonic() - start, relay.cpu() - before
            if length == seconds:
                logins = sum(each.logins for each in done)
                row.rates.append(logins / taken)
                row.cpu_us.append(1e6 * used / logins)
                row.generator.append(sum(each.cpu for each in done) / taken)
    row.note = f"the relay alone would do {1e6 / min(row.cpu_us):,.0f}/s"
    return [row]
