"""The mutants that cosmic-ray does not make: something is left out, or a constant of bytes is another.

Owns edits of source text, found in its syntax tree. What can be left out is what a protocol stands on: a
check that raises, a call for its effect, an exception that is caught, a condition among several, a field
among joined bytes, a keyword. Knows nothing of how mutants are tried.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

NEVER_RAISED = "GeneratorExit"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from `start` to `end` of a file by `text`."""

    start: int
    end: int
    text: str


class Source:
    """A file's text, and where each node of its syntax tree stands in it, in characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._lines = [0]
        for line in text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """From a line (from 1) and a column in UTF-8 bytes, as ast counts them."""
        start, end = self._lines[line - 1], self._lines[line]
        return start + len(self.text[start:end].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """Start and end of a node. Parentheses around it are not part of it."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)


def _without_each(source: Source, parts: list[ast.expr]) -> Iterator[Edit]:
    """Each of two or more joined parts left out, with the joint behind it, or before it for the last."""
    spans = [source.span(part) for part in parts]
    for (start, _), (following, _) in pairwise(spans):
        yield Edit(start, following, "")
    (_, before), (_, end) = spans[-2:]
    yield Edit(before, end, "")


def _joined(node: ast.expr) -> list[ast.expr]:
    """The operands of a chain of `+`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_joined(node.left), node.right]
    return [node]


def _of_call(source: Source, call: ast.Call) -> Iterator[Edit]:
    """A call without each of its keywords; a label with another purpose."""
    function = call.func.id if isinstance(call.func, ast.Name) else ""
    for keyword in call.keywords:
        if keyword.arg == "repr":  # its value is changed already, to what it is without
            continue
        start, end = source.span(keyword)
        behind = source.text[end:]
        comma = len(behind) - len(behind.lstrip()) + 1 if behind.lstrip().startswith(",") else 0
        yield Edit(start, end + comma, "")
    if function == "label" and isinstance(purpose := call.args[0], ast.Constant):
        yield Edit(*source.span(purpose), repr(f"{purpose.value!s}!"))


def _of_expression(source: Source, node: ast.expr) -> Iterator[Edit]:
    if isinstance(node, ast.BoolOp):
        yield from _without_each(source, node.values)
    elif isinstance(node, ast.BinOp) and len(parts := _joined(node)) > 1:
        yield from _without_each(source, parts)
    elif isinstance(node, ast.Call):
        yield from _of_call(source, node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bytes) and node.value:
        yield Edit(*source.span(node), repr(bytes([node.value[0] ^ 1]) + node.value[1:]))
    elif isinstance(node, ast.Constant) and node.value == b"":
        yield Edit(*source.span(node), 'b"!"')
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        start, end = source.span(node.left)[1], source.span(node.comparators[0])[0]
        given = source.text[start:end]
        yield Edit(
            start,
            end,
            given.replace(" in ", " not in ", 1) if "not" not in given else given.replace("not ", "", 1),
        )


def drops(text: str) -> list[Edit]:
    """Every edit of this kind for a file's text. Some do not compile: whoever takes them looks at that."""
    source = Source(text)
    found: list[Edit] = []
    inner: set[ast.AST] = set()  # chains within a chain: done with it
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            found.append(Edit(*source.span(node), "pass"))
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            found += [Edit(*source.span(each), NEVER_RAISED) for each in types]
        elif isinstance(node, ast.expr) and node not in inner:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
                chain = node.left
                while isinstance(chain, ast.BinOp) and isinstance(chain.op, ast.Add):
                    inner.add(chain)
                    chain = chain.left
            found += _of_expression(source, node)
    return found
