"""Moments as people type them: 2h, yesterday, 2026-11-20 18:00.

Owns the words. A moment without a zone is in the zone of this machine.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import click

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"([0-9]{1,9})\s*([mhdw])")


def moment(text: str, now: datetime) -> datetime:
    """The moment that `text` means at `now`, which has a zone. Raises ValueError."""
    word = text.strip().lower()
    if ago := _AGO.fullmatch(word):
        try:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            raise ValueError("too long ago") from None
    if word in ("today", "yesterday"):
        day = now.date() - timedelta(days=word == "yesterday")
        return datetime(day.year, day.month, day.day).astimezone()
    parsed = datetime.fromisoformat(text.strip())
    return parsed if parsed.tzinfo else parsed.astimezone()


class Moment(click.ParamType[int]):
    """A moment as Unix milliseconds."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The milliseconds; before 1970 is 1970."""
        if isinstance(value, int):
            return value
        try:
            at = moment(str(value), datetime.now().astimezone()).timestamp()
        except (ValueError, OverflowError, OSError):
            self.fail(
                f"{str(value)!r} is no moment. Examples: 30m, 2h, 3d, 1w (ago), today, yesterday, "
                "2026-11-20, '2026-11-20 18:00'.", param, ctx,
            )  # fmt: skip
        return max(0, int(at * 1000))


class Local(tzinfo):
    """The zone of this machine, with the offset that it had at each moment: not the one it has now."""

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        """The offset at a local time."""
        return None if at is None else at.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, at: datetime | None) -> timedelta | None:
        """Not known apart from the offset."""
        return None

    def tzname(self, at: datetime | None) -> str | None:
        """What people call the zone then."""
        return None if at is None else at.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, at: datetime) -> datetime:
        """The local time of a moment."""
        return at.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)


MOMENT: Final = Moment()
LOCAL: Final = Local()
