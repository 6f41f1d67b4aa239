"""docs/backup.md equals the program: sizes, bounds and the fields of every record."""

import re
from pathlib import Path

import pytest

from clients.backup import records
from keys import backups

TEXT = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
RECORDS = {
    str(model.model_fields["record"].default): model for model in records.Record.__subclasses__()
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_of_a_record_is_told(name: str) -> None:
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
    told = set(re.findall(r"`(\w+)`", row.split("|")[3]))
    fields = set(RECORDS[name].model_fields) - {"record"}
    assert fields <= told
    assert told <= fields, told - fields
    may_lack = {field for field in fields if f"`{field}`?" in row}
    absent = {key for key, field in RECORDS[name].model_fields.items() if field.default is None}
    assert may_lack == absent


def test_every_record_is_in_the_table_and_nothing_else() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)[1:] == list(RECORDS)


def test_the_numbers_are_those_of_the_code() -> None:
    rows = [line.split("|")[1:4] for line in TEXT.splitlines() if re.match(r"\| \d", line)]
    sizes = [int(size) for _, size, _ in rows]
    offsets = [int(offset) for offset, _, _ in rows]
    assert offsets == [sum(sizes[:at]) for at in range(len(sizes))]
    assert (sum(sizes[:-1]), sum(sizes)) == (backups.HEADER, backups.HEAD)
    for number in (
        f"Argon2id passes, 1 to {backups.OPERATIONS_MAX}; this program writes {backups.OPERATIONS}",
        f"{backups.MEMORY_MIN} to {backups.MEMORY_MAX:,}; this program writes {backups.MEMORY:,}",
        f"{backups.CHUNK:,} bytes of content, the last 1 to {backups.CHUNK:,}",
        f"the first {backups.HEADER} bytes",
        f"the {backups.HEAD} bytes of the head",
    ):
        assert number in TEXT, number
    assert records.LINE_MAX == 1024 * 1024
    assert "at most 1 MiB long" in TEXT
