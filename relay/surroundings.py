"""What all connections of a relay share.

Owns the list of it, so that whoever makes connections says it once. Knows none of the parts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from relay.backlog import Backlog
from relay.directory import Directory
from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.presence import Presence
from relay.registration import Registration


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What connections share."""

    mailboxes: Mailboxes
    directory: Directory
    presence: Presence
    metrics: Metrics
    backlog: Backlog
    registration: Registration
    now: Callable[[], int]
    login_deadline: float
    submit_idle: float
    fault: Callable[[BaseException], None]
