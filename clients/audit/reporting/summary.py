"""The audit in a terminal: what is going on while it runs, and what it found on a page of text.

Owns the words; the last line is one that a reader of a log looks for. Knows nothing of options or exit codes.
"""

import json
from collections.abc import Callable
from time import monotonic
from typing import Final

from clients.audit.reporting.report import Facts, Report

LINES_MAX: Final = 25
REASONS_SHOWN: Final = 3
_KIND: Final = {
    "own": "a relay started for this audit",
    "attached": "a relay that runs on this machine",
    "url": "a relay as it is seen from outside: its memory and its files were not looked at",
}


def size(count: int) -> str:
    """A number of bytes for people: 512 bytes, 3.4 kB, 318.4 MB."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:.1f} kB" if count < 999_950 else f"{count / 1e6:,.1f} MB"


def subject(facts: Facts) -> str:
    """What was audited, in words."""
    return _KIND[facts.subject.kind]


def fired(facts: Facts) -> str:
    """How many controls have fired."""
    return f"{sum(control.has_fired for control in facts.controls)} of {len(facts.controls)}"


def last_line(report: Report) -> str:
    """The whole audit on one line."""
    if report.verdict.is_green:
        return (
            f"audit: ok: {report.search.canaries} canaries, {report.search.encodings} encodings, "
            f"{report.search.scanned / 1e6:.1f} MB scanned, leaks {report.leaks_total}, "
            f"controls fired {fired(report)}"
        )
    reasons = report.verdict.reasons
    more = f" (and {len(reasons) - REASONS_SHOWN} more)" if len(reasons) > REASONS_SHOWN else ""
    return f"audit: RED: {'; '.join(reasons[:REASONS_SHOWN])}{more}"


def _proofs(report: Report) -> list[str]:
    proof, tripwired = report.static_proof, report.tripwired
    said = []
    if proof is not None:
        said.append(
            f"static proof   {proof.names} names in {proof.modules} modules of the relay, "
            f"complaints {len(proof.complaints)}"
        )
    if tripwired is not None:
        said.append(f"tripwires      {tripwired.tripwires} in a relay without keys/ and clients/, "
                    f"complaints {len(tripwired.complaints)}")  # fmt: skip
    return said


def summary(report: Report) -> list[str]:
    """Not more than 25 lines; the last one is `last_line`."""
    search, quiet = report.search, [control for control in report.controls if not control.has_fired]
    looks = [looked for looked in search.places if looked.bytes]
    unread = sum(len(look.unread) for look in report.captured)
    lines = [
        f"audited        {subject(report)}",
        f"driven         {len(report.driven)} features; {report.seconds:.0f} s in all",
        f"searched for   {sum(search.typed.values())} texts in {len(search.typed)} fields, "
        f"{sum(search.private.values())} private keys, each in {search.encodings} forms",
        *(f"  {looked.place:<18} {size(looked.bytes):>10}  found {looked.found}" for looked in looks[:8]),
        f"not read       {unread}",
        f"controls       {fired(report)} leaks that were made on purpose were noticed"
        + (f"; not: {', '.join(control.name for control in quiet[:3])}" if quiet else ""),
        *_proofs(report),
        f"wire           {sum(report.transcript.judged.values())} judged, "
        f"complaints {len(report.transcript.complaints) + len(report.undeclared)}",
        f"complete       {report.completeness.fields} fields, "
        f"complaints {len(report.completeness.complaints)}",
    ]
    lines += [f"RED            {reason}" for reason in report.verdict.reasons[: LINES_MAX - len(lines) - 1]]
    return [*lines, last_line(report)]


class Progress:
    """Says what is going on, with the seconds since the beginning; `write` takes lines without their feed.

    With `as_json` each is an object: {"progress": "...", "seconds": 12.3}.
    """

    def __init__(self, write: Callable[[str], None], *, as_json: bool = False) -> None:
        self._write, self._as_json, self._began = write, as_json, monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return monotonic() - self._began

    def __call__(self, what: str) -> None:
        """Say it."""
        if self._as_json:
            self._write(json.dumps({"progress": what, "seconds": round(self.seconds, 1)}))
        else:
            self._write(f"[{self.seconds:5.1f} s] {what}")
