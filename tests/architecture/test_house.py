"""The house rules that no linter knows: file sizes, file names, the environment, locks and package lists."""

import ast
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("wire", "keys", "relay", "clients")
MAX_LINES = 400
# A name that fits everything gathers everything.
BANNED_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "service", "services"}
BANNED_WORDS |= {"handler", "handlers", "core", "misc"}
READS_ENVIRONMENT = {"relay/config.py", "clients/config.py"}


def sources(*folders: str) -> list[Path]:
    """Every Python file under the folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_is_something_to_look_at() -> None:
    for package in PACKAGES:
        assert len(sources(package)) > 1, package


def test_no_file_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_file_or_folder_has_a_name_for_everything() -> None:
    paths = [path.relative_to(ROOT) for path in sources(*PACKAGES, "tests", "examples", "bench", "scripts")]
    guilty = {
        path.as_posix()
        for path in paths
        for part in path.with_suffix("").parts
        if BANNED_WORDS & set(part.lower().split("_"))
    }
    assert guilty == set()


def environment_reads(source: str) -> list[int]:
    """Lines that touch the process environment: no file is excused, as some are from the lint rule."""
    names = ("environ", "environb", "getenv", "getenvb", "putenv")
    lines = []
    for node in ast.walk(ast.parse(source)):
        if (isinstance(node, ast.Attribute) and node.attr in names) or (
            isinstance(node, ast.alias) and node.name in names
        ):
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "from os import getenv", "import os\nos.getenv('A')"]
)
def test_the_environment_scan_finds_reads(source: str) -> None:
    assert environment_reads(source)


def test_the_environment_is_read_at_the_entry_points_only() -> None:
    readers = {name_of(path) for path in sources(*PACKAGES) if environment_reads(path.read_text())}
    assert readers <= READS_ENVIRONMENT


def locked(lock: str) -> dict[str, str]:
    """Name to version of a lock; each entry has been seen to carry at least one sha256."""
    entries: dict[str, str] = {}
    text = (ROOT / lock).read_text().replace("\\\n", "")
    for line in text.splitlines():
        if line.startswith(("#", " ")) or not line.strip():
            continue
        entry = re.fullmatch(r"([a-z0-9-]+)==([^ ;]+)[^#]*?((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert entry, f"{lock}: without a version or a hash: {line[:80]}"
        entries[entry[1]] = entry[2]
    return entries


def test_every_locked_package_has_hashes_and_one_version() -> None:
    runtime, development = locked("requirements.lock"), locked("requirements-dev.lock")
    assert len(runtime) > 20
    assert runtime.items() <= development.items()


def project(path: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / path).read_text())["project"]
    return table


@pytest.mark.parametrize("path", ["pyproject.toml", "packaging/relay/pyproject.toml"])
def test_every_command_has_its_function(path: str) -> None:
    for target in project(path)["scripts"].values():
        module, _, function = target.partition(":")
        place = ROOT / module.replace(".", "/")
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        names = set()
        for node in ast.parse(source.read_text()).body:
            names |= {alias.asname or alias.name for alias in getattr(node, "names", [])}
            names |= {getattr(node, "name", "")}
        assert function in names, target


def test_locks_hold_every_dependency_and_not_plain_apsw() -> None:
    names = {re.split(r"[>=<~!;\[ ]", line)[0] for line in project("pyproject.toml")["dependencies"]}
    assert names <= set(locked("requirements.lock"))
    assert "apsw" not in locked(
        "requirements-dev.lock"
    )  # would overwrite apsw-sqlite3mc's module of the same name


def test_the_relay_alone_depends_on_a_part_of_the_whole() -> None:
    whole, alone = project("pyproject.toml"), project("packaging/relay/pyproject.toml")
    assert whole["version"] == alone["version"]
    assert whole["requires-python"] == alone["requires-python"]
    left_out = {
        re.split(r"[>=<]", line)[0] for line in set(whole["dependencies"]) - set(alone["dependencies"])
    }
    assert set(alone["dependencies"]) < set(whole["dependencies"])
    assert left_out == {"cryptography", "click", "segno", "platformdirs", "prompt-toolkit", "wcwidth"}


def test_the_relay_wheel_has_the_relay_and_the_wire_format_alone(tmp_path: Path) -> None:
    builder = WheelBuilder(str(ROOT / "packaging" / "relay"))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    modules = {name for name in names if ".dist-info/" not in name}
    expected = {name_of(path) for path in sources("relay", "wire")}
    assert {name for name in modules if name.endswith(".py")} == expected
    assert {name.split("/")[0] for name in modules} == {"relay", "wire"}
    assert "wire/ledger.toml" in modules
    assert not any("__pycache__" in name for name in modules)
    assert any(name.endswith("licenses/LICENSE") for name in names)
