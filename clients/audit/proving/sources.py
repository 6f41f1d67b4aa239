"""The static proof: what a relay's source reaches, and what it names.

Owns the list of what could open mail, and the reading of sources as syntax trees: nothing is imported or run.
From every module of a package the first-party import graph is followed. It sees names, attributes, imports
and strings (for getattr); what is put together at run time it does not see: hence the tripwires beside it.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

PACKAGES: Final = ("wire", "keys", "relay", "clients")

# What decrypts, opens, boxes, multiplies or converts. `*` stands for any rest of a name.
FORBIDDEN: Final = (
    # libsodium's functions, as nacl.bindings names them
    "crypto_aead*",
    "crypto_box*",
    "crypto_core*",
    "crypto_kx*",
    "crypto_scalarmult*",
    "crypto_secretbox*",
    "crypto_secretstream*",
    "crypto_sign_ed25519_*_to_curve25519",
    # libsodium's functions that PyNaCl does not name today, reached by another road or in a later version
    "crypto_kem*",
    "crypto_onetimeauth*",
    "crypto_stream*",
    # PyNaCl's classes and methods
    "Aead",
    "Box",
    "EncryptedMessage",
    "PrivateKey",
    "SealedBox",
    "SecretBox",
    "decrypt",
    "to_curve25519_private_key",
    "to_curve25519_public_key",
    # whole modules that hold nothing else
    "nacl.public",
    "nacl.secret",
    "cryptography*",
    # the ways around a name: the raw library, and imports or code made at run time
    "_sodium",
    "nacl._sodium",
    "cffi",
    "ctypes",
    "importlib",
    "import_module",
    "marshal",
    "pickle",
    "runpy",
    "zipimport",
    "__import__",
    "eval",
    "exec",
    "sys.modules",
    "__builtins__",
    "__loader__",
    # another program, whose names nobody reads here
    "ProcessPoolExecutor",
    "create_subprocess*",
    "execl*",
    "execv*",
    "fork",
    "forkpty",
    "multiprocessing*",
    "os.system",
    "popen",
    "posix_spawn*",
    "pty",
    "spawnl*",
    "spawnv*",
    "subprocess*",
)


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name is one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def names_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name a module could reach something by: names, attributes, imports, strings (for getattr)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno
            for alias in node.names:
                yield alias.name, node.lineno
                yield f"{node.module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
                yield alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


def scan(source: str) -> set[str]:
    """The forbidden names in a source text, with their lines."""
    return {f"line {line}: {name}" for name, line in names_in(ast.parse(source)) if matches(name, FORBIDDEN)}


def module_paths(folders: Iterable[Path]) -> dict[str, Path]:
    """Every module of some packages by its dotted name."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, path: Path) -> Iterator[str]:
    """The dotted names a module imports, in functions and under TYPE_CHECKING too, relative ones resolved."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def reachable(package: str, modules: Mapping[str, Path]) -> dict[str, Path]:
    """The package's modules and all of `modules` that they import, directly or not, with their parents."""
    waiting = [name for name in modules if name.split(".")[0] == package]
    seen: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        if name in seen or name not in modules:
            continue
        seen[name] = modules[name]
        waiting.extend(imports_of(name, modules[name]))
        waiting.append(name.rpartition(".")[0])
    return seen
