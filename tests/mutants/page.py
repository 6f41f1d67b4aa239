"""docs/mutants.md: the figures of every module, and each survivor that is accepted with its reason.

Owns the page's text. Knows what was found, not how.
"""

import os
import platform
import time
from collections.abc import Mapping
from itertools import groupby

from tests.mutants.plan import ROOT, Name
from tests.mutants.results import Score, score

PAGE = ROOT / "docs" / "mutants.md"
HEAD = """\
# Mutants: would the tests notice?

Written by `make mutants ARGS=--report`; do not edit. `make mutants` changes one place of `keys/` or `wire/`
at a time, in memory, and runs the tests that reach it: a comparison or a number is another, a check is not
made, a call, a field of joined bytes, a condition or a keyword is left out. Where no test fails, either a
test is missing or the change makes no difference. Each of the latter stands below with its reason; `make
mutants` fails at any other survivor. What stands in other folders' tests (`tests/relay`, `tests/clients`)
does not count here.
"""


def _table(modules: Mapping[str, list[tuple[Name, str]] | None], reasons: dict[Name, str]) -> list[str]:
    lines = ["| module | made | killed | timed out | survived, listed | survived, unlisted | score |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, outcomes in modules.items():
        if outcomes is None:
            lines.append(f"| `{name}` | not run | | | | | |")
        else:
            lines.append(_row(f"`{name}`", score(outcomes, reasons)))
    run = [one for outcomes in modules.values() if outcomes for one in outcomes]
    return [*lines, _row("all that ran", score(run, reasons))]


def _row(name: str, figures: Score) -> str:
    counts = (figures.made, figures.killed, figures.timed_out, figures.listed, figures.survived)
    return f"| {name} | {' | '.join(map(str, counts))} | {figures.percent:.1f} % |"


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _survivors(reasons: dict[Name, str]) -> list[str]:
    lines: list[str] = []
    for module, names in groupby(reasons, key=lambda name: name.module):
        lines += ["", f"### {module}"]
        for why, group in groupby(names, key=reasons.__getitem__):
            lines += ["", why, ""]
            for name in group:
                place = f"{name.function}: " if name.function else ""
                lines.append(f"- {place}{_code(name.was)} becomes {_code(name.becomes)}")
    return lines


def write(modules: Mapping[str, list[tuple[Name, str]] | None], reasons: dict[Name, str]) -> None:
    """Write the page: the outcomes of each module, None for one that has not been run whole."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    when = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [HEAD, f"Last run: {when}, on a machine with {machine}.", "", *_table(modules, reasons), ""]
    lines += [
        "The score is what was killed or timed out, of all that were made.",
        "",
        "## Survivors that stay",
    ]
    PAGE.write_text("\n".join([*lines, *_survivors(reasons)]) + "\n", encoding="utf-8")
