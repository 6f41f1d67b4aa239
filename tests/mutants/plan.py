"""Which mutants there are of a module, and by what each is known.

Owns their list, joined of what cosmic-ray makes and what `tests.mutants.drops` adds, without those that do
not compile, that only change an annotation or a sentence for people, or that equal another one. A mutant is
known by its module, its function and the two texts of what changed, never by a line's number, so that a
list of them outlives edits elsewhere.
"""

import ast
import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.drops import Edit, Source, drops

ROOT = Path(__file__).parents[2]
WORK = ROOT / ".mutants"
TOOL = WORK / "venv" / "bin" / "python"

# The cheap and deep ones first: what an attacker would look for.
MODULES = (
    *("keys.ratchet", "keys.chain", "keys.seal", "keys.sessions", "keys.handshake", "keys.identities"),
    *("keys.statics", "keys.prekeys", "keys.primitives", "keys.safety_number", "keys.checkpoint"),
    *("keys.backups", "keys.content", "keys.secrecy", "keys.auditors"),
    *("wire.frames", "wire.binary", "wire.device_lists", "wire.prekeys", "wire.login", "wire.strict_json"),
    *("wire.control_values", "wire.control", "wire.addresses", "wire.bech32m", "wire.capabilities"),
    *("wire.invites", "wire.shortcuts", "wire.errors", "wire.limits", "wire.ledger"),
    *("wire.control_message", "wire.account_messages", "wire.randomness"),
)


@dataclass(frozen=True, slots=True)
class Name:
    """What a mutant is known by. The texts are whole lines, joined by a space; equal ones share a fate."""

    module: str
    function: str
    was: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.module} {self.function or '(module)'}\n    - {self.was}\n    + {self.becomes}"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit. `lines` are those of the statement around it; `digest` covers the function, too."""

    name: Name
    edit: Edit
    lines: range
    digest: str


def path_of(module: str) -> Path:
    """The file of a module."""
    return ROOT / (module.replace(".", "/") + ".py")


def applied(text: str, edit: Edit) -> str:
    """The file's text with the edit made."""
    return text[: edit.start] + edit.text + text[edit.end :]


def _published(path: Path, text: str) -> list[Edit]:
    """What cosmic-ray makes of the file; remembered by what is in it."""
    digest = hashlib.sha256(text.encode() + (Path(__file__).parent / "published.py").read_bytes()).hexdigest()
    kept = WORK / "published" / f"{digest}.json"
    if not kept.exists():
        command = [TOOL, Path(__file__).parent / "published.py", path]
        made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(made)
    return [Edit(start, end, text) for start, end, text in json.loads(kept.read_text())]


class _Places:
    """Around each character of a file: the function, the statement, the smallest unit that holds it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._statements: list[tuple[int, int, range]] = []
        self._functions: list[tuple[int, int, str]] = []
        self._top = [source.span(node) for node in source.tree.body]
        self.void: list[tuple[int, int]] = []  # where no change says anything
        self.types: list[tuple[int, int]] = []  # where one of `|` does not
        self._walk(source.tree, "")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef):
                arguments = (*node.args.args, *node.args.posonlyargs, *node.args.kwonlyargs)
                notes = [argument.annotation for argument in arguments] + [node.returns]
                self.void += [source.span(note) for note in notes if note is not None]
            elif (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dataclass"
            ):
                self.void.append(source.span(node))
            elif isinstance(node, ast.AnnAssign):  # A | B in a type, told from numbers by what is around it
                types = (node.annotation, node.value)
                self.types += [source.span(type) for type in types if isinstance(type, ast.BinOp)]
                if ast.unparse(node.annotation) == "TypeAlias" and node.value is not None:
                    parts = ast.walk(node.value)
                    self.types += [source.span(part) for part in parts if isinstance(part, ast.BinOp)]

    def _walk(self, node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.stmt):
                start, end = self._source.span(child)
                body = getattr(child, "body", None)
                last = body[0].lineno - 1 if body else child.end_lineno or child.lineno
                self._statements.append((start, end, range(child.lineno, max(last, child.lineno) + 1)))
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    inner = f"{name}.{child.name}".lstrip(".")
                    self._functions.append((start, end, inner))
            self._walk(child, inner)

    def function(self, edit: Edit) -> tuple[str, tuple[int, int]]:
        """The name of the innermost function or class, and the span of the unit whose text counts."""
        around = [one for one in self._functions if one[0] <= edit.start and edit.end <= one[1]]
        if around:
            start, end, name = max(around)
            return name, (start, end)
        return "", next(((a, b) for a, b in self._top if a <= edit.start and edit.end <= b), (0, 0))

    def lines(self, edit: Edit) -> range:
        """The lines of the innermost statement; of a compound one its head."""
        around = [one for one in self._statements if one[0] <= edit.start and edit.end <= one[1]]
        return max(around, key=lambda one: (one[0], -one[1]))[2]

    def is_void(self, edit: Edit) -> bool:
        """Whether the edit lies in an annotation, or in a decorator's arguments."""
        spans = self.void + (self.types if self._source.text[edit.start : edit.end] == "|" else [])
        return any(start <= edit.start and edit.end <= end for start, end in spans)


def _whole_lines(text: str, start: int, end: int) -> str:
    """The lines of a span; for one that is a whole `raise`, also the line above, which says when."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    lines = text[first : last if last >= 0 else len(text)]
    if lines.split()[0] in ("raise", "pass", "continue", "break"):
        lines = text[text.rfind("\n", 0, max(first - 1, 0)) + 1 : first] + lines
    return " ".join(lines.split())


def plan(module: str) -> list[Mutant]:
    """The mutants of a module, in the order of its text."""
    path = path_of(module)
    text = path.read_text(encoding="utf-8")
    places = _Places(Source(text))
    mutants: dict[str, Mutant] = {}
    for edit in sorted([*_published(path, text), *drops(text)], key=lambda edit: (edit.start, edit.end)):
        mutated = applied(text, edit)
        if mutated in mutants or mutated == text or places.is_void(edit):
            continue
        try:
            compile(mutated, str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        function, (start, end) = places.function(edit)
        name = Name(
            module,
            function,
            _whole_lines(text, edit.start, edit.end),
            _whole_lines(mutated, edit.start, edit.start + len(edit.text)),
        )
        unit = f"{text[start:end]}\0{edit.start - start}\0{edit.end - start}\0{edit.text}"
        digest = hashlib.sha256(f"{function}\0{unit}".encode()).hexdigest()[:16]
        mutants[mutated] = Mutant(name, edit, places.lines(edit), digest)
    return list(mutants.values())
