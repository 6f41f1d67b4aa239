"""Each import contract and each banned import is broken on purpose, in a copy of the sources, and fails.

A contract that nobody has seen fail may be a typing error. The tables below must have an entry for every
contract and every ban of pyproject.toml: a new one without its deliberate violation fails here.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("wire", "keys", "relay", "clients")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACTS = {contract["id"]: contract for contract in CONFIG["importlinter"]["contracts"]}
BANNED = CONFIG["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]

# Per contract: (module to spoil, module it must not import), all in one run.
VIOLATIONS: dict[str, list[tuple[str, str]]] = {
    "layers": [
        ("keys.ratchet", "clients.engine"),
        ("wire.frames", "clients.messenger"),
        ("wire.frames", "keys.ratchet"),
    ],
    "relay-is-blind": [
        ("relay.session", "keys.ratchet"),
        ("relay.auth", "keys.primitives"),
        ("relay.app", "clients.engine"),
    ],
    "clients-without-relay": [
        ("clients.engine", "relay.session"),
        ("clients.messenger", "relay.app"),
    ],
    "keys-are-pure": [("keys.ratchet", name) for name in CONTRACTS["keys-are-pure"]["forbidden_modules"]],
    "wire-is-a-leaf": [("wire.frames", name) for name in CONTRACTS["wire-is-a-leaf"]["forbidden_modules"]],
    "libsodium-has-two-doors": [
        (module, "nacl")
        for module in ("wire.frames", "keys.ratchet", "relay.session", "relay.app", "clients.engine")
    ],
    "mlkem-has-one-door": [
        (module, "cryptography")
        for module in ("wire.frames", "keys.ratchet", "relay.auth", "relay.session", "clients.engine")
    ],
    "framework-has-its-place": [
        ("relay.session", "fastapi"),
        ("relay.auth", "starlette"),
        ("clients.engine", "uvicorn"),
    ],
    "no-pseudo-randomness": [
        (module, "random")
        for module in ("wire.frames", "keys.primitives", "relay.auth", "relay.app", "clients.engine")
    ],
}

FRAMEWORK_FILES = tuple(f"relay/{name}.py" for name in ("app", "endpoints", "heads", "server", "__main__"))
# Per ban: a statement that breaks it, and the files where it is allowed.
BAN_BREAKERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nacl": ("from nacl.signing import SigningKey", ("keys/primitives.py", "relay/auth.py")),
    "cryptography": ("import cryptography.hazmat", ("keys/primitives.py",)),
    "random": ("import random", ()),
    "fastapi": ("from fastapi import FastAPI", FRAMEWORK_FILES),
    "starlette": ("import starlette.routing", FRAMEWORK_FILES),
    "uvicorn": ("import uvicorn", FRAMEWORK_FILES),
    "os.environ": ("from os import environ", ("relay/config.py", "clients/config.py")),
    "os.getenv": ("import os\nos.getenv('A')", ("relay/config.py", "clients/config.py")),
}
ORDINARY_FILES = ("wire/frames.py", "keys/ratchet.py", "relay/session.py", "clients/engine.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the four packages and the configuration, free to be spoiled."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(tree: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of import-linter on the copy; the working directory comes before the checkout."""
    command = [str(BIN / "lint-imports"), "--no-cache", "--no-logo", *options]
    done = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def banned_lines(tree: Path, file: str) -> list[str]:
    """What ruff has against a file of the copy as regards banned imports."""
    command = [
        str(BIN / "ruff"),
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--output-format",
        "concise",
        file,
    ]
    done = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    return re.findall(r"TID251 `([\w.]+)` is banned", done.stdout)


def spoil(tree: Path, file: str, statement: str) -> None:
    assert (tree / file).exists(), f"{file} is gone: spoil another one"
    with (tree / file).open("a") as source:
        source.write(f"\n{statement}\n")


def test_every_contract_and_every_ban_has_its_violation() -> None:
    assert set(VIOLATIONS) == set(CONTRACTS)
    assert set(BAN_BREAKERS) == set(BANNED)


def test_an_unspoiled_copy_keeps_every_contract(tree: Path) -> None:
    code, output = lint_imports(tree)
    assert (code, f"Contracts: {len(CONTRACTS)} kept, 0 broken." in output) == (0, True), output


@pytest.mark.parametrize("contract", sorted(VIOLATIONS))
def test_a_forbidden_import_breaks_its_contract(tree: Path, contract: str) -> None:
    for importer, imported in VIOLATIONS[contract]:
        spoil(tree, importer.replace(".", "/") + ".py", f"import {imported}")
    code, output = lint_imports(tree, "--contract", contract)
    assert (code, "Contracts: 0 kept, 1 broken." in output) == (1, True), output
    reported = set(re.findall(r"([\w.]+) -> ([\w.]+)", output))
    assert set(VIOLATIONS[contract]) <= reported


def test_an_import_by_a_detour_breaks_a_contract(tree: Path) -> None:
    spoil(tree, "wire/frames.py", "def late():\n    import keys.ratchet")
    code, output = lint_imports(tree, "--contract", "relay-is-blind")
    assert (code, "wire.frames -> keys.ratchet" in output) == (1, True), output


@pytest.mark.parametrize("ban", sorted(BAN_BREAKERS))
def test_a_banned_import_is_reported_outside_its_files_only(tree: Path, ban: str) -> None:
    statement, allowed = BAN_BREAKERS[ban]
    for file in ORDINARY_FILES:
        assert banned_lines(tree, file) == []
        spoil(tree, file, statement)
        assert any(name == ban or name.startswith(f"{ban}.") for name in banned_lines(tree, file)), file
    for file in allowed:
        if (tree / file).exists():
            spoil(tree, file, statement)
            assert banned_lines(tree, file) == []
