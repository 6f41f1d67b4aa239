"""tests.mutants.trial: a mutant lives in one process only, and tests fail there for its sake alone."""

import json
import subprocess
import sys

import pytest

from tests.mutants.plan import ROOT, path_of

# In a process of its own: the one that forks must not have imported keys or wire, and this one has.
PROGRAM = """
import json, sys
from functools import partial
from tests.mutants import trial
trial.preload()
assert not [name for name in sys.modules if name.split(".")[0] in ("keys", "wire")]
text = open("keys/chain.py").read()
codes = []
for before, after in json.loads(sys.argv[1]):
    assert before in text
    changed = trial.Changed("keys.chain", text.replace(before, after, 1))
    run = partial(trial.run_pytest, ["tests/keys/test_chain.py"], changed=changed)
    codes.append(trial.in_child(run, 3))
print(json.dumps(codes))
"""


@pytest.fixture(scope="module")
def codes() -> list[int | None]:
    changes = [
        ("FRESH: Final = 16", "FRESH: Final = 16  # as it is"),
        ("number: int", "number: int  # as it is"),
        ("if not equal(", "if False and not equal("),
        ("fresh = random(FRESH)", "fresh = bytes(FRESH)"),
        ("fresh = random(FRESH)", "while True:\n            pass"),
        ("import Final", "import Nothing"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(changes)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[int | None] = json.loads(done.stdout)
    return found


def test_what_makes_no_difference_survives(codes: list[int | None]) -> None:
    assert codes[:2] == [0, 0]


def test_a_check_that_is_not_made_is_killed(codes: list[int | None]) -> None:
    assert codes[2] == 1


def test_randomness_that_is_none_is_killed(codes: list[int | None]) -> None:
    assert codes[3] == 1


def test_a_mutant_that_never_ends_is_ended(codes: list[int | None]) -> None:
    assert codes[4] is None


def test_a_module_that_cannot_be_imported_fails_its_tests(codes: list[int | None]) -> None:
    assert codes[5] not in (0, 1, None)


def test_no_file_has_changed(codes: list[int | None]) -> None:
    assert "fresh = random(FRESH)" in path_of("keys.chain").read_text()
