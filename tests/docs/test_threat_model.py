"""Every test that a document names exists, and the threat model keeps its plain words."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").rglob("*.md"),
]
TEXT = " ".join((ROOT / "docs" / "threat-model.md").read_text().split())


def named_tests(text: str) -> set[str]:
    return set(re.findall(r"tests/[\w/]+(?:\.\w+)?(?:::\w+)?", text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_test_exists(document: Path) -> None:
    for name in named_tests(document.read_text()):
        path, _, function = name.partition("::")
        assert (ROOT / path).exists(), f"{document.name} names {path}"
        if function:
            source = (ROOT / path).read_text()
            assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), name


def test_control_a_name_that_does_not_exist_would_be_seen() -> None:
    names = named_tests(
        "see `tests/wire/test_nothing.py::test_it`, tests/docs/ and `tests/wire/test_errors.py`"
    )
    assert names == {"tests/wire/test_nothing.py::test_it", "tests/docs/", "tests/wire/test_errors.py"}


def test_every_claim_has_a_test_or_says_that_it_is_open() -> None:
    table = (ROOT / "docs" / "threat-model.md").read_text()
    start, end = table.index("## Promises and their tests"), table.index("## What is not hidden")
    rows = [line for line in table[start:end].splitlines() if re.match(r"\| (?!claim|attack)\w", line)]
    assert len(rows) > 40
    for row in rows:
        shown = row.strip("|").split("|")[-1]
        assert named_tests(shown) or "open: issue later" in shown or "`make demo`" in shown, row


def test_it_says_plainly_that_nobody_has_audited() -> None:
    assert "**No outside audit has been made**" in TEXT
    assert "**No outside audit has been made.**" in (ROOT / "docs" / "review.md").read_text()
