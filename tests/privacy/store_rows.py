"""What the rows of a database, and the bytes of its files, tie together.

Owns the ways to look: rows that name somebody, numbers that stand for such rows, values that two of them have
in common, and how near names are in the files. Knows no table: what a column is for is not asked.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from tests.privacy.links import FEWEST, is_near, is_ordered
from tests.privacy.object_graph import Names
from wire.control_values import encode_base64url

FAR: Final = 1e18
VALUE: Final = 6  # bytes of a value that is nobody's by chance

Value = int | float | str | bytes | None
People = Mapping[int, float]
Owned = Mapping[int, Sequence[tuple[Value, ...]]]  # the rows of each recipient, or sender


@dataclass
class Table:
    """One table; the first column is the row id, or a place in order where there is none."""

    name: str
    columns: list[str]
    rows: list[tuple[Value, ...]]
    named: dict[str, list[tuple[Value, ...]]] = field(default_factory=lambda: defaultdict(list))

    def numbers(self, kind: str) -> dict[int, float]:
        """The row id of each sender (S) or recipient (R) that has exactly one row."""
        found = {int(who[1:]): rows for who, rows in self.named.items() if who[0] == kind}
        return {number: _number(rows[0][0]) for number, rows in found.items() if len(rows) == 1}


def read(path: Path, names: Names) -> list[Table]:
    """Every table of the database."""
    forms = {form: who for who, keys in names.items() for key in keys for form in _forms(key)}
    connection = apsw.Connection(str(path))
    tables = []
    schema = "SELECT name, sql FROM sqlite_schema WHERE type = 'table'"
    for name, sql in [(str(name), str(sql)) for name, sql in connection.execute(schema).fetchall()]:
        has_id = "WITHOUT ROWID" not in sql
        cursor = connection.execute(f"SELECT {'rowid, ' if has_id else ''}* FROM {name}")  # noqa: S608 - a table's name
        rows = cursor.fetchall()
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        rows = rows if has_id else [(place, *row) for place, row in enumerate(rows)]
        table = Table(name, ["rowid", *(str(column) for (column,) in columns)], rows)
        for row in rows:
            text = b"\n".join(_bytes(value) for value in row if isinstance(value, str | bytes))
            for who in {who for form, who in forms.items() if form in text}:
                table.named[who].append(row)
        tables.append(table)
    connection.close()
    return tables


def _forms(name: bytes) -> list[bytes]:
    return [name, name.hex().encode(), encode_base64url(name).encode()]


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else FAR


def _rows_of(table: Table, kind: str, tables: Sequence[Table]) -> Iterator[tuple[str, Owned]]:
    """The rows of each sender or recipient: those that name it, or hold the number of one that does."""
    direct = {int(who[1:]): rows for who, rows in table.named.items() if who[0] == kind}
    yield "named", direct
    for other in tables:
        numbers = {number: who for who, number in other.numbers(kind).items()}
        for at, column in enumerate(table.columns):
            owned: dict[int, list[tuple[Value, ...]]] = defaultdict(list)
            for row in table.rows:
                if isinstance(row[at], int) and (who := numbers.get(_number(row[at]))) is not None:
                    owned[who].append(row)
            yield f"{column} = {other.name}", owned


def _numbers(owned: Owned, at: int) -> dict[int, list[float]]:
    found = {
        who: [_number(row[at]) for row in rows if isinstance(row[at], int | float)]
        for who, rows in owned.items()
    }
    return {who: numbers for who, numbers in found.items() if numbers}


def ties(tables: Sequence[Table], pairs: int) -> list[str]:
    """Where in the tables senders are tied to recipients, in words."""
    found = []
    for one, other in (("S", "R"), ("R", "S")):
        spaces = [(table.name, table.numbers(one)) for table in tables]
        spaces = [(name, numbers) for name, numbers in spaces if len(numbers) >= FEWEST]
        for table in tables:
            for how, owned in _rows_of(table, other, tables):
                for at, column in enumerate(table.columns):
                    values = _numbers(owned, at)
                    if len(values) < FEWEST:
                        continue
                    for name, numbers in spaces:
                        if _is_told(numbers, values, pairs):
                            found.append(f"{table.name}.{column} of rows by {how} tells {one} of {name}")
    found += [f"a value in common: {name}" for name in _in_common(tables, pairs)]
    return found


def _is_told(numbers: People, values: Mapping[int, Sequence[float]], pairs: int) -> bool:
    """Whether a number in the rows of some tells which of the others belongs to it."""
    middle = {who: sum(each) / len(each) for who, each in values.items()}
    if is_ordered(numbers, middle):
        return True
    matrix = [
        [
            min((abs(numbers.get(i, FAR) - value) for value in values.get(j, ())), default=FAR)
            for j in range(pairs)
        ]
        for i in range(pairs)
    ]
    return is_near(matrix)


def _in_common(tables: Sequence[Table], pairs: int) -> Iterator[str]:
    """Values that a row of a sender and one of a recipient share, and few others have."""
    for one, other in itertools.product(tables, tables):
        holders: dict[Value, set[str]] = defaultdict(set)
        for table in (one, other):
            for who, rows in table.named.items():
                for value in itertools.chain.from_iterable(rows):
                    if isinstance(value, str | bytes) and len(value) >= VALUE:
                        holders[value].add(who)
        matrix = [[FAR] * pairs for _ in range(pairs)]
        for people in holders.values():
            for i, j in itertools.product(people, people):
                if (i[0], j[0]) == ("S", "R") and len(people) < FEWEST:
                    matrix[int(i[1:])][int(j[1:])] = 0.0
        if is_near(matrix):
            yield f"{one.name}, {other.name}"


def near_in_bytes(data: bytes, names: Names, pairs: int) -> tuple[bool, bool]:
    """Whether names of senders and their recipients are near each other in these bytes, or in one order."""
    places: dict[str, list[int]] = defaultdict(list)
    for who, keys in names.items():
        for form in itertools.chain.from_iterable(map(_forms, keys)):
            at = data.find(form)
            while at >= 0:
                places[who].append(at)
                at = data.find(form, at + 1)
    matrix = [[_apart(places[f"S{i}"], places[f"R{j}"]) for j in range(pairs)] for i in range(pairs)]
    middle = {who: sum(each) / len(each) for who, each in places.items() if each}
    one, other = ({int(who[1:]): at for who, at in middle.items() if who[0] == kind} for kind in "SR")
    return is_near(matrix), is_ordered(one, other)


def _apart(one: Sequence[int], other: Sequence[int]) -> float:
    return min((abs(a - b) for a in one for b in other), default=math.inf)
