"""The second half of the page: what was done, what a relay does learn, and how to check all of it.

Owns the words of these sections.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from clients.audit.reporting.markup import Inside, Markup, bar, element, table
from clients.audit.reporting.report import ConnectionSeen, Report, Size
from clients.audit.reporting.summary import size
from wire.ledger import Place

CONNECTIONS_SHOWN: Final = 60
_PLACES: Final = {
    Place.HTTP: "In plain requests",
    Place.JSON: "In messages",
    Place.OBJECT: "In signed objects inside messages",
    Place.FRAME: "In binary frames",
}


def _driven(report: Report) -> Iterator[Markup]:
    yield element("h2", "What people did")
    yield element("ol", [element("li", what) for what in report.driven], class_="columns")
    yield element("h3", "Fields with a random text")
    typed = [f"{field}: {count}" for field, count in report.search.typed.items()]
    yield element("ul", [element("li", each) for each in typed], class_="columns")
    yield element("h3", "Private keys of the clients")
    private = [f"{kind}: {count:,}" for kind, count in report.search.private.items()]
    yield element("ul", [element("li", each) for each in private], class_="columns")
    complete = report.completeness
    yield element("h3", "Is that everything?")
    yield element(
        "p",
        f"The code's own models name {complete.fields} fields that a user can fill in. ",
        "Not each was tried:"
        if complete.complaints
        else "Each had a random text, or is another way into one that had, or has a reason why not.",
    )
    if complete.complaints:
        yield element("ul", [element("li", each, class_="bad") for each in complete.complaints])
    if complete.exempt:
        rows = [(element("code", name), why) for name, why in complete.exempt.items()]
        yield table(("without a text", "because"), rows)


def _learned(report: Report) -> Iterator[Markup]:
    yield element("h2", "What a relay does learn")
    yield element(
        "p",
        "A relay that cannot read still sees who connects, when, and how much. This is the ledger of all "
        "that travels, with examples from this very run; keys and tokens are shortened.",
    )
    for place, entries in groupby(report.learned, key=lambda each: each.place):
        yield element("h3", _PLACES.get(place, str(place)))
        yield table(
            ("what for", "how long it is kept", "seen by", "times", "examples"),
            [
                (
                    each.purpose,
                    each.kept,
                    ", ".join(each.seen),
                    f"{each.times:,}",
                    [element("div", element("code", example)) for example in each.examples]
                    or element("span", "not in this run", class_="quiet"),
                )
                for each in entries
            ],
            "lessons",
        )
    if report.undeclared:
        yield element("p", "These travelled, and no ledger names them:", class_="bad")
        yield element("ul", [element("li", each, class_="bad") for each in report.undeclared])


def _sizes(title: str, sizes: tuple[Size, ...]) -> Iterator[Markup]:
    yield element("h3", title)
    most = max((max(each.to_relay, each.from_relay) for each in sizes), default=0)
    yield table(
        ("size", "to the relay", "from it", ""),
        [
            (
                f"{each.bytes:,} bytes",
                f"{each.to_relay:,}",
                f"{each.from_relay:,}",
                [bar(0, each.to_relay, most, "one"), bar(0, each.from_relay, most, "two")],
            )
            for each in sizes
        ],
        "drawn",
    )


def _row(each: ConnectionSeen, end: float) -> tuple[Inside, ...]:
    kind = "one" if each.mode == "device" else "two"
    up, down = each.to_relay, each.from_relay
    return (
        each.mode,
        f"{each.opened:.1f} s",
        f"{each.lasted:.1f} s",
        f"{up.frames:,} / {down.frames:,}",
        f"{size(up.bytes)} / {size(down.bytes)}",
        bar(each.opened, max(each.lasted, 0.001), end, kind),
    )


def _legend(colour: str, meaning: str) -> Markup:
    return element("span", element("span", class_=f"key {colour}"), f"{meaning} ", class_="legend")


def _traffic(report: Report) -> Iterator[Markup]:
    traffic = report.traffic
    yield element("h2", "Sizes and times")
    yield element(
        "p",
        "Whoever watches the wire sees these without opening anything, TLS or not. ",
        _legend("one", "to the relay"),
        _legend("two", "from it"),
    )
    yield from _sizes("Envelopes: one of seven sizes, whatever is inside", traffic.envelopes)
    yield from _sizes("Messages, up to this size", traffic.messages)
    yield element("h3", f"{traffic.total} connections")
    shown = traffic.connections[:CONNECTIONS_SHOWN]
    end = max((each.opened + each.lasted for each in shown), default=0.0)
    yield element(
        "p",
        _legend("one", "of a device, which logs in"),
        _legend("two", "that submits: nobody logs in there"),
    )
    yield table(
        ("kind", "opened", "lasted", "frames up / down", "in all, up / down", ""),
        [_row(each, end) for each in shown],
        "drawn",
    )
    if traffic.total > len(shown):
        yield element("p", f"{traffic.total - len(shown)} more are not shown here.", class_="quiet")


def _proofs(report: Report) -> Iterator[Markup]:
    yield element("h2", "What the code says")
    rows: list[tuple[Inside, ...]] = []
    if (proof := report.static_proof) is not None:
        what = (
            f"{proof.names:,} names in the {proof.modules} modules that a relay reaches were compared with "
            f"{proof.forbidden} patterns of what decrypts, opens, boxes, multiplies or converts."
        )
        rows.append(("static proof", what, _complaints(proof.complaints)))
    if (tripwired := report.tripwired) is not None:
        what = (
            "A relay without keys/ and clients/, in which each symbol of libsodium but signing and verifying "
            f"({tripwired.tripwires}) ends the process, served: {', '.join(tripwired.served)}."
        )
        rows.append(("tripwires", what, _complaints(tripwired.complaints)))
    judged = ", ".join(f"{count:,} {kind}" for kind, count in report.transcript.judged.items())
    rows.append(("on the wire", f"Judged: {judged or 'nothing'}.", _complaints(report.transcript.complaints)))
    yield table(("proof", "what was done", "complaints"), rows)


def _complaints(complaints: tuple[str, ...]) -> Inside:
    if not complaints:
        return element("span", "none", class_="good")
    return element("ul", [element("li", each, class_="bad") for each in complaints])


def _limits() -> Iterator[Markup]:
    yield element("h2", "What this does not show")
    yield element(
        "ul",
        element(
            "li", "That another operator runs this program: an audit holds for the code whose hash it names."
        ),
        element("li", "What can be told from sizes, times and addresses by whoever watches long enough."),
        element(
            "li",
            "What happens before a relay: where something else ends TLS, it sees what the wire shows here.",
        ),
        element(
            "li",
            "A leak that hides from every form that was looked for: encrypted with a key of its own, say.",
        ),
    )


def _verify(report: Report) -> Iterator[Markup]:
    yield element("h2", "Check this report")
    yield element(
        "p",
        "This page is a view of the signed report that lies beside it, in a file with the same name that "
        "ends in .json. The report names the hash of this page, and is signed by the auditor's key. Compare "
        "the key with one that you got from the auditor by another way.",
    )
    yield element("pre", "blindpost audit verify REPORT.json --auditor KEY --source DIRECTORY")
    yield element(
        "p",
        "The code's hash is over what sha256sum prints for the packages wire, keys, relay and clients:",
    )
    yield element(
        "pre",
        "find wire keys relay clients -type f -not -path '*/__pycache__/*' | LC_ALL=C sort \\\n"
        "  | xargs -d '\\n' sha256sum | sha256sum",
    )
    yield element(
        "details",
        element("summary", f"Hashes of {len(report.code.files)} files, version {report.code.version}"),
        element("pre", "\n".join(f"{digest}  {path}" for path, digest in report.code.files.items())),
    )
    if report.code.compiled:
        yield element("p", f"Of these, machine code runs: {', '.join(report.code.compiled)}.")


def details(report: Report) -> Iterator[Markup]:
    """All sections, in order."""
    yield from _driven(report)
    yield from _learned(report)
    yield from _traffic(report)
    yield from _proofs(report)
    yield from _limits()
    yield from _verify(report)
