"""What objects of a running relay hold of peers, read from its sources.

Owns what counts: every attribute that is a container, bytes or text, of every class that is no mere value
(frozen, an enumeration, a protocol). Numbers, flags and objects of ours hold nobody's name.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
# What a command of the operator or `doctor` holds is gone when it has answered; settings are a place apart.
APART: Final = ("relay/commands/", "relay/doctor/", "relay/config.py", "relay/__main__.py")
KEEPING: Final = frozenset(
    (
        *("bytes", "bytearray", "str", "dict", "list", "set", "frozenset", "deque", "tuple", "Counter"),
        *("defaultdict", "OrderedDict", "Sequence", "Collection", "Mapping", "MutableMapping", "Iterable"),
        *("WeakSet", "WeakValueDictionary", "Hashable", "object"),
    )
)
VALUES: Final = frozenset(
    ("Enum", "IntEnum", "StrEnum", "Protocol", "NamedTuple", "Exception", "OperatorError")
)


def _head(annotation: ast.expr | None) -> set[str]:
    """The outermost names of an annotation: `dict` of `dict[bytes, int]`, both of a union."""
    match annotation:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(attr=name):
            return {name}
        case ast.Constant(value=str(text)):
            return _head(ast.parse(text, mode="eval").body)
        case ast.Subscript(value=value, slice=inner):
            names = _head(value)
            return _head(inner) if names & {"Final", "ClassVar", "Optional"} else names
        case ast.BinOp(left=left, right=right):
            return _head(left) | _head(right)
    return set()


def _made(value: ast.expr | None) -> set[str]:
    """The type of what is assigned, where it shows."""
    match value:
        case ast.Dict() | ast.DictComp():
            return {"dict"}
        case ast.List() | ast.ListComp():
            return {"list"}
        case ast.Set() | ast.SetComp():
            return {"set"}
        case ast.Constant(value=bytes()):
            return {"bytes"}
        case ast.Constant(value=str()):
            return {"str"}
        case ast.Call(func=ast.Name(id=name)):
            return {name}
        case ast.Call(func=ast.Subscript(value=ast.Name(id=name))):
            return {name}
        case ast.BoolOp(values=values):
            return set().union(*map(_made, values))
    return set()


def _targets(method: ast.AST, types: dict[str, set[str]]) -> Iterator[tuple[str, set[str]]]:
    """Attributes of `self` that a method assigns, each with the names of its type."""
    for node in ast.walk(method):
        pairs: list[tuple[ast.expr, ast.expr | None, set[str]]] = []
        if isinstance(node, ast.AnnAssign):
            pairs = [(node.target, node.value, _head(node.annotation))]
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs += [
                        (each, value, set()) for each, value in zip(target.elts, node.value.elts, strict=True)
                    ]
                elif isinstance(target, ast.Tuple):
                    pairs += [(each, None, set()) for each in target.elts]
                else:
                    pairs.append((target, node.value, set()))
        for target, value, names in pairs:
            if (
                isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name)
                and target.value.id == "self"
            ):
                known = types.get(value.id, set()) if isinstance(value, ast.Name) else set()
                yield target.attr, names | known | _made(value)


def _holds(found: ast.ClassDef) -> Iterator[str]:
    bases = {
        base.id for base in found.bases if isinstance(base, ast.Name)
    }  # asyncio.Protocol is none of ours
    decorators = [ast.unparse(each) for each in found.decorator_list]
    if bases & VALUES or found.name.endswith("Error") or any("frozen=True" in each for each in decorators):
        return
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if _head(node.annotation) & KEEPING:
                yield node.target.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            types = {each.arg: _head(each.annotation) for each in arguments}
            for name, kinds in _targets(node, types):
                if kinds & KEEPING:
                    yield name


def held_in(source: str) -> set[str]:
    """`Class.attribute` for everything that classes of a source hold."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return {f"{each.name}.{name}" for each in classes for name in _holds(each)}


def held() -> dict[str, str]:
    """Everything that the relay holds, and in which of its sources."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "relay").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(APART):
            found.update(dict.fromkeys(held_in(path.read_text("utf-8")), name))
    return found
