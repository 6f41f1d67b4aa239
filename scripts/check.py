"""Run every static check, all of them even where one fails, and close with one line of figures.

The last one starts a relay: whether its ledger of metadata is whole is cheap to know, and soon forgotten.

Usage: check.py (no arguments), from any directory. The tools' settings stand in pyproject.toml.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TYPED = ("wire", "keys", "relay", "clients", "tests", "examples", "bench", "scripts")

# Per check: what it is called, its command, and how its closing words become a figure.
CHECKS = (
    ("ruff format", ("ruff", "format", "--check"), r"(\d+) files? already formatted", "{} files formatted"),
    ("ruff check", ("ruff", "check"), r"(All) checks passed", "lint clean"),
    ("mypy", ("mypy", "--strict"), r"no issues found in (\d+) source files?", "{} files typed"),
    ("lint-imports", ("lint-imports", "--no-logo"), r"Contracts: (\d+) kept, 0 broken", "{} contracts kept"),
    # What the relay handles, against what it says it does: the rest of that file is for `make test`.
    (
        "ledger",
        ("pytest", "-q", "-k", "declared_and_nothing", "tests/relay/test_ledger.py"),
        r"^(1) passed,",
        "ledger whole",
    ),
)


def main() -> None:
    """Print each tool's own words where it fails, then the verdict; exit 1 if any failed."""
    figures: list[str] = []
    failed: list[str] = []
    for name, command, pattern, figure in CHECKS:
        tool, *arguments = command
        if tool == "mypy":  # a folder without Python files yet would be an error of its own
            arguments += [folder for folder in TYPED if next((ROOT / folder).rglob("*.py"), None)]
        done = subprocess.run([BIN / tool, *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
        found = re.search(pattern, done.stdout, re.MULTILINE)
        if done.returncode == 0 and found:
            figures.append(figure.format(found[1]))
        else:
            failed.append(name)
            print(f"--- {name} ---\n{done.stdout}{done.stderr}".rstrip(), flush=True)
    if failed:
        sys.exit(f"check: failed ({', '.join(failed)})")
    print(f"check: ok ({', '.join(figures)})")


if __name__ == "__main__":
    main()
