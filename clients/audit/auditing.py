"""`blindpost audit run` from what was asked for to the signed report.

Owns the choice of the relay, the order, and what of a course stands in which part of the report. What the
auditor has to mend is said before anything is begun.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from clients import errors
from clients.audit.beforehand import check_files, check_registration, check_room
from clients.audit.capture import relays
from clients.audit.capture.attached import AttachedRelay, StrangeRelay
from clients.audit.capture.evidence import Place
from clients.audit.driving.completeness import EXEMPT
from clients.audit.driving.inputs import user_fields
from clients.audit.judging.judge import judged
from clients.audit.reporting import facts, report
from clients.audit.reporting.auditor_key import own_auditor
from clients.audit.reporting.code import code
from clients.audit.reporting.learned import Lesson, in_answers, on_the_wire
from clients.audit.reporting.publishing import publish
from clients.audit.reporting.traffic import traffic
from clients.audit.run import Course, OtherRelay, audit_other, audit_own
from clients.audit.tap.interception import Upstream
from clients.config import auditor_key_path
from clients.parsing import parse_relay
from clients.relay_choice import read_authority
from clients.route import Route
from wire import ledger
from wire.control_values import encode_base64url

Kind: TypeAlias = Literal["own", "attached", "url"]
Answers: TypeAlias = list[tuple[str, bytes]]

ONLY_TALK: Final = "a relay that others use is not asked for more than a conversation of two new users"
FORGOTTEN: Final = 0.1  # of the texts that were sent: a client need not remember what it once was given


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to audit, and where things go. Without `attach` and `url`: a relay of our own."""

    directory: Path  # empty, and nobody else's to read: profiles with their keys will be in it
    file: Path  # the report
    attach: str | None = None
    url: str | None = None
    ca: Path | None = None
    invites: tuple[str, ...] = ()
    logs: tuple[Path, ...] = ()
    key: Path | None = None

    @property
    def kind(self) -> Kind:
        """As the report calls it."""
        return "attached" if self.attach is not None else "own" if self.url is None else "url"


async def audit(wanted: Wanted, say: Callable[[str], None]) -> tuple[report.Report, str]:
    """Do it all; the report as it was written, and whose signature it bears, in base64url.

    Raises ClientError where it cannot be begun.
    """
    check_files(wanted.file)
    check_room(wanted.directory)
    begun, auditor = datetime.now(UTC), own_auditor(wanted.key or auditor_key_path())
    if (relay := _relay(wanted)) is None:
        course = await audit_own(wanted.directory, say)
    else:
        course = await audit_other(wanted.directory, relay, say, **_options(wanted, relay))
    found = _facts(course, wanted.kind, begun)
    published = publish(found, auditor, wanted.file, course.canaries, wanted.directory)
    return published, encode_base64url(auditor.key)


def _authority(wanted: Wanted) -> bytes | None:
    return None if wanted.ca is None else read_authority(wanted.ca)


def _relay(wanted: Wanted) -> OtherRelay | None:
    """The relay that somebody else started, once it is there and lets newcomers in; None for one of our own.

    Raises RelayError, UsageError.
    """
    relay: OtherRelay
    try:
        if wanted.attach is not None:
            relay = AttachedRelay.find(wanted.attach, wanted.logs)
            if relay.untold:
                raise errors.UsageError(f"The relay's log cannot be seen: {relay.untold}.")
            outside = StrangeRelay(relay.url, _authority(wanted))
        elif wanted.url is not None:
            relay = outside = StrangeRelay(parse_relay(wanted.url).origin, _authority(wanted))
        else:
            return None
    except relays.RelayError as error:
        raise errors.RelayError(f"{error}.") from None
    check_registration(outside.said, outside.url, len(wanted.invites))
    return relay


def _options(wanted: Wanted, relay: OtherRelay) -> dict[str, Any]:
    """How the stage reaches a relay that was not started for it."""
    upstream = Upstream.of(parse_relay(relay.url), Route(_authority(wanted)))
    options: tuple[str, ...] = ()
    if upstream.authority is not None:
        trust = wanted.directory / "trust.pem"
        trust.write_bytes(upstream.authority)
        options = ("--ca", str(trust))
    return {"upstream": upstream, "options": options, "invites": wanted.invites}


def _facts(course: Course, kind: Kind, begun: datetime) -> report.Facts:
    """All that a course has seen, as a report tells it."""
    stage, searched = course.stage, course.searched
    if stage is None or searched is None:
        raise errors.AuditError(f"Nothing could be audited: {'; '.join(course.failures)}.")
    answers, lesson = list(stage.evidence.pieces(Place.HTTP)), Lesson(ledger.read(), stage.relay.url)
    lesson.see(on_the_wire(stage.tap.connections))
    lesson.see(in_answers(ledger.read(), answers))
    return report.Facts(
        begun=f"{begun:%Y-%m-%dT%H:%M:%SZ}",
        seconds=(datetime.now(UTC) - begun).total_seconds(),
        machine=facts.machine(),
        subject=_subject(kind, course, answers),
        failures=tuple(course.failures),
        driven=tuple(stage.driven),
        captured=facts.captured(stage.evidence),
        search=facts.searching(stage.evidence, searched, stage.planted, stage.private.values()),
        clients=_client_memory(course),
        leaks=facts.leaks(searched.leaks),
        leaks_total=len(searched.leaks),
        controls=tuple(map(facts.control, course.fired)),
        static_proof=None if course.proof is None else facts.static_proof(course.proof),
        tripwired=None if course.tripwired is None else facts.tripwired(course.tripwired),
        completeness=_completeness(course, kind),
        transcript=_transcript(course),
        traffic=traffic(stage.tap.connections),
        learned=tuple(lesson.learned),
        undeclared=tuple(lesson.undeclared),
        core_dump=report.CoreDump(bytes=stage.evidence.size(Place.CORE), why_not=course.core),
        code=code(),
    )


def _subject(kind: Kind, course: Course, answers: Answers) -> report.Subject:
    assert course.stage is not None
    said: dict[str, Any] = {}
    for request, data in answers:
        if request == "GET /v1/info":
            with contextlib.suppress(ValueError):
                said = json.loads(data.replace(b"\r\n", b"\n").partition(b"\n\n")[2])
    return report.Subject(
        kind=kind,
        url=course.stage.relay.url,
        version=said.get("version"),
        relay_key=said.get("relay_key"),
        raised=dict(relays.RAISED) if kind == "own" else {},
        not_looked_at=tuple(course.stage.relay.not_looked_at),
    )


def _client_memory(course: Course) -> report.ClientMemory:
    """Nearly all texts that were sent lie in the memory of a client, and each client's keys in its own."""
    assert course.stage is not None
    assert course.searched is not None
    found = {finding.canary for finding in course.searched.found[Place.CLIENT]}
    texts = [canary.name for canary in course.stage.planted.get("send.text", ())]
    missing = [name for name in texts if name not in found]
    if len(missing) <= FORGOTTEN * len(texts):
        missing = []
    owners = {name.partition(": ")[0] for name in found if name.partition(": ")[1]}
    missing += [f"every key of {name}" for name in sorted(course.stage.seen_running - owners)]
    return report.ClientMemory(found=len(found), missing=tuple(missing))


def _completeness(course: Course, kind: Kind) -> report.Completeness:
    assert course.stage is not None
    if kind == "own":
        return report.Completeness(
            fields=len(user_fields()), exempt=dict(EXEMPT), complaints=tuple(course.missing)
        )
    return report.Completeness(fields=len(course.stage.planted), exempt={"everything else": ONLY_TALK})


def _transcript(course: Course) -> report.Transcript:
    """What the judge says of all that passed the tap."""
    assert course.stage is not None
    return facts.transcript(judged(course.stage.tap.events(), (), parse_relay(course.stage.relay.url)))
