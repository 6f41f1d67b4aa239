"""Who notices each attack, how, after how many messages, and in which words: written down, and held to.

Owns tests/attacks/noticed.json, which `python -m tests.attacks --record` writes and the table in
docs/threat-model.md shows. Knows no attack.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.attacks.play import Row

FILE: Final = Path(__file__).with_name("noticed.json")
_PORT: Final = re.compile(r"(127\.0\.0\.1):\d+")


@dataclass(frozen=True, slots=True)
class Notice:
    """See `tests.attacks.attack.Caught`."""

    who: str
    how: str
    after: int
    says: str

    @classmethod
    def of(cls, row: Row) -> "Notice":
        """What was noticed in a play, without what is of that play alone."""
        return cls(row.who, row.how, row.after, _PORT.sub(r"\1:8760", row.says))

    @property
    def counted_away(self) -> "Notice":
        """The same for every number in the words, and for any above ten tries: those differ between runs."""
        how, says = (re.sub(r"\d[\d.,]*", "0", words) for words in (self.how, self.says))
        return Notice(self.who, how, min(self.after, 11), says)

    @property
    def cell(self) -> str:
        """As it stands in the table."""
        says = f": “{self.says}”" if self.says else ""
        return f"{self.who} ({self.after:,}): {self.how}{says}"


@cache
def known() -> Mapping[str, Notice]:
    """What is written down, by the attack's name."""
    return {name: Notice(**said) for name, said in json.loads(FILE.read_text()).items()}


def judge(row: Row) -> Row:
    """The row, with a problem if somebody else noticed, or in other words, or later."""
    expected = known().get(row.name)
    if row.caught and (expected is None or Notice.of(row).counted_away != expected.counted_away):
        row.problems.append(
            f"it is noticed otherwise than {FILE.name} says: {Notice.of(row)}, and not {expected}; if that "
            f"is right: python -m tests.attacks --record --only {row.name}"
        )
    return row


def record(rows: Iterable[Row]) -> None:
    """Write down what these plays have seen, beside all others."""
    said = {**known(), **{row.name: Notice.of(row) for row in rows}}
    text = json.dumps({name: asdict(said[name]) for name in sorted(said)}, indent=1, ensure_ascii=False)
    FILE.write_text(text + "\n")
