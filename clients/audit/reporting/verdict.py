"""Green or red: what follows from the facts of an audit, and nothing else.

Owns each reason why an audit is red. Whoever reads a report draws the conclusion again. Pure.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from clients.audit.capture.evidence import Place
from clients.audit.reporting.report import Facts, Report, Verdict

# What must have been looked at, by what was audited.
_OUTSIDE: Final = frozenset({Place.WIRE, Place.HTTP})
_INSIDE: Final = _OUTSIDE | {Place.LOGS, Place.STORE, Place.MEMORY}
MUST: Final = {"own": _INSIDE | {Place.TEMPORARY}, "attached": _INSIDE, "url": _OUTSIDE}


def _counted(what: str, complaints: Sequence[str]) -> Iterator[str]:
    """The first complaint, and how many there are; nothing where there are none."""
    if complaints:
        more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
        yield f"{what}: {complaints[0].rstrip('.')}{more}"


def _of_places(facts: Facts) -> Iterator[str]:
    unread = [f"{look.source}: {sentence}" for look in facts.captured for sentence in look.unread]
    yield from _counted("not everything could be read", unread)
    seen = {looked.place for looked in facts.search.places if looked.bytes}
    seen |= {Place.LOGS, Place.TEMPORARY}  # they may be empty
    looked = {look.place for look in facts.captured} | {Place.WIRE}  # which is heard, and not looked at
    for place in Place:
        if place in MUST[facts.subject.kind] and not (place in seen and place in looked):
            yield f"nothing was captured of: {place}"


def _of_search(facts: Facts) -> Iterator[str]:
    if not facts.driven:
        yield "nothing was driven"
    if not (facts.search.canaries and facts.search.encodings and facts.search.scanned):
        yield "nothing was searched"
    elif not (any(facts.search.typed.values()) and any(facts.search.private.values())):
        yield "not both typed texts and private keys were searched for"
    if facts.leaks_total or facts.leaks:
        first = next((f": {leak.canary}, {leak.form}, in {leak.where}" for leak in facts.leaks), "")
        yield f"leaks: {max(facts.leaks_total, len(facts.leaks))}{first}"
    elif any(looked.found for looked in facts.search.places if looked.place is not Place.CLIENT):
        yield "canaries were found where a relay could see them"
    if not facts.clients.found:
        yield "the search is blind: it found no canary in the memory of the clients"
    yield from _counted(
        "canaries that a client's memory must hold were not found there", facts.clients.missing
    )


def _of_controls(facts: Facts) -> Iterator[str]:
    if not facts.controls:
        yield "no control was played: nothing shows that the audit sees a leak"
    if len({control.name for control in facts.controls}) < len(facts.controls):
        yield "a control is counted more than once"
    for control in facts.controls:
        if not (control.has_fired and control.findings):
            why = f": {control.complaint}" if control.complaint else ""
            yield f"a control did not fire: {control.name}{why}"


def _of_proofs(facts: Facts) -> Iterator[str]:
    if facts.static_proof is not None:
        yield from _counted("static proof", facts.static_proof.complaints)
        if not (facts.static_proof.modules and facts.static_proof.names and facts.static_proof.forbidden):
            yield "static proof: nothing was read"
    elif facts.subject.kind == "own":
        yield "no static proof was made"
    if facts.tripwired is not None:
        yield from _counted("relay with tripwires", facts.tripwired.complaints)
        if not (facts.tripwired.served and facts.tripwired.tripwires):
            yield "relay with tripwires: it served nothing"
    elif facts.subject.kind == "own":
        yield "no relay with tripwires was run"


def reasons(facts: Facts) -> Iterator[str]:
    """Every reason why an audit with these facts is red, the worst first; none where it is green."""
    yield from _counted("it did not get through", facts.failures)
    yield from _of_search(facts)
    yield from _of_controls(facts)
    yield from _of_places(facts)
    yield from _of_proofs(facts)
    yield from _counted("not everything was tried", facts.completeness.complaints)
    if not facts.completeness.fields:
        yield "not everything was tried: no field that a user can type into was found"
    yield from _counted("on the wire", facts.transcript.complaints)
    if not any(facts.transcript.judged.values()):
        yield "on the wire: nothing was judged"
    yield from _counted("not in the ledger of metadata", facts.undeclared)


def judged(facts: Facts) -> Report:
    """The report: the facts, and what follows."""
    found = tuple(reasons(facts))
    return Report(**dict(facts), verdict=Verdict(is_green=not found, reasons=found))
