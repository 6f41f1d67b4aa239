"""What the code of a relay could do at all, read from the files that would run here.

Owns finding them, reading them as syntax trees, and their hashes. Another machine may run another code.
"""

import ast
import hashlib
import json
import marshal
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path
from typing import Final

from clients.audit.capture.relays import RelayError
from clients.audit.proving.sources import FORBIDDEN, PACKAGES, matches, module_paths, names_in, reachable
from clients.config import environment

OF_A_RELAY: Final = ("relay", "wire")
HEAD: Final = 16  # bytes before the code in a bytecode file (PEP 552)
HASHED, CHECKED = 1, 2  # bits of its flags: it is valid by a hash of the source, which is looked at
LOCATE_WITHIN: Final = 20.0  # seconds
# Where Python would find each package, started as a relay is: nothing of them is imported.
_WHERE: Final = """
import importlib.util, json, sys
specs = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}
print(json.dumps({name: [*spec.submodule_search_locations][0] for name, spec in specs.items() if spec}))
"""


@dataclass(frozen=True, slots=True)
class Complaint:
    """A module of a relay could reach something that it should not."""

    module: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: {self.name}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was read of the code, and what was found in it."""

    modules: tuple[str, ...]
    names: int  # that were looked at: identifiers, attributes, imports and strings
    complaints: tuple[Complaint, ...]

    @property
    def is_green(self) -> bool:
        """Whether there was something to read, and nothing against it."""
        return "relay" in self.modules and not self.complaints


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file of the code under test: `relay/session.py` and the SHA-256 of it in hex."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Code:
    """Every file of the code under test. `compiled`: modules of which machine code runs, not the source."""

    files: tuple[CodeFile, ...]
    compiled: tuple[str, ...]


def locate() -> dict[str, Path]:
    """The folder of each of our packages, where a relay started here would find it. Raises RelayError."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-P", "-c", _WHERE, *PACKAGES],
        capture_output=True,
        text=True,
        timeout=LOCATE_WITHIN,
        check=False,
        env=environment({}),
    )
    found = {name: Path(place) for name, place in json.loads(done.stdout or "{}").items()}
    if missing := [name for name in PACKAGES if name not in found]:
        raise RelayError(
            f"{', '.join(missing)} cannot be imported here: install blindpost, and no part of it"
        )
    return found


def _below(root: Path) -> dict[str, Path]:
    return {name: root / name for name in PACKAGES if (root / name).is_dir()}


def static_proof(root: Path | None = None) -> Proof:
    """Read all that a relay reaches: of the code that would run here, or of packages below `root`.

    Raises RelayError.
    """
    folders = locate() if root is None else _below(root)
    modules = module_paths(folders.values())
    reached = reachable("relay", modules)
    complaints = [Complaint(name, 1, "has no source") for name in _without_source(folders)]
    complaints += [
        Complaint(name, 1, "runs bytecode that its source does not give")
        for name, path in sorted(reached.items())
        if not _runs_its_source(path)
    ]
    names = 0
    for module, path in sorted(reached.items()):
        if module.split(".")[0] not in OF_A_RELAY:
            complaints.append(Complaint(module, 1, "is reached from the relay"))
            continue
        read, against = _read(module, path)
        names += read
        complaints += against
    opens = (path for name, path in modules.items() if name.partition(".")[0] == "keys")
    if not any(_read("keys", path)[1] for path in opens):
        complaints.append(
            Complaint("keys", 1, "opens nothing, it seems: a reading that misses this proves nothing")
        )
    return Proof(tuple(sorted(reached)), names, tuple(dict.fromkeys(complaints)))


def _read(module: str, path: Path) -> tuple[int, list[Complaint]]:
    """How many names a module has, and which of them no relay may have."""
    found = [*names_in(ast.parse(path.read_bytes()))]
    return len(found), [Complaint(module, line, name) for name, line in found if matches(name, FORBIDDEN)]


def _runs_its_source(path: Path) -> bool:
    """Whether Python would run what this source says: a cached bytecode file is believed by its head."""
    try:
        cached = Path(cache_from_source(str(path))).read_bytes()
    except OSError:
        return True
    source, made = path.read_bytes(), path.stat()
    if not _is_believed(cached, source, made):
        return True
    try:
        # Only compared, never run.
        code = marshal.loads(cached[HEAD:])  # noqa: S302
    except (EOFError, TypeError, ValueError):
        return False
    return bool(code == compile(source, str(path), "exec", dont_inherit=True))


def _is_believed(cached: bytes, source: bytes, made: os.stat_result) -> bool:
    """Whether Python would take a bytecode file for that of a source (PEP 552)."""
    flags, stamp = int.from_bytes(cached[4:8], "little"), cached[8:HEAD]
    if cached[:4] != MAGIC_NUMBER or len(cached) < HEAD:
        return False
    if flags & HASHED:
        return not flags & CHECKED or stamp == source_hash(source)
    return stamp == b"".join(
        (number & 0xFFFFFFFF).to_bytes(4, "little") for number in (int(made.st_mtime), made.st_size)
    )


def _machine_code(folders: Mapping[str, Path], packages: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Modules that Python would load without reading a source, and the source that they should have."""
    for folder in (folders[name] for name in packages if name in folders):
        for suffix in (*EXTENSION_SUFFIXES, ".pyc"):
            for path in folder.rglob(f"*{suffix}"):
                if path.parent.name != "__pycache__":
                    stem = path.name.partition(".")[0]
                    parents = path.parent.relative_to(folder.parent).parts
                    yield ".".join((*parents, stem)), path.with_name(f"{stem}.py")


def _without_source(folders: Mapping[str, Path]) -> list[str]:
    return sorted({name for name, source in _machine_code(folders, OF_A_RELAY) if not source.exists()})


def code_hashes(root: Path | None = None) -> Code:
    """Every file of all our packages, machine code included. Raises RelayError."""
    folders = locate() if root is None else _below(root)
    files = {}
    for folder in folders.values():
        for path in (*folder.rglob("*"), *folder.parent.glob("*__mypyc*.so")):
            if path.is_file() and path.parent.name != "__pycache__":
                name = path.relative_to(folder.parent).as_posix()
                files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Code(
        tuple(CodeFile(name, digest) for name, digest in sorted(files.items())),
        tuple(sorted({name for name, _ in _machine_code(folders, PACKAGES)})),
    )
