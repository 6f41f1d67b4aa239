"""The search of everything that was captured, on all processors.

Owns the processes that search and the order of their work. Each of them builds the search for itself: that is
cheaper than what it would cost to look at everything with one.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from time import monotonic
from typing import Final

from clients.audit.canaries.search import Canary, Finding, Search
from clients.audit.capture.evidence import Evidence, Place

SHARE: Final = 4 * 1024 * 1024  # bytes that a process is given at a time

_Piece = tuple[Place, str, bytes]
_search: Search | None = None


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found, by place: the first of each canary, form and source. `scanned`: bytes in all."""

    found: dict[Place, list[Finding]]
    canaries: int
    encodings: int
    scanned: int  # what was unpacked included
    seconds: float

    @property
    def leaks(self) -> list[tuple[Place, Finding]]:
        """What was found where a relay could see it."""
        return [
            (place, finding)
            for place, findings in self.found.items()
            if place is not Place.CLIENT
            for finding in findings
        ]


def _begin(canaries: Sequence[Canary]) -> None:
    global _search
    _search = Search(canaries)


@dataclass(frozen=True, slots=True)
class _Share:
    """The first finding of each canary in each form and source, and how much was looked through."""

    found: list[tuple[Place, Finding]]
    scanned: int
    encodings: int


def _look(pieces: Sequence[_Piece]) -> _Share:
    assert _search is not None
    before = _search.scanned
    found: dict[tuple[Place, str, str, str], tuple[Place, Finding]] = {}
    for place, where, data in pieces:
        for finding in _search.look(where, data):
            found.setdefault((place, finding.canary, finding.form, finding.source), (place, finding))
    _search.found.clear()
    return _Share(list(found.values()), _search.scanned - before, _search.encodings)


def _shares(evidence: Evidence, places: Iterable[Place]) -> Iterable[list[_Piece]]:
    share: list[_Piece] = []
    for place in places:
        for where, data in evidence.pieces(place):
            share.append((place, where, data))
            if sum(len(piece[2]) for piece in share) >= SHARE:
                yield share
                share = []
    if share:
        yield share


def search(
    evidence: Evidence,
    canaries: Sequence[Canary],
    places: Iterable[Place] = tuple(Place),
    progress: Callable[[int], None] = lambda scanned: None,
) -> Searched:
    """Look for every canary in everything; `progress` hears how many bytes were looked through so far."""
    started, workers = monotonic(), max(1, os.cpu_count() or 1)
    found: dict[Place, list[Finding]] = {place: [] for place in Place}
    scanned = encodings = 0
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(canaries,)
    ) as pool:
        running: set[Future[_Share]] = set()
        shares = iter(_shares(evidence, places))
        while True:
            for share in shares:
                running.add(pool.submit(_look, share))
                if len(running) > 2 * workers:
                    break
            if not running:
                break
            done = next(as_completed(running))
            running.remove(done)
            part = done.result()
            for place, finding in part.found:
                found[place].append(finding)
            scanned, encodings = scanned + part.scanned, part.encodings
            progress(scanned)
    return Searched(found, len(canaries), encodings, scanned, monotonic() - started)
