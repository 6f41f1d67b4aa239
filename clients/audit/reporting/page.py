"""The report as a page for people: one file without scripts, that asks for nothing else.

Owns the frame of the page and what comes first: the verdict, what was audited, what was found, and whether
the audit can see at all. The rest is `clients.audit.reporting.page_details`.
"""

import hashlib
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clients.audit.capture.evidence import Place
from clients.audit.reporting.markup import Inside, Markup, element, table
from clients.audit.reporting.page_details import details
from clients.audit.reporting.report import Captured, Report
from clients.audit.reporting.summary import fired, size, subject
from wire.control_values import encode_base64url

STYLE: Final = Markup(Path(__file__).with_name("page.css").read_text("utf-8"))
PLACES: Final = {
    Place.WIRE: "its sockets: every byte, both ways, after TLS",
    Place.HTTP: "its answers to plain requests: information, health, metrics, errors",
    Place.LOGS: "its output and its log",
    Place.STORE: "its data directory: the database with its log and free pages, and all other files",
    Place.TEMPORARY: "temporary files, and files that it has open",
    Place.MEMORY: "the memory of its process",
    Place.CORE: "a core dump of its process",
    Place.CLIENT: "the memory of the clients, where the canaries must be",
}
_USED: Final = {
    "own": "People used every feature, and",
    "attached": "Two new users talked through it, and",
    "url": "Two new users talked through it, and",
}


def _verdict(report: Report) -> Markup:
    search = report.search
    if report.verdict.is_green:
        said: list[Inside] = [
            element("strong", "Green: nothing readable reached the relay"),
            element(
                "p",
                f"{_USED[report.subject.kind]} typed {sum(search.typed.values())} random texts; their "
                f"clients held {sum(search.private.values()):,} private keys. Everything that the relay "
                f"could see was kept, and searched for each of them in {search.encodings} forms: none was "
                f"there. {len(report.controls)} relays and clients that leak on purpose were audited in the "
                "same way, and each leak was noticed.",
            ),
        ]
        if report.subject.kind == "url":
            said.append(
                element("p", "This was a look from outside: at its sockets and answers, and not inside it.")
            )
    else:
        said = [
            element("strong", "Red: this audit does not show that the relay is blind"),
            element("ul", [element("li", reason) for reason in report.verdict.reasons]),
        ]
    return element("div", said, class_=f"verdict {'is-green' if report.verdict.is_green else 'is-red'}")


def _figures(report: Report) -> Markup:
    figures = (
        ("canaries", f"{report.search.canaries:,}"),
        ("forms of each", report.search.encodings),
        ("looked through", size(report.search.scanned)),
        ("leaks", report.leaks_total),
        ("controls that fired", fired(report)),
    )
    return element(
        "dl",
        [element("div", element("dd", value), element("dt", name)) for name, value in figures],
        class_="figures",
    )


def facts_list(rows: list[tuple[str, Inside]]) -> Markup:
    """Names and values, one below the other."""
    return element(
        "dl", [[element("dt", name), element("dd", value)] for name, value in rows], class_="facts"
    )


def _subject(report: Report, auditor: bytes) -> Iterator[Markup]:
    yield element("h2", "What was audited")
    what = report.subject
    rows: list[tuple[str, Inside]] = [
        ("relay", f"{subject(report)}, {what.url}" + (f", version {what.version}" if what.version else "")),
        ("when", f"{report.begun.replace('T', ' ').removesuffix('Z')} UTC, for {report.seconds:.0f} s"),
        ("machine", f"{report.machine.system}, {report.machine.python}, {report.machine.cores} processors"),
        ("code", element("span", report.code.sha256, class_="mono")),
        ("auditor", element("span", encode_base64url(auditor), class_="mono")),
    ]
    if what.relay_key is not None:
        rows.insert(1, ("relay's key", element("span", encode_base64url(what.relay_key), class_="mono")))
    yield facts_list(rows)
    if what.raised:
        yield element(
            "details",
            element(
                "summary", f"{len(what.raised)} limits were raised, because all clients here have one address"
            ),
            table(
                ("setting", "value"), [(element("code", name), value) for name, value in what.raised.items()]
            ),
        )


def _leaks(report: Report) -> Iterator[Markup]:
    if report.leaks:
        yield element("h2", "What was found")
        yield element("p", "The relay could see these canaries. Their values are not shown.")
        yield table(
            ("canary", "form", "place", "where", "at byte"),
            [
                (leak.canary, leak.form, str(leak.place), leak.where, f"{leak.offset:,}")
                for leak in report.leaks
            ],
        )
        if report.leaks_total > len(report.leaks):
            yield element("p", f"{report.leaks_total - len(report.leaks):,} more are not shown.")


def _controls(report: Report) -> Iterator[Markup]:
    yield element("h2", "Can this audit see a leak?")
    yield element(
        "p",
        "Relays and clients that leak, each in one way and on purpose, were audited in the same manner. An "
        "audit that does not turn red over each of them would show nothing.",
    )
    yield table(
        ("control", "what it does", "changed", "must be seen in", "verdict", "found"),
        [
            (
                element("code", control.name),
                [control.what, element("div", control.complaint, class_="bad")]
                if control.complaint
                else control.what,
                control.changes,
                str(control.place),
                element("span", "noticed", class_="good")
                if control.has_fired
                else element("span", "NOT NOTICED", class_="bad"),
                f"{control.findings:,}",
            )
            for control in report.controls
        ],
    )
    yield element(
        "p",
        "A control of the search itself: in the memory of the clients it found "
        f"{report.clients.found:,} canaries"
        + (f", and missed: {', '.join(report.clients.missing)}." if report.clients.missing else "."),
    )


def _captured(report: Report) -> Iterator[Markup]:
    yield element("h2", "What the relay could see")
    yield element("p", "All of this was read and searched. What could not be read would make the audit red.")
    looks: dict[Place, list[Captured]] = defaultdict(list)
    for look in report.captured:
        looks[look.place].append(look)
    kept = {looked.place: looked for looked in report.search.places}
    rows: list[tuple[Inside, ...]] = []
    for place in Place:
        if place not in looks and place not in kept:
            continue
        unread = [f"{look.source}: {sentence}" for look in looks[place] for sentence in look.unread]
        found = kept[place].found if place in kept else 0
        is_bad = found > 0 and place is not Place.CLIENT
        rows.append(
            (
                PLACES[place],
                "all the time" if place is Place.WIRE else f"{len(looks[place])} times",
                size(kept[place].bytes if place in kept else 0),
                element("ul", [element("li", each, class_="bad") for each in unread]) if unread else "all",
                element("span", f"{found:,}", class_="bad" if is_bad else None),
            )
        )
    yield table(("place", "looked at", "kept", "read", "canaries found"), rows)
    if passed_over := max((look.passed_over for look in report.captured), default=0):
        yield element(
            "p",
            "Of memory, pages that nobody wrote to hold nothing, and were passed over: "
            f"{size(passed_over)} at most.",
        )
    if report.subject.not_looked_at:
        yield element("p", f"Not looked at: {'; '.join(report.subject.not_looked_at)}.")
    dump = report.core_dump
    yield element(
        "p",
        f"Core dump: {size(dump.bytes)}."
        if dump.bytes
        else f"No core dump: {dump.why_not or 'none was taken'}.",
    )


def page(report: Report, auditor: bytes) -> str:
    """The whole page. `auditor`: the public key that signs the report."""
    style = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    verdict = "green" if report.verdict.is_green else "RED"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content=f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'",
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Audit of a blindpost relay: {verdict}, {report.begun[:10]}"),
        element("style", STYLE),
    )
    body = element(
        "main",
        element("h1", "Audit of a blindpost relay"),
        _verdict(report),
        _figures(report),
        [*_leaks(report)],
        [*_subject(report, auditor)],
        [*_controls(report)],
        [*_captured(report)],
        [*details(report)],
    )
    return f"<!doctype html>\n{element('html', head, element('body', body), lang='en')}\n"
