"""Frames for people who are away, and what happens when they come back.

Owns the rounds of durable puts and of the drain; a put counts when the server says that it has it.
"""

from collections.abc import Callable

from bench.crowd import Person
from bench.generator import Generator
from bench.rows import Row
from bench.systems import PRODUCERS, Blindpost, System

TRIAL = 40  # frames of each producer, to find out how many a round takes


def put_for(generator: Generator, seconds: float, row: Row, cpu: Callable[[], float]) -> int:
    """A short trial, then as many puts as take about so long. Returns the frames of each producer."""
    trial = generator.put(TRIAL, PRODUCERS.window)
    each = max(TRIAL, int(trial.rate * seconds / PRODUCERS.flows))
    before = cpu()
    row.add(generator.put(each, PRODUCERS.window), cpu() - before)
    return TRIAL + each


def measure_relay(system: Blindpost, seconds: float, put: Row, drained: Row) -> None:
    """One round: puts while all are away, then all come back at once and take everything."""
    people = [Person.generate() for _ in range(PRODUCERS.flows)]
    with system.away(people) as generator:
        each = put_for(generator, seconds, put, system.cpu)
    with system.back(people, each) as generator:
        before = system.cpu()
        figures = generator.drain()
        drained.add(figures, system.cpu() - before)


def measure_peer(system: System, seconds: float, put: Row) -> None:
    """One round of puts with acknowledgements."""
    with system.open(PRODUCERS) as generator:
        put_for(generator, seconds, put, system.cpu)
