"""`blindpost relay ledger`: print what a relay knows, why, for how long, and who sees it.

Owns the command and its two forms. Looks at no relay: a relay whose code handles more does not start.
"""

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from relay.commands.output import say
from relay.config import command_parser
from wire.ledger import Entry, Ledger, Place, read

TITLES: Final = {
    Place.JSON: "Control messages, both ways",
    Place.OBJECT: "Signed objects inside control messages",
    Place.FRAME: "Binary frames, and those of the WebSocket",
    Place.HTTP: "HTTP: routes, headers, and what /v1/info answers",
    Place.STORE: "The database, by table and column",
    Place.FILE: "Files of the data directory",
    Place.SETTING: "Settings",
    Place.LOG: "The log: keys of a line, and each line that there is",
    Place.METRIC: "Metrics",
    Place.MEMORY: "Held in memory only, by class and attribute",
}
WIDTH: Final = 100


def _object(ledger: Ledger, place: Place, name: str, entry: Entry) -> dict[str, object]:
    kept = ledger.retentions[entry.kept]
    shown: dict[str, object] = {"place": place, "field": name, "purpose": entry.purpose, "kept": entry.kept}
    shown |= {"until": kept.means, "seen": list(entry.seen)}
    figures = {
        "seconds": kept.seconds,
        "count": kept.count,
        "bytes": entry.bytes,
        "labels": entry.labels or None,
    }
    return shown | {key: value for key, value in figures.items() if value is not None}


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _text(ledger: Ledger, places: Sequence[Place]) -> Iterator[str]:
    kept, seen = set[str](), set[str]()
    for place in places:
        yield f"{TITLES[place]}\n"
        for entry in ledger.entries.get(place, ()):
            kept.add(entry.kept)
            seen.update(entry.seen)
            labels = "".join(f" by {label}" for label in entry.labels)
            yield from _wrapped(", ".join(entry.names()) + labels, "  ")
            about = f"{entry.purpose}. Kept: {entry.kept}. Seen by: {', '.join(entry.seen)}."
            yield from _wrapped(about, "      ")
            yield ""
    yield "How long\n"
    for name, retention in ledger.retentions.items():
        if name in kept:
            yield from _wrapped(f"{name}: {retention.means}", "  ")
    yield "\nWho sees it\n"
    for name, seer in ledger.seers.items():
        if name in seen:
            yield from _wrapped(f"{name}: {seer}", "  ")


def run(arguments: Sequence[str]) -> None:
    """Print the ledger."""
    parser = command_parser(
        "ledger",
        "Print the ledger of metadata: every field that this relay handles, why, how long it is kept, and "
        "who sees it. A relay whose code or database has a field that is not in it does not start. "
        "Try: blindpost relay ledger store",
        (),
    )
    parser.add_argument(
        "places", nargs="*", metavar="PLACE",
        help=f"one or more of {', '.join(Place)} (default: all of them)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object for each field")
    flags: argparse.Namespace = parser.parse_args(arguments)
    if unknown := [name for name in flags.places if name not in list(Place)]:
        parser.error(f"nothing in the ledger is called {unknown[0]}; choose from {', '.join(Place)}")
    ledger, places = read(), [Place(name) for name in flags.places] or list(Place)
    if not flags.json:
        say("\n".join(_text(ledger, places)))
        return
    for place in places:
        for name, entry in ledger.of(place).items():
            say(json.dumps(_object(ledger, place, name, entry)))
