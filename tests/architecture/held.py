"""What objects of a running relay hold of peers, read from its sources.

Owns what counts: every attribute that is a container, bytes or text, of every class that is no mere value
(frozen, an enumeration, a protocol). Numbers, flags and objects of ours hold nobody's name.
"""

import ast
import re
from collections.abc import Collection, Iterator
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
CONTAINERS: Final = KEEPING - {"bytes", "str", "tuple", "frozenset", "object"}
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


def _is_value(found: ast.ClassDef) -> bool:
    """Whether it is what others hold, and holds nothing for itself."""
    bases = {
        base.id for base in found.bases if isinstance(base, ast.Name)
    }  # asyncio.Protocol is none of ours
    is_frozen = any("frozen=True" in ast.unparse(each) for each in found.decorator_list)
    return bool(bases & VALUES) or found.name.endswith("Error") or is_frozen


def _holds(found: ast.ClassDef, keeping: frozenset[str]) -> Iterator[str]:
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if _head(node.annotation) & keeping:
                yield node.target.id
        elif isinstance(node, ast.Assign):
            if _made(node.value) & CONTAINERS:
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            types = {each.arg: _head(each.annotation) for each in arguments}
            for name, kinds in _targets(node, types):
                if kinds & keeping:
                    yield name
            if any("cached_property" in ast.unparse(each) for each in node.decorator_list):
                yield node.name


def _of_the_module(tree: ast.Module) -> Iterator[str]:
    """What a module itself remembers: containers that are empty at first, and results of functions."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            is_empty = isinstance(node.value, ast.Dict | ast.List) and not ast.unparse(node.value).strip(
                "{}[]"
            )
            is_empty |= (
                isinstance(node.value, ast.Call)
                and not node.value.args
                and bool(_made(node.value) & CONTAINERS)
            )
            yield from (target.id for target in targets if is_empty and isinstance(target, ast.Name))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            re.search(r"\b(lru_)?cache\b", ast.unparse(each)) for each in function.decorator_list
        ):
            yield function.name


def _classes(source: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def values_in(source: str) -> set[str]:
    """The classes of a source that are values with somebody's bytes or text in them."""
    return {each.name for each in _classes(source) if _is_value(each) and any(_holds(each, KEEPING))}


def held_in(source: str, values: Collection[str] = ()) -> set[str]:
    """`Class.attribute` for all that classes of a source hold; what the module itself does, by its name."""
    holders = [each for each in _classes(source) if not _is_value(each)]
    found = {f"{each.name}.{name}" for each in holders for name in _holds(each, KEEPING | set(values))}
    return found | set(_of_the_module(ast.parse(source)))


def held() -> dict[str, str]:
    """Everything that the relay holds, and in which of its sources."""
    sources = {path: path.read_text("utf-8") for path in sorted((ROOT / "relay").rglob("*.py"))}
    outer = [path.read_text("utf-8") for path in (ROOT / "wire").glob("*.py")]
    values = set().union(*map(values_in, (*sources.values(), *outer)))
    found: dict[str, str] = {}
    for path, source in sources.items():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(APART):
            found.update(dict.fromkeys(held_in(source, values), name))
    return found
