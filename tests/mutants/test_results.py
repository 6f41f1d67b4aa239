"""tests.mutants.results: what is remembered between runs, and a list in which each survivor has a reason."""

from pathlib import Path

import pytest

from tests.mutants import results
from tests.mutants.__main__ import Module
from tests.mutants.drops import Edit
from tests.mutants.plan import Mutant, Name
from tests.mutants.results import ACCEPTED, Result, Results, accepted, score

ONE, OTHER = Name("keys.seal", "seal", "a", "b"), Name("keys.seal", "seal", "a", "c")
MUTANT = Mutant(ONE, Edit(0, 1, "b"), range(1, 2), "digest")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(results, "WORK", tmp_path)
    return tmp_path / "results" / "keys.seal.jsonl"


def test_what_was_found_is_known_to_the_next_run(known: Path) -> None:
    Results("keys.seal").add(Result("digest", "killed", "tests/x.py::test", "tests as they were"))
    later = Results("keys.seal")
    found = later.of(MUTANT, "other tests")
    assert found is not None
    assert (found.verdict, found.by) == ("killed", "tests/x.py::test")
    later.forget()
    assert Results("keys.seal").of(MUTANT, "other tests") is None


def test_a_survivor_is_tried_again_once_its_tests_have_changed(known: Path) -> None:
    Results("keys.seal").add(Result("digest", "survived", "", "before"))
    assert Results("keys.seal").of(MUTANT, "before") is not None
    assert Results("keys.seal").of(MUTANT, "after") is None
    assert Results("keys.seal").last(MUTANT) is not None


def test_a_line_that_was_cut_off_is_as_if_it_were_not_there(known: Path) -> None:
    first = Results("keys.seal")
    first.add(Result("digest", "killed", "", ""))
    first.add(Result("another", "killed", "", ""))
    known.write_text(known.read_text()[:-10])
    assert Results("keys.seal").last(MUTANT) is not None
    first.forget()
    first.add(Result("another", "killed", "", ""))
    known.write_text(known.read_text()[:-10])
    Results("keys.seal").add(Result("digest", "killed", "", ""))
    assert Results("keys.seal").last(MUTANT) is not None


def listed(path: Path, text: str) -> dict[Name, str]:
    file = path / "accepted.toml"
    file.write_text(text)
    return accepted(file)


def test_each_survivor_that_is_listed_has_a_reason(tmp_path: Path) -> None:
    text = '[["keys.seal"]]\nwhy = "it is the same"\nmutants = [["seal", "a", "b"]]\n'
    assert listed(tmp_path, text) == {ONE: "it is the same"}
    with pytest.raises(ValueError, match="says nothing"):
        listed(tmp_path, text.replace("it is the same", "equivalent"))
    with pytest.raises(ValueError, match="twice"):
        listed(tmp_path, text + text)
    with pytest.raises(KeyError):
        listed(tmp_path, text.replace('why = "it is the same"\n', ""))


def test_a_survivor_that_is_not_listed_and_an_entry_that_is_noticed_both_show() -> None:
    module = Module("keys.seal", [(ONE, "survived"), (OTHER, "killed"), (OTHER, "killed")])
    elsewhere = Name("keys.chain", "", "a", "b")
    assert module.missed({}) == [ONE]
    assert module.missed({ONE: "why"}) == []
    assert module.stale({ONE: "why", elsewhere: "why"}) == []
    assert module.stale({ONE: "why", OTHER: "why"}) == [OTHER]


def test_the_list_of_this_repository_can_be_read() -> None:
    assert accepted(ACCEPTED)


def test_a_mutant_that_never_ended_counts_as_noticed_and_a_listed_survivor_does_not() -> None:
    figures = score(
        [(ONE, "killed"), (ONE, "timed out"), (ONE, "survived"), (OTHER, "survived")], {ONE: "why"}
    )
    assert str(figures) == (
        "4 made, 1 killed, 1 survived and listed, 1 survived unlisted, 1 timed out, score 50.0 %"
    )
