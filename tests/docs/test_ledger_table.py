"""docs/threat-model.md shows the ledger as it is."""

import re

from tests.docs.ledger_table import DOCUMENT, filled, text
from wire.ledger import Place, read


def test_the_document_shows_the_ledger_as_it_is() -> None:
    document = DOCUMENT.read_text()
    assert filled(document) == document, "run: python -m tests.docs.ledger_table"


def test_every_field_and_every_word_stands_there() -> None:
    ledger, shown = read(), text()
    for place in Place:
        for entry in ledger.entries[place]:
            assert all(f"`{field}`" in shown for field in entry.fields)
    rows = re.findall(r"^\|.*\|$", shown, re.MULTILINE)
    entries = sum(map(len, ledger.entries.values()))
    assert len(rows) == entries + 2 * len(Place) + len(ledger.retentions) + len(ledger.seers) + 4
    assert {row.count("|") for row in rows} == {5, 3}
