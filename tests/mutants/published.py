"""The mutants that cosmic-ray makes of one file, as JSON edits: [[start, end, text], ...] in characters.

Runs in the environment of `requirements-mutants.lock`, not in the tests': it imports nothing of this project.
Usage: published.py FILE
"""

import json
import sys
from itertools import takewhile
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

# Of its operators those that a person could have written by mistake. Every other replacement of an operator
# makes a mutant that the first test kills (`bytes ** bytes`), and would only lift the score; so would a
# missing decorator. Its replacement of exceptions fails at `except module.Name`: `tests.mutants.drops` has
# one of its own.
SWAPPED_COMPARISONS = (
    *("Eq_NotEq", "Eq_LtE", "Eq_GtE", "NotEq_Eq", "NotEq_Lt", "NotEq_Gt", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
)
SWAPPED_ARITHMETIC = (
    *("Add_Sub", "Sub_Add", "Mul_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv", "Pow_Mul"),
    *("RShift_LShift", "LShift_RShift", "BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr"),
)
OPERATORS = (
    *(f"ReplaceComparisonOperator_{swap}" for swap in SWAPPED_COMPARISONS),
    *(f"ReplaceBinaryOperator_{swap}" for swap in SWAPPED_ARITHMETIC),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "NumberReplacer", "ZeroIterationForLoop"),
)


def alike(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def edit(before: str, after: str) -> tuple[int, int, str]:
    """The shortest span of `before` whose replacement gives `after`."""
    start = alike(before, after)
    behind = alike(before[start:][::-1], after[start:][::-1])
    return start, len(before) - behind, after[start : len(after) - behind]


def main() -> None:
    """Print the edits of one file."""
    source = Path(sys.argv[1]).read_text(encoding="utf-8")
    operators = OperatorProvider()
    edits = []
    for name in OPERATORS:
        operator = operators[name]()
        positions = sum(1 for node in ast_nodes(get_ast(source)) for _ in operator.mutation_positions(node))
        for occurrence in range(positions):
            mutated = mutate_code(source, operator, occurrence)
            if mutated is not None:
                edits.append(edit(source, mutated))
    json.dump(edits, sys.stdout)


if __name__ == "__main__":
    main()
