"""What a device has written before its newest REPAIR.

Owns the order of contents across the lives of their sender's store. By a REPAIR a device says that it can
read nothing on the sessions before it; what it wrote earlier must not bring those back, however late a relay
delivers it. Pure: the engine keeps the place of the newest REPAIR.
"""

from dataclasses import dataclass
from typing import Final

from keys.content import Content
from wire.limits import CLOCK_SKEW

_SKEW_MS: Final = CLOCK_SKEW * 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a content stands among all that its device has written."""

    stream_id: bytes
    sequence: int
    sent_ms: int


def place_of(content: Content, now: int) -> Place:
    """The place of a REPAIR that comes now.

    One from the future would stand in the way of all later ones, once its sender's clock is right.
    """
    is_wrong = content.sent_ms > now * 1000 + _SKEW_MS
    return Place(content.stream_id, content.sequence, now * 1000 if is_wrong else content.sent_ms)


def is_past(content: Content, newest: Place | None, now: int) -> bool:
    """Whether a content was written before the newest REPAIR of its device.

    In its stream the sequence tells. Between streams only the sender's clock does, and in a stream that an
    unnoticed old copy of the store has gone on with.
    """
    if newest is None or newest.sent_ms > now * 1000 + _SKEW_MS:
        return False  # the clock that it was noted by was wrong
    is_behind = content.stream_id == newest.stream_id and content.sequence > newest.sequence
    return content.sent_ms < newest.sent_ms and not is_behind
