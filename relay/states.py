"""The states of a connection and what may be said in each.

Owns the table, as data; `relay.session` acts on it. Knows no message's content.
"""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a connection stands."""

    NEW = "new"  # nothing said yet
    GREETED = "greeted"  # device mode: the login is awaited
    DEVICE = "device"  # logged in, not pulling yet
    DELIVERING = "delivering"  # logged in and pulling
    SUBMIT = "submit"  # puts, fetches and watches, without a login
    CLOSED = "closed"  # nothing is heard any more


# What may be said in which state, and where it leads. Whatever is not listed is OUT_OF_TURN.
TRANSITIONS: Final[dict[State, dict[str, State]]] = {
    State.NEW: {"hello device": State.GREETED, "hello submit": State.SUBMIT},
    State.GREETED: {"login": State.DEVICE},
    State.DEVICE: {
        "register": State.DEVICE,
        "publish": State.DEVICE,
        "allow": State.DEVICE,
        "appear": State.DEVICE,
        "checkpoint": State.DEVICE,
        "export": State.DEVICE,
        "delete": State.DEVICE,
        "pull": State.DELIVERING,
    },
    State.DELIVERING: {
        "register": State.DELIVERING,
        "publish": State.DELIVERING,
        "allow": State.DELIVERING,
        "appear": State.DELIVERING,
        "checkpoint": State.DELIVERING,
        "export": State.DELIVERING,
        "delete": State.DELIVERING,
        "acknowledge": State.DELIVERING,
    },
    State.SUBMIT: {
        "put": State.SUBMIT,
        "fetch": State.SUBMIT,
        "attach": State.SUBMIT,
        "watch": State.SUBMIT,
    },
    State.CLOSED: {},
}
BEFORE_LOGIN: Final = frozenset((State.NEW, State.GREETED))
