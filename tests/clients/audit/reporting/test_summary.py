"""The audit in a terminal: one page, and a last line that says it all."""

import json
import re

import pytest

from clients.audit.reporting.report import Transcript, Tripwired
from clients.audit.reporting.summary import LINES_MAX, Progress, last_line, size, summary
from clients.audit.reporting.verdict import judged
from tests.clients.audit.reports import control, facts, searching


def test_the_last_line_of_a_green_audit() -> None:
    typed = {f"field {i}": 10 for i in range(41)}
    green = judged(
        facts(
            search=searching(typed=typed, private={"account.seed": 2}),
            controls=tuple(control(name=f"leak {i}") for i in range(15)),
        )
    )
    wanted = "audit: ok: 412 canaries, 71 encodings, 318.4 MB scanned, leaks 0, controls fired 15 of 15"
    assert last_line(green) == summary(green)[-1] == wanted


def test_the_last_line_of_a_red_audit_has_the_first_reasons() -> None:
    red = judged(facts(leaks_total=2, controls=(control(has_fired=False),), driven=(), static_proof=None))
    assert last_line(red) == (
        "audit: RED: nothing was driven; leaks: 2; a control did not fire: plaintext-logged (and 1 more)"
    )
    lines = summary(red)
    assert (
        "controls       0 of 1 leaks that were made on purpose were noticed; not: plaintext-logged" in lines
    )
    assert "RED            no static proof was made" in lines


def test_it_stays_a_page_whatever_there_is_to_say() -> None:
    controls = tuple(control(name=f"control-{i}", has_fired=False) for i in range(40))
    worst = judged(
        facts(
            controls=controls,
            failures=("a",),
            undeclared=("b",),
            transcript=Transcript(judged={}, complaints=("c",) * 9),
            tripwired=Tripwired(tripwires=1, served=(), complaints=("d",)),
        )
    )
    lines = summary(worst)
    assert len(worst.verdict.reasons) > 40
    assert len(lines) == LINES_MAX
    assert lines[-1].startswith("audit: RED: it did not get through: a; ")


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (318_400_000, "318.4 MB"), (12_345_678_901, "12,345.7 MB")],
)  # fmt: skip
def test_sizes_are_for_people(count: int, said: str) -> None:
    assert size(count) == said


def test_progress_says_when() -> None:
    lines: list[str] = []
    Progress(lines.append)("the relay runs")
    assert re.fullmatch(r"\[ +0\.\d s\] the relay runs", lines[0])
    Progress(lines.append, as_json=True)("a text\nwith a line")
    assert json.loads(lines[1]) == {"progress": "a text\nwith a line", "seconds": pytest.approx(0, abs=5)}
    assert "\n" not in lines[1]
