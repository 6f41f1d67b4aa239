"""Moments as people type them."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click
import pytest

from clients.cli.moments import LOCAL, MOMENT, moment

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


@pytest.fixture(params=["UTC", "America/Los_Angeles", "Asia/Kathmandu"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), ("3d", timedelta(days=3)),
     ("1w", timedelta(weeks=1)), (" 2 H ", timedelta(hours=2)), ("0m", timedelta())],
)  # fmt: skip
def test_so_long_ago(text: str, ago: timedelta) -> None:
    assert NOW - moment(text, NOW) == ago


@pytest.mark.usefixtures("zone")
def test_days_begin_at_this_machines_midnight() -> None:
    now = NOW.astimezone()
    today = moment("today", now)
    assert (today.hour, today.minute, today.date()) == (0, 0, now.date())
    assert moment("Yesterday", now).date() == now.date() - timedelta(days=1)


@pytest.mark.usefixtures("zone")
def test_a_date_without_a_zone_is_in_that_of_this_machine() -> None:
    at = moment("2026-07-01 08:15", NOW)
    assert (at.hour, at.minute, at.utcoffset()) == (8, 15, datetime(2026, 7, 1).astimezone().utcoffset())
    assert moment("2026-07-01T08:15:00Z", NOW) == datetime(2026, 7, 1, 8, 15, tzinfo=UTC)
    assert moment("2026-07-01T08:15+05:00", NOW) == datetime(2026, 7, 1, 3, 15, tzinfo=UTC)
    assert moment("2026-07-01", NOW).hour == 0


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2", "h", "-2h", "2y", "1.5h", "2026-13-01", "2026-02-30", "999999999w", "tomorrow", "2h3m",
     "0001-01-01", "\u0663h", "9999-12-31T23:59:59-23:59"],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    try:
        milliseconds = MOMENT.convert(text, None, None)
    except click.BadParameter as error:
        assert "yesterday" in error.message
    else:
        assert milliseconds >= 0


def test_before_1970_is_1970() -> None:
    assert MOMENT.convert("1900-01-01", None, None) == 0


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("month", [1, 7])
def test_the_local_zone_has_the_offset_of_each_moment(month: int) -> None:
    at = datetime(2026, month, 15, 12, tzinfo=UTC)
    assert at.astimezone(LOCAL).isoformat() == at.astimezone().isoformat()
    assert at.astimezone(LOCAL).tzname() == at.astimezone().tzname()
    assert os.environ["TZ"] != "America/Los_Angeles" or at.astimezone(LOCAL).hour == (4 if month == 1 else 5)
