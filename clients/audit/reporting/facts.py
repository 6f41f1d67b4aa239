"""From what each part of an audit returns to what the report says of it.

Owns the translation, part by part. Who calls the parts, and when, is `clients.audit.run`.
"""

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from clients.audit.canaries.search import Canary, Finding
from clients.audit.canaries.searching import Searched
from clients.audit.capture.evidence import Evidence, Place
from clients.audit.controls.playing import Fired
from clients.audit.judging import figures
from clients.audit.proving import proof
from clients.audit.proving import tripwired as wires
from clients.audit.proving.sources import FORBIDDEN
from clients.audit.reporting.report import (
    LEAKS_MAX,
    Captured,
    ControlPlayed,
    Leak,
    Looked,
    Machine,
    Searching,
    StaticProof,
    Transcript,
    Tripwired,
)

_NUMBER: Final = re.compile(r" \d+$")


def machine() -> Machine:
    """Where this runs: neither its name nor its user's."""
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cores=os.cpu_count() or 1,
    )


def captured(evidence: Evidence) -> tuple[Captured, ...]:
    """Every look, with what could not be read."""
    return tuple(
        Captured(
            place=place,
            source=sight.source,
            bytes=sight.bytes_read,
            passed_over=sight.passed_over,
            unread=tuple(sight.unread) or (() if sight.was_there else ("it was not there",)),
        )
        for place, sight in evidence.sights
    )


def _kind(name: str) -> str:
    """Of a private value: what it is, not whose and not which of them."""
    return _NUMBER.sub("", name.partition(": ")[2] or name)


def searching(
    evidence: Evidence, found: Searched, planted: Mapping[str, Sequence[Canary]], private: Iterable[Canary]
) -> Searching:
    """What was searched for: `planted` by the field typed into, and private keys."""
    return Searching(
        typed={field: len(canaries) for field, canaries in planted.items()},
        private=dict(Counter(_kind(canary.name) for canary in private)),
        encodings=found.encodings,
        scanned=found.scanned,
        seconds=found.seconds,
        places=tuple(
            Looked(
                place=place,
                bytes=evidence.size(place),
                found=len({finding.canary for finding in found.found[place]}),
            )
            for place in Place
            if evidence.size(place) or any(place is each for each, _ in evidence.sights)
        ),
    )


def leaks(found: Sequence[tuple[Place, Finding]]) -> tuple[Leak, ...]:
    """As many as are shown; how many there are is `len(found)`."""
    return tuple(
        Leak(canary=each.canary, form=each.form, place=place, where=each.source, offset=each.offset)
        for place, each in found[:LEAKS_MAX]
    )


def control(fired: Fired) -> ControlPlayed:
    """What came of a red control."""
    return ControlPlayed(
        name=fired.control.name,
        what=fired.control.what,
        changes=fired.control.changes,
        place=fired.control.place,
        has_fired=fired.is_red,
        findings=len(fired.found),
        seconds=fired.seconds,
        complaint=fired.complaint,
    )


def static_proof(found: proof.Proof) -> StaticProof:
    """What was read of the relay's sources."""
    nothing = () if found.is_green or found.complaints else ("no module of a relay was found",)
    return StaticProof(
        modules=len(found.modules),
        names=found.names,
        forbidden=len(FORBIDDEN),
        complaints=(*map(str, found.complaints), *nothing),
    )


def tripwired(found: wires.Tripwired) -> Tripwired:
    """What a relay with tripwires has served."""
    return Tripwired(tripwires=found.tripwires, served=found.served, complaints=found.complaints)


def transcript(verdict: figures.Verdict) -> Transcript:
    """What the judge of the wire says."""
    seen = verdict.figures
    more = [
        f"{count - kept} more against the rule {rule}"
        for rule, count in sorted(verdict.counts.items())
        if count > (kept := sum(complaint.rule is rule for complaint in verdict.complaints))
    ]
    return Transcript(
        judged={
            "connections": seen.connections,
            "frames to the relay": seen.put,
            "frames from the relay": seen.delivered,
            "messages": seen.messages.total(),
            "plain requests": seen.requests.total(),
        },
        complaints=(*map(str, verdict.complaints), *more, *verdict.lacks),
    )
