"""One trial: a forked process imports a module with one edit and runs tests against it.

Owns the process and its bounds. The edit is only ever in that process's memory: no file changes, and a
trial that is killed leaves nothing behind. The process that forks has imported everything but the project
itself, which is what makes a trial short; so it must not import keys, wire or a test. Knows no plan, and no
verdict on the whole.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

import pytest

from tests.mutants.plan import ROOT, WORK

MEMORY = 6 * 1024**3  # bytes of address space: a mutant may ask for any number of them
# No rewriting of assertions, whose words nobody reads here, and no plugins but those that tests need: two
# thirds of what a trial would take otherwise.
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "_hypothesis_pytestplugin")
QUIET = ("-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-seed=0")


@dataclass(frozen=True, slots=True)
class Changed:
    """A module and the text it is imported from instead of its file's."""

    module: str
    text: str


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        code = compile(self._text, self.path, "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


class _Finder:
    """Finds the one changed module, before anybody else does."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._changed.module:
            return None
        file = str(ROOT / (name.replace(".", "/") + ".py"))
        return importlib.util.spec_from_file_location(
            name, file, loader=_Loader(name, file, self._changed.text)
        )


class _Steady:
    """No examples of an earlier run, and none made smaller: a trial only asks whether a test fails."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile(
            "trial", settings(), database=None, phases=(Phase.explicit, Phase.generate), print_blob=False
        )
        settings.load_profile("trial")


def preload() -> None:
    """Import what trials need of others' packages, so that each of them finds it there."""
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(WORK / "hypothesis")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(WORK / "bytecode")
    importlib.invalidate_caches()
    for name in (
        *(
            "hypothesis.strategies",
            "hypothesis.stateful",
            "pydantic",
            "nacl.bindings",
            "doubleratchet",
            "x3dh",
        ),
        *("cryptography.hazmat.primitives.asymmetric.mlkem", "cryptography.hazmat.primitives.ciphers.aead"),
        *("cryptography.hazmat.primitives.asymmetric.x25519", "unittest.mock", "fastapi", "apsw"),
    ):
        importlib.import_module(name)


def in_child(work: Callable[[], Any], cpu_seconds: int) -> Any:
    """What `work` returned in a forked process, through JSON; None if that took too long, or died.

    It may use so many seconds of a processor, and 20 times that by the clock, for a busy machine.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _confine(cpu_seconds)
            answer = json.dumps(work()).encode()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
        except BaseException:
            (WORK / "child-failed.txt").write_text(traceback.format_exc())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = _read(pipe.fileno(), time.monotonic() + 20 * cpu_seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return json.loads(answer) if answer else None


def _confine(cpu_seconds: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(pipe: int, until: float) -> bytes:
    """Everything up to the end, or nothing if that does not come in time."""
    parts: list[bytes] = []
    while (left := until - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            part = os.read(pipe, 65_536)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return b""


def run_pytest(files: Sequence[str], *plugins: object, changed: Changed | None = None) -> int:
    """pytest's exit code for these files, in the process that calls this: a child."""
    os.chdir(ROOT)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    if changed is not None:
        sys.meta_path.insert(0, _Finder(changed))
    return int(
        pytest.main([*QUIET, *(f"-p{name}" for name in PLUGINS), *files], plugins=[_Steady(), *plugins])
    )
