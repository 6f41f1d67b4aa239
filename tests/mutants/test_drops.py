"""tests.mutants.drops: what is left out of a text, and nothing else of it."""

import pytest

from tests.mutants.drops import drops
from tests.mutants.plan import MODULES, ROOT, applied


def mutated(text: str) -> set[str]:
    return {applied(text, edit) for edit in drops(text)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise Refused(why)", {"pass"}),
        ("verify(key)", {"pass"}),
        ("a or b or c", {"b or c", "a or c", "a or b"}),
        ("a and not b", {"not b", "a"}),
        ("x = a + b + c", {"x = b + c", "x = a + c", "x = a + b"}),
        ("x = f(a, k=1, z=2)", {"x = f(a,  z=2)", "x = f(a, k=1, )"}),
        ("x = field(repr=False)", set()),
        ('x = label("seal")', {"x = label('seal!')"}),
        ('x = b"ab"', {"x = b'`b'"}),
        ('x = b""', {'x = b"!"'}),
        ("x = a in b", {"x = a not in b"}),
        ("x = a not in b", {"x = a in b"}),
        ("try:\n    x\nexcept A:\n    y", {"try:\n    x\nexcept GeneratorExit:\n    y"}),
        (
            "try:\n    x\nexcept (A, B.C):\n    y",
            {
                "try:\n    x\nexcept (GeneratorExit, B.C):\n    y",
                "try:\n    x\nexcept (A, GeneratorExit):\n    y",
            },
        ),
        ("x = 'é' + a", {"x = a", "x = 'é'"}),
        ("x = 1 * y", set()),
    ],
)
def test_what_is_left_out(text: str, expected: set[str]) -> None:
    assert mutated(text) == expected


def test_a_chain_in_a_chain_is_taken_apart_once() -> None:
    assert len(drops("x = a + f(b + c) + d")) == 3 + 2


def test_every_module_of_the_two_folders_is_tried() -> None:
    paths = [path for folder in ("keys", "wire") for path in (ROOT / folder).glob("*.py")]
    modules = {f"{path.parent.name}.{path.stem}" for path in paths if path.stem != "__init__"}
    assert modules - {"keys.errors"} == set(MODULES), "tests/mutants/plan.py names them"
