"""The form of the ledger's file: what is misspelt, left empty or unbacked is refused."""

import re

import pytest

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
