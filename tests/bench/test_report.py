"""The page of figures says what was measured, and judges goals as they were set."""

from dataclasses import asdict
from xml.etree import ElementTree

import pytest

from bench.goals import GOALS, outcomes
from bench.peers.comparison import LIMIT, NATS
from bench.report import page
from bench.rows import Row

ROWS = [
    Row("lone", "blindpost", 1024, [90.0, 80.0, 10.0], [5.0], [30.0], [7.0], [0.95]),
    Row("lone", NATS, 256, [200.0], [1.0], [2.0], [3.0], [0.2]),
    Row("lone", NATS, 1024, [100.0], [1.0], [2.0], [3.0], [0.2]),
    Row("lone", LIMIT, 1024, [400.0], [1.0], [10.0], [3.0], [0.2]),
    Row("lone", "blindpost, compiled, on uvloop", 1024, [150.0], [5.0], [20.0], [7.0], [0.95]),
    Row("idle", "KiB per idle device connection, 10,000", 0, [6.1]),
    Row("logins", "blindpost", 0, [3000.0]),
    Row("client", "the same, one at a time", 0, [2000.0]),
    Row("client", "sent, shown and receipted, 64 at a time", 0, [1499.0]),
]


def verdicts() -> dict[str, str]:
    return {outcome.goal.text: outcome.verdict for outcome in outcomes(ROWS)}


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        ("lone, beside nats-server best effort", "met"),  # 80 of 100, the median of three
        ("lone saturated, p99, beside the C forwarder", "missed"),  # 30 is 3 x 10
        ("KiB per idle logged-in connection, 10,000", "missed"),
        ("logins per second", "met"),
        ("client pair and relay on two cores, messages per second, 64 at a time", "missed"),
        ("burst, beside the FastAPI route", "not measured"),
    ],
)
def test_a_goal_is_judged_by_the_medians_at_our_own_size(goal: str, verdict: str) -> None:
    assert verdicts()[goal] == verdict


def test_both_sizes_of_a_peer_are_shown() -> None:
    (nats,) = (outcome for outcome in outcomes(ROWS) if outcome.goal.text == GOALS[0].text)
    assert nats.found == {256: 0.4, 1024: 0.8}
    assert nats.shown(256) == "0.40 x"


def test_the_page_has_the_figures_and_its_charts_are_drawings() -> None:
    found = {
        "machine": "a machine",
        "date": "2026-11-21",
        "rounds": 3,
        "seconds": 2.0,
        "rows": [asdict(row) for row in ROWS],
        "profile": {"lone": {"read (relay/socket.py)": 0.25}},
    }
    text, pictures = page(found)
    assert "a machine; 2026-11-21; medians of 3 interleaved rounds of 2 s" in " ".join(text.split())
    assert "| **blindpost, 1024 B (generator full)** | 80 | 0.80 | 5 | 30 | 7.00 | 95 |" in text
    assert "| lone, beside nats-server best effort | >= 0.8 x | 0.40 x | 0.80 x | met |" in text
    assert "| read (relay/socket.py) | 25.0% |" in text
    assert list(pictures) == ["performance-lone.svg"]
    assert all(f"(pictures/{name})" in text for name in pictures)
    drawing = ElementTree.fromstring(pictures["performance-lone.svg"])  # noqa: S314 - our own text
    words = [element.text for element in drawing.iter() if element.tag.endswith("text")]
    assert {"blindpost", NATS, "400", "80"} <= set(words)


def test_what_the_compiled_relay_makes_of_a_goal_stands_beside_it_and_is_not_judged() -> None:
    shown = {outcome.goal.text: (outcome.shown_fastest, outcome.verdict) for outcome in outcomes(ROWS)}
    assert shown["lone, beside nats-server best effort"] == ("1.50 x", "met")
    assert shown["lone saturated, p99, beside the C forwarder"] == ("2.00 x", "missed")
    assert shown["logins per second"] == ("", "met")
