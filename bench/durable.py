"""Frames for people who are away, and what happens when they come back.

Owns the rounds of durable puts and of the drain; a put counts when the server says that it has it.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench.crowd import Person
from bench.generator import Generator
from bench.peers.comparison import SQLITE
from bench.rows import Row
from bench.servers import pinned_to_first
from bench.systems import DURABLE, Blindpost, Mode, Peer, System

PATIENCE: Final = 5.0  # seconds for the last acknowledgements to be carried out
POLL: Final = 0.01
TRIAL: Final = 40  # frames of each producer, to find out how many a round takes
APPEND: Final = Path(__file__).parent / "peers" / "sqlite_append.py"


def _put_for(generator: Generator, mode: Mode, seconds: float, row: Row, cpu: Callable[[], float]) -> int:
    """A short trial, then as many puts as take about so long. Returns the frames of each producer."""
    trial = generator.put(TRIAL, mode.window)
    each = max(TRIAL, int(trial.rate * seconds / mode.flows))
    before = cpu()
    row.add(generator.put(each, mode.window), cpu() - before)
    return TRIAL + each


def _relay(relay: Blindpost, mode: Mode, seconds: float, put: Row, drained: Row) -> None:
    """Puts while all are away, then all come back at once and take everything."""
    people = [Person.generate() for _ in range(mode.flows)]
    with relay.away(people) as generator:
        each = _put_for(generator, mode, seconds, put, relay.cpu)
    with relay.back(people, each) as generator:
        before, acknowledged = relay.cpu(), _acknowledged(relay)
        figures = generator.drain()
        start = time.monotonic()
        while _acknowledged(relay) - acknowledged < figures.all:
            if time.monotonic() - start > PATIENCE:
                drained.note = "the relay does not count them all as acknowledged"
                break
            time.sleep(POLL)  # its metrics ring no bell
        drained.add(figures, relay.cpu() - before)
        drained.rates[-1] = figures.all / (figures.seconds + time.monotonic() - start)


def _acknowledged(relay: Blindpost) -> float:
    """Frames that the relay has deleted, in all."""
    return relay.relay.metrics().get("blindpost_frames_acknowledged_total", 0)


def _peer(peer: System, mode: Mode, seconds: float, put: Row) -> None:
    with peer.open(mode) as generator:
        _put_for(generator, mode, seconds, put, peer.cpu)


def _append(directory: Path, seconds: float, row: Row) -> None:
    command = [sys.executable, str(APPEND), str(directory / "append.db"), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=pinned_to_first)
    row.rates.append(float(done.stdout))


def measure(
    relay: Blindpost,
    peers: Sequence[Peer],
    rounds: int,
    seconds: float,
    directory: Path,
    modes: Sequence[Mode] = DURABLE,
) -> list[Row]:
    """Each mode, round by round: the relay and its drain, the peers, SQLite alone."""
    rows = []
    bound = Row("durable", SQLITE, 1024)
    for mode in modes:
        put, drained = Row(mode.name, relay.name, relay.size), Row("drain", relay.name, relay.size)
        kept = [Row(mode.name, peer.name, peer.size) for peer in peers]
        for _ in range(rounds):
            _relay(relay, mode, seconds, put, drained)
            for peer, row in zip(peers, kept, strict=True):
                _peer(peer, mode, seconds, row)
            if mode is DURABLE[0] and peers:
                _append(directory, seconds, bound)
        rows += [put, *([drained] if mode is DURABLE[0] else []), *kept]
    return rows + ([bound] if bound.rates else [])
