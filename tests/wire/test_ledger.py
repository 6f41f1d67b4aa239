"""The form of the ledger's file: what is misspelt, left empty or unbacked is refused."""

import re

import pytest
from pydantic import ValidationError

from wire.ledger import LedgerError, Place, parse, read

SMALL = """
seers = { relay = "the program itself" }
[retentions.for-now]
means = "until it is answered"
[[store]]
of = "frames"
fields = ["id", "mailbox"]
purpose = "what waits for a device"
kept = "for-now"
seen = ["relay"]
"""


def test_entries_name_their_fields_whole() -> None:
    assert set(parse(SMALL).of(Place.STORE)) == {"frames.id", "frames.mailbox"}


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"what waits for a device"', '""', "purpose"),
        ('"what waits for a device"', '"         "', "purpose"),
        ('purpose = "what waits for a device"', "", "purpose"),
        ('of = "frames"', 'of = "frames"\nlinked = true', "linked"),
        ("[[store]]", "[[shop]]", "shop"),
        ('fields = ["id", "mailbox"]', "fields = []", "fields"),
        ('fields = ["id", "mailbox"]', 'fields = ["id", "id"]', "frames.id is declared twice"),
        ('kept = "for-now"', 'kept = "long"', "retentions: "),
        ('seen = ["relay"]', 'seen = ["nobody"]', "seers: "),
        ('seen = ["relay"]', "seen = []", "seen"),
        ("[[store]]", "seconds = 7\n[[store]]", "a figure needs"),
        ("[[store]]", 'count = 7\nconstants = ["wire.limits:HASH"]\n[[store]]', "a figure needs"),
        ("[[store]]", 'constants = ["wire.limits:HASH"]\n[[store]]', "without a figure"),
        ("[[store]]", '[retentions.never]\nmeans = "not at all"\n[[store]]', "retentions: never"),
        ("[[store]]", "[[store", "not TOML"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_strict_is_refused(before: str, after: str, why: str) -> None:
    assert SMALL.count(before) == 1
    with pytest.raises(LedgerError, match=re.escape(why)):
        parse(SMALL.replace(before, after))


BACKED = 'constants = ["wire.limits:HASH"]\ntest = "tests/wire/test_ledger.py::test_it"\n[[store]]'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("what waits for a device", "8 chars."),
        ("what waits for a device", "a" * 300),
        ('"id"', '"i"'),
        ('"id"', f'"{"i" * 200}"'),
        ("[[store]]", f"seconds = 1\n{BACKED}"),
        ("[[store]]", f"seconds = 0.5\n{BACKED}"),
        ("[[store]]", f"count = 1\n{BACKED}"),
        ("[[store]]", "[[store]]\nbytes = 1"),
        ("[[store]]", '[[store]]\nlabels = { code = "wire.errors:ErrorCode" }'),
    ],
)
def test_what_just_fits_is_taken(before: str, after: str) -> None:
    assert SMALL.count(before) == 1
    assert parse(SMALL.replace(before, after)).entries


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("what waits for a device", "7 chars"),
        ("what waits for a device", "a" * 301),
        ("what waits for a device", "two lines\\nof it"),
        ("what waits for a device", "a table's | end"),
        ("what waits for a device", " begins with a space"),
        ("what waits for a device", "ends with a space "),
        ('"what waits for a device"', "77777777"),
        ('"id"', '""'),
        ('"id"', f'"{"i" * 201}"'),
        ("[[store]]", f"seconds = 0\n{BACKED}"),
        ("[[store]]", f"count = 0\n{BACKED}"),
        ("[[store]]", f'count = "1"\n{BACKED}'),
        ("[[store]]", f"count = 1.5\n{BACKED}"),
        ("[[store]]", f"count = 1\n{BACKED}".replace("wire.limits", "os.path")),
        ("[[store]]", f"count = 1\n{BACKED}".replace("wire.limits:HASH", "wire.limits")),
        ("[[store]]", f"count = 1\n{BACKED}".replace("tests/wire/test_ledger.py", "docs/page.md")),
        ("[[store]]", 'count = 1\ntest = "tests/wire/test_ledger.py"\n[[store]]'),
        ("[[store]]", '[[store]]\nbytes = "1"'),
        ("[[store]]", "[[store]]\nlabels = { code = 7 }"),
    ],
)
def test_what_does_not_fit_is_refused(before: str, after: str) -> None:
    assert SMALL.count(before) == 1
    with pytest.raises(LedgerError, match=r"^ledger: [^\n]+$"):
        parse(SMALL.replace(before, after))


def test_the_one_that_is_declared_twice_is_named() -> None:
    with pytest.raises(LedgerError, match=r"store: frames\.mailbox is declared twice"):
        parse(SMALL.replace('"mailbox"]', '"mailbox", "mailbox"]'))


def test_of_several_mistakes_the_first_is_named() -> None:
    with pytest.raises(LedgerError, match=r"ledger: entries\.store\.0\.purpose: "):
        parse(SMALL.replace("what waits for a device", "").replace('kept = "for-now"', 'kept = ""'))


def test_it_is_not_changed_after_it_was_read() -> None:
    ledger = parse(SMALL)
    (entry,) = ledger.entries[Place.STORE]
    for what, name in ((ledger, "entries"), (entry, "purpose"), (ledger.retentions["for-now"], "means")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(what, name, "")


def test_what_came_with_this_program_is_read() -> None:
    ledger = read()
    assert {*ledger.entries} == {*Place}
    envelope = ledger.of(Place.STORE)["frames.envelope"]
    kept = ledger.retentions[envelope.kept]
    assert (kept.seconds, len(kept.constants)) == (30 * 86_400 + 3600, 2)


@pytest.mark.parametrize("text", ["retentions = 7", "seers = []", "store = 7", "[[store]]"])
def test_what_is_no_ledger_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(LedgerError, match=r"^ledger: [^\n]+$"):
        parse(text)
