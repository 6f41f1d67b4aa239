"""The table of attacks in docs/threat-model.md, made from the catalogue: `python -m tests.docs.attack_table`.

Owns how a row is written down, and where.
"""

import re
from pathlib import Path

from tests.attacks.catalogue import ATTACKS
from tests.attacks.noticed import known

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "threat-model.md"
_PLACE = re.compile(r"(<!-- attacks: [^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)


def table() -> str:
    """Name, what is tried, what stands against it, who notices and how, and who fell to it."""
    head = (
        "| `--only` | what is tried | what stands against it | who notices, and how | who fell to it |\n"
        "|---|---|---|---|---|\n"
    )
    rows = (
        (f"`{each.name}`", each.does, each.defence, known()[each.name].cell, each.fell) for each in ATTACKS
    )
    return head + "".join("| " + " | ".join(row) + " |\n" for row in rows)


def filled(text: str) -> str:
    """The document with its table as it should be."""
    made, count = _PLACE.subn(lambda found: f"{found[1]}\n{table()}\n{found[2]}", text)
    assert count == 1, "one place for the table of attacks"
    return made


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
