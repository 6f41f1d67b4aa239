"""Why a connection ends that has done nothing wrong, or that is nobody's fault but ours.

Owns the sentence and the word in the metrics for each. Pure.
"""

from dataclasses import dataclass
from typing import Final

from relay.metrics import Drop
from wire.errors import ErrorCode, WireError


@dataclass(frozen=True, slots=True)
class Ending:
    """What the peer is told, and what is counted."""

    error: WireError
    drop: Drop


REPLACED: Final = Ending(
    WireError(ErrorCode.REPLACED, "this device is connected elsewhere now"), Drop.REPLACED
)
REMOVED: Final = Ending(
    WireError(ErrorCode.NOT_REGISTERED, "this device is no longer in its account's list"), Drop.DEVICE_REMOVED
)
DELETED: Final = Ending(
    WireError(ErrorCode.ACCOUNT_DELETED, "this account was deleted here by its owner"), Drop.ACCOUNT_DELETED
)
RESTARTING: Final = Ending(
    WireError(ErrorCode.RESTARTING, "the relay is going down; come back in a moment"), Drop.RESTARTING
)
FAULT: Final = Ending(WireError(ErrorCode.INTERNAL, "the relay failed here; connect again"), Drop.FAULT)


def too_many(retry_after: int | None = None) -> Ending:
    """A cap on sockets was reached, or with `retry_after` their rate."""
    why = "too many connections; close some or wait"
    error = WireError(ErrorCode.TOO_MANY_CONNECTIONS, why, retry_after=retry_after)
    return Ending(error, Drop.TOO_MANY_SOCKETS if retry_after is None else Drop.SOCKET_RATE)
