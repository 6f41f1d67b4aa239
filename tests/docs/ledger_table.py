"""The ledger in docs/threat-model.md, made from `wire/ledger.toml`: `python -m tests.docs.ledger_table`.

Owns how entries are written down: a table for each place, a row for each entry.
"""

import re
from pathlib import Path

from relay.commands.ledger import TITLES
from wire.ledger import Entry, Ledger, Place, read

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"
_PLACE = re.compile(r"(<!-- ledger: [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _fields(entry: Entry) -> str:
    of = "" if entry.of is None else f"{entry.of}: "
    labels = "".join(f" by `{name}` ({where.partition(':')[2]})" for name, where in entry.labels.items())
    return of + ", ".join(f"`{field}`" for field in entry.fields) + labels


def _table(ledger: Ledger, place: Place) -> str:
    rows = (
        _row(_fields(entry), entry.purpose, entry.kept, ", ".join(entry.seen))
        for entry in ledger.entries.get(place, ())
    )
    head = _row("what", "for what", "kept", "seen by") + "|---|---|---|---|\n"
    return f"### {TITLES[place]}\n\n{head}{''.join(rows)}\n"


def _longest(seconds: float | None, count: int | None) -> str:
    if seconds is None:
        return "" if count is None else f"{count}"
    days, hours = divmod(seconds, 86_400)
    if hours < 3600:
        return f"{days:g} days" if days else f"{seconds:g} s"
    return (f"{days:g} days and " if days else "") + f"{hours / 3600:g} h"


def text() -> str:
    """The words first, then a table for each place."""
    ledger = read()
    head = _row("kept", "until", "at most", "shown by") + "|---|---|---|---|\n"
    kept = "".join(
        _row(name, each.means, _longest(each.seconds, each.count), f"`{each.test}`" if each.test else "")
        for name, each in ledger.retentions.items()
    )
    seen = "".join(_row(name, means) for name, means in ledger.seers.items())
    words = f"{head}{kept}\n{_row('seen by', 'who that is')}|---|---|\n{seen}\n"
    return words + "".join(_table(ledger, place) for place in Place)


def filled(document: str) -> str:
    """The document with its ledger as it should be."""
    made, count = _PLACE.subn(lambda found: f"{found[1]}\n{text()}{found[2]}", document)
    assert count == 1, "one place for the ledger"
    return made


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
