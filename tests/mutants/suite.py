"""Which tests run which line of keys/ and wire/, and in what order they are tried against a mutant.

Owns the map from lines to tests, made once per test file by tracing it, and remembered while neither that
file nor the sources change. Knows no mutants but by their place.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.mutants.plan import ROOT, WORK, Mutant, path_of
from tests.mutants.trial import Changed, in_child, run_pytest

FOLDERS = ("tests/keys", "tests/wire", "tests/vectors", "tests/properties")
# What holds the numbers of wire.limits and the bounds of wire.control to those of the documents.
BESIDE = ("tests/docs/test_protocol.py", "tests/relay/test_asyncapi.py")
TRACE_MAX = 600  # seconds of processor that one test file may take while it is traced
SLOW = 0.1  # seconds of one test, traced; of a function with many of them,
SEEDS = 2  # so many are tried: they differ by their seed
_KEPT = WORK / "lines.json"


class _Tracer:
    """Notes for each test which lines of keys/ and wire/ it runs, and for the file those of its import."""

    def __init__(self) -> None:
        self._roots = (str(ROOT / "keys") + "/", str(ROOT / "wire") + "/")
        self.shared: set[str] = set()
        self.tests: dict[str, set[str]] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self._now = self.shared
        sys.settrace(self._enter)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._roots) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        self._now.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return self._line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._now = self.tests.setdefault(item.nodeid, set())
        began = time.process_time()
        sys.settrace(self._enter)  # a test of before may have ended it
        result = yield
        self.seconds[item.nodeid] = time.process_time() - began
        self._now = self.shared
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """What a fixture of several tests does belongs to all of them."""
        before = self._now
        self._now = before if fixturedef.scope == "function" else self.shared
        result = yield
        self._now = before
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def _lines(names: Iterable[str]) -> dict[str, list[int]]:
    """Per module the numbers of its lines."""
    found: dict[str, list[int]] = {}
    for name in sorted(names):
        path, _, line = name.rpartition(":")
        module = Path(path).relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        found.setdefault(module, []).append(int(line))
    return found


def _trace(file: str) -> dict[str, Any]:
    tracer = _Tracer()
    code = run_pytest([file], tracer)
    sys.settrace(None)
    tests = {test: _lines(names) for test, names in tracer.tests.items()}
    return {
        "code": code,
        "failed": tracer.failed,
        "shared": _lines(tracer.shared),
        "tests": tests,
        "seconds": tracer.seconds,
    }


def _key(file: str, modules: Iterable[str]) -> str:
    """Over what decides which lines a test file runs: itself, and the modules that it imports."""
    paths = [ROOT / file, *(path_of(module) for module in sorted(modules))]
    return hashlib.sha256(
        b"\0".join(path.read_bytes() if path.exists() else b"" for path in paths)
    ).hexdigest()


class BrokenSuiteError(Exception):
    """Tests fail without any mutant, so that nothing could be learned from their failing with one."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Tests of some files, the quick ones first."""

    tests: tuple[str, ...]
    seconds: float

    @property
    def files(self) -> tuple[str, ...]:
        """The files they are in."""
        return tuple(dict.fromkeys(test.partition("::")[0] for test in self.tests))

    @property
    def digest(self) -> str:
        """Over the contents of the files: with another one, a mutant that survived is tried again."""
        contents = b"\0".join((ROOT / file).read_bytes() for file in sorted(self.files))
        return hashlib.sha256(contents).hexdigest()[:16]


class Suite:
    """All tests of keys/ and wire/, traced."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("test_*.py"))]
        self.files = (*(path.relative_to(ROOT).as_posix() for path in found), *BESIDE)
        self._kept = json.loads(_KEPT.read_text()) if _KEPT.exists() else {}
        self._traced: dict[str, dict[str, Any]] = {}
        for number, file in enumerate(self.files, 1):
            kept = self._kept.get(file)
            if kept is None or kept["key"] != _key(file, kept["shared"]):
                tell(f"tracing tests, file {number} of {len(self.files)}")
                traced = in_child(partial(_trace, file), TRACE_MAX)
                if traced is None or traced["code"] != 0:
                    failed = " ".join(traced["failed"]) if traced else "it took too long"
                    raise BrokenSuiteError(f"{file} fails without any mutant: {failed}")
                self._kept[file] = {"key": _key(file, traced["shared"]), **traced}
                WORK.mkdir(exist_ok=True)
                _KEPT.write_text(json.dumps(self._kept))
            self._traced[file] = self._kept[file]
        self.size = sum(len(traced["tests"]) for traced in self._traced.values())

    def _touching(self, mutant: Mutant) -> Generator[tuple[float, str]]:
        module, wanted = mutant.name.module, set(mutant.lines)
        for traced in self._traced.values():
            by_all = not wanted.isdisjoint(traced["shared"].get(module, ()))
            for test, lines in traced["tests"].items():
                if by_all or not wanted.isdisjoint(lines.get(module, ())):
                    yield traced["seconds"][test], test

    def select(self, mutant: Mutant) -> list[Selection]:
        """The tests that run the mutant's statement: those of the module's own files, then all others."""
        stem = path_of(mutant.name.module).stem
        own: list[tuple[float, str]] = []
        others: list[tuple[float, str]] = []
        seeds: Counter[str] = Counter()
        for seconds, test in sorted(self._touching(mutant)):
            function = test.partition("[")[0]
            seeds[function] += seconds > SLOW
            if seeds[function] > SEEDS:
                continue
            file = Path(test.partition("::")[0])
            is_own = file.stem.startswith((f"test_{stem}", f"test_{stem.removesuffix('s')}"))
            (own if is_own else others).append((seconds, test))
        groups = [group for group in (own, others) if group]
        return [
            Selection(tuple(test for _, test in group), sum(seconds for seconds, _ in group))
            for group in groups
        ]

    def known(self, file: str) -> frozenset[str]:
        """All tests of a file as it collects them without a mutant."""
        return frozenset(self._traced[file]["tests"])


class _Chosen:
    """Runs the chosen tests in their order, and those that are only there because of the mutant."""

    def __init__(self, tests: Sequence[str], known: frozenset[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}
        self._known = known
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = [item for item in items if item.nodeid in self._places or item.nodeid not in self._known]
        items[:] = sorted(wanted, key=lambda item: self._places.get(item.nodeid, -1))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def try_out(suite: Suite, selection: Selection, changed: Changed) -> tuple[str, str]:
    """("killed", by which test), ("survived", "") or ("timed out", ""): one mutant under one selection.

    It timed out after five times the seconds that its tests took while they were traced, and five more.
    """
    known = frozenset().union(*(suite.known(file) for file in selection.files))

    def work() -> tuple[int, str]:
        chosen = _Chosen(selection.tests, known)
        code = run_pytest(selection.files, chosen, changed=changed)
        return code, chosen.failed

    answer = in_child(work, 5 + int(5 * selection.seconds))
    if answer is None:
        return "timed out", ""
    code, failed = answer
    if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return "survived", ""
    if code == pytest.ExitCode.USAGE_ERROR and not all((ROOT / file).exists() for file in selection.files):
        raise BrokenSuiteError(f"one of these files is gone: {' '.join(selection.files)}")
    return "killed", failed or "the import of its tests"
