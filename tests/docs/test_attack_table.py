"""docs/threat-model.md cites every attack, and the catalogue is whole."""

import importlib
import pkgutil
import re

import pytest

import tests.attacks
from tests.attacks.attack import Attack
from tests.attacks.catalogue import ATTACKS
from tests.attacks.noticed import known
from tests.docs.attack_table import DOCUMENT, filled


def test_the_table_is_that_of_the_catalogue() -> None:
    text = DOCUMENT.read_text()
    assert filled(text) == text, "run: python -m tests.docs.attack_table"


def test_no_attack_is_left_out_and_no_name_is_there_twice() -> None:
    written = set()
    for each in pkgutil.iter_modules(tests.attacks.__path__):
        if each.name != "__main__" and not each.name.startswith("test_"):
            module = importlib.import_module(f"tests.attacks.{each.name}")
            written |= {value.name for value in vars(module).values() if isinstance(value, Attack)}
    assert sorted(each.name for each in ATTACKS) == sorted(written)


def test_who_notices_each_attack_is_written_down_and_of_no_other() -> None:
    assert sorted(known()) == sorted(each.name for each in ATTACKS), (
        "run: make attacks ARGS='--record --only NAME'"
    )
    assert not [name for name, notice in known().items() if re.search(r"[|\n]", notice.cell)]
    assert all(notice.who and notice.how for notice in known().values())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_every_row_says_what_is_tried_and_takes_a_defence_away_that_is_there(attack: Attack) -> None:
    assert attack.does
    assert attack.defence
    assert attack.without
    assert not re.search(r"[|\n]", attack.does + attack.defence + attack.fell)
    for removal in attack.without:
        pkgutil.resolve_name(removal.target)
