"""The tables of docs/operations.md that follow from the program: `python -m tests.docs.operations_tables`.

Owns how settings, metrics and reasons of drops are written down, and where.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from relay import metrics
from relay.config import Config
from relay.metrics import Metrics

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
_DROP = re.compile(r'^    [A-Z_]+ = "(\w+)"  # (frame|connection): (.+)$', re.MULTILINE)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _default(name: str) -> str:
    if name == "data_directory":
        return "the platform's"
    value = Config.model_fields[name].get_default(call_default_factory=True, validated_data={})
    return "" if value in (None, (), "") else f"`{value}`"


def settings() -> str:
    """Every setting, in the order of --help."""
    rows = [
        (f"`{name}`", _default(name), field.description or "") for name, field in Config.model_fields.items()
    ]
    return _table(("setting", "default", "what"), rows)


def counted() -> str:
    """Every metric as it is scraped."""
    rows = []
    for family in Metrics().registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        shown = f"{name}{{{','.join(labels)}}}" if labels else name
        rows.append((f"`{shown}`", family.type, family.documentation))
    return _table(("metric", "kind", "what"), rows)


def drops() -> str:
    """Every reason of a drop, with the comment that stands beside it."""
    found = _DROP.findall(Path(metrics.__file__).read_text())
    return _table(("reason", "what", "why"), [(f"`{word}`", what, why) for word, what, why in found])


TABLES = {"settings": settings, "metrics": counted, "drops": drops}


def filled(text: str) -> str:
    """The document with its tables as they should be."""
    for name, make in TABLES.items():
        found = re.split(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)", text, flags=re.DOTALL)
        assert len(found) == 4, f"one place for the table of {name}"
        before, begin, end, after = found
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
