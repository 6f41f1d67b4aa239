"""What a connection costs that does nothing: resident memory of the relay, and what it does to the others.

Owns the crowds. People are registered by another process of the relay, so that nothing of that is
reused or counted.
"""

import contextlib
import resource
import tempfile
from pathlib import Path
from typing import Final

from bench.crowd import Person, batches, enter, log_in, submit
from bench.generator import Generator
from bench.goals import ENVELOPE
from bench.live import WARM_UP
from bench.rows import Row
from bench.systems import LONE, Blindpost

COUNTS: Final = (5000, 10_000)
BESIDE: Final = (100, 1000, 10_000)  # connections that do nothing while others' frames are measured
WARM: Final = 200  # connections
SPARE: Final = 500  # descriptors beside those of the crowd


def raise_descriptors() -> int:
    """As many as this process may have, and hands down; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _crowd(relay: Blindpost, kind: str, people: list[Person]) -> list[Generator]:
    """They come and stay; a generator answers their pings."""
    held = []
    for batch in batches(people):
        url = relay.relay.url
        lines = log_in(url, batch) if kind == "device" else submit(url, [None] * len(batch))
        held += [line.hand_on() for line in lines]
    return [Generator("blindpost", relay.size, held, [])]


def _lone(relay: Blindpost, seconds: float, row: Row) -> None:
    with relay.open(LONE) as generator:
        generator.run(WARM_UP, LONE.window)
        before = relay.cpu()
        figures = generator.run(seconds, LONE.window)
        row.add(figures, relay.cpu() - before)


def measure(seconds: float) -> list[Row]:
    """KiB for each connection of both kinds, and lone frames with nobody and with everybody beside them."""
    most = COUNTS[-1]
    if raise_descriptors() < most + SPARE:
        print(f"idle connections left out: they need {most + SPARE:,} descriptors (ulimit -n)")
        return []
    rows = []
    for kind in ("device", "submit"):
        with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as temporary:
            directory = Path(temporary)
            people = [Person.generate() for _ in range(most)]
            if kind == "device":
                with Blindpost(directory) as relay:
                    for batch in batches(people):
                        for line in enter(relay.relay.url, batch, tokens=False, pull=False):
                            line.socket.close()
            rows += _memory(directory, kind, people) + _beside(directory, kind, people, seconds)
    return rows


def _memory(directory: Path, kind: str, people: list[Person]) -> list[Row]:
    rows = []
    with Blindpost(directory) as relay, contextlib.ExitStack() as stack:
        for held in _crowd(relay, kind, people[:WARM]):
            held.__exit__()  # what a first connection costs once is not counted
        base, before = relay.relay.memory(), 0
        for count in COUNTS:
            for held in _crowd(relay, kind, people[before:count]):
                stack.enter_context(held)
            before = count
            kib = (relay.relay.memory() - base) / 1024 / count
            rows.append(Row("idle", f"KiB per idle {kind} connection, {count:,}", 0, rates=[kib]))
    return rows


def _beside(directory: Path, kind: str, people: list[Person], seconds: float) -> list[Row]:
    rows, before = [Row("growth", "lone frames, nobody else connected", ENVELOPE)], 0
    with Blindpost(directory) as relay, contextlib.ExitStack() as stack:
        _lone(relay, seconds, rows[0])
        for count in BESIDE:
            for held in _crowd(relay, kind, people[before:count]):
                stack.enter_context(held)
            before = count
            rows.append(Row("growth", f"lone frames, {count:,} idle {kind} connections", ENVELOPE))
            _lone(relay, seconds, rows[-1])
    return rows
