"""What is written down of who notices an attack holds later plays to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks import noticed
from tests.attacks.noticed import Notice, judge, known, record
from tests.attacks.play import Row


def row(**other: object) -> Row:
    said = {"who": "alice", "how": "3 held", "after": 1, "says": "At 127.0.0.1:4712."}
    return Row("sound", caught=True, control=True, **{**said, **other})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is written down but that row."""
    monkeypatch.setattr(noticed, "FILE", tmp_path / "noticed.json")
    noticed.FILE.write_text("{}")
    known.cache_clear()
    record([row(says="At 127.0.0.1:4711.")])
    known.cache_clear()
    yield
    known.cache_clear()


def test_the_same_again_is_good_whatever_the_port_and_the_numbers_in_words() -> None:
    assert judge(row()).is_good
    assert judge(row(how="1,204 held")).is_good
    assert known()["sound"] == Notice("alice", "3 held", 1, "At 127.0.0.1:8760.")


@pytest.mark.parametrize(
    "other", [{"who": "bob"}, {"how": "nothing held"}, {"after": 2}, {"says": ""}, {"says": "At home."}]
)
def test_it_is_red_to_be_noticed_by_somebody_else_or_otherwise_or_later(other: dict[str, object]) -> None:
    judged = judge(row(**other))
    assert not judged.is_good
    assert "--record --only sound" in judged.problems[0]


def test_an_attack_of_which_nothing_is_written_down_is_red() -> None:
    noticed.FILE.write_text("{}")
    known.cache_clear()
    assert not judge(row()).is_good


def test_many_tries_may_differ_and_few_may_not() -> None:
    record([row(after=2044)])
    known.cache_clear()
    assert judge(row(after=2032)).is_good
    assert not judge(row(after=10)).is_good


def test_the_cell_of_the_table_quotes_the_client() -> None:
    assert Notice("alice", "alarm", 1, "ALARM: no").cell == "alice (1): alarm: “ALARM: no”"
    assert Notice("the relay", "requests", 1330, "").cell == "the relay (1,330): requests"
