"""Judges one text: a control message, every field of it declared, nothing readable where it is opaque.

Owns what is asked of a text alone. Knows no connection, and nothing that was said before.
"""

from collections.abc import Iterator
from typing import Final

from clients.audit.judging.complaints import Rule
from clients.audit.judging.fields import SIGNED, message_fields
from wire.control import (
    ClientMessage,
    ControlMessage,
    RelayMessage,
    decode_client_message,
    decode_relay_message,
)
from wire.errors import WireError
from wire.ledger import Ledger, Place
from wire.randomness import PRINTABLE, has_text

NAMES_SHOWN: Final = 5  # of what is not declared, in one sentence
OPAQUE_MIN: Final = 24  # bytes that are all printable with a chance below 2e-10

Found = list[tuple[Rule, str]]


class Texts:
    """What is declared, and what of a text is not."""

    def __init__(self, ledger: Ledger) -> None:
        self._declared = {place: frozenset(ledger.of(place)) for place in (Place.JSON, Place.OBJECT)}

    def judged(self, payload: bytes, *, to_relay: bool) -> tuple[ClientMessage | RelayMessage | None, Found]:
        """The control message, if it is one, and what there is to complain of."""
        size = f"a text of {len(payload):,} bytes"
        try:
            text = payload.decode("utf-8")
            undeclared = self._undeclared(text)
        except UnicodeDecodeError:
            return None, [(Rule.MESSAGE, f"{size} is not UTF-8")]
        except WireError as error:
            return None, [(Rule.MESSAGE, f"{size} is no control message ({error})")]
        found: Found = []
        if undeclared:
            names, more = ", ".join(undeclared[:NAMES_SHOWN]), len(undeclared) - NAMES_SHOWN
            beyond = f" and {more} more" if more > 0 else ""
            found.append((Rule.LEDGER, f"{size} holds what the ledger does not name: {names}{beyond}"))
        try:
            message = decode_client_message(text) if to_relay else decode_relay_message(text)
        except WireError as error:
            if not undeclared:
                found.append((Rule.MESSAGE, f"{size} is no control message ({error})"))
            return None, found
        for name, value in _values(message, message.type):
            decode = SIGNED.get(name.rpartition(".")[2])
            if decode is None:
                if is_text(value):
                    found.append((Rule.RANDOM, f"text stands in {name}, which is opaque"))
                continue
            try:
                decode(value)
            except WireError as error:
                found.append((Rule.MESSAGE, f"what is signed in {name} cannot be read ({error})"))
        return message, found

    def _undeclared(self, text: str) -> list[str]:
        """Names in it that the ledger lacks. Raises WireError."""
        names = ((each.place, each.name) for each in message_fields(text))
        return list(dict.fromkeys(name for place, name in names if name not in self._declared[place]))


def _values(message: ControlMessage, name: str) -> Iterator[tuple[str, bytes]]:
    """Every binary value of a message, and of what stands in it."""
    for field_name in message.model_fields_set:
        value = getattr(message, field_name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, bytes):
                yield f"{name}.{field_name}", part
            elif isinstance(part, ControlMessage):
                yield from _values(part, f"{name}.{field_name}")


def is_text(value: bytes) -> bool:
    """Whether a value that must be random reads as text."""
    return has_text(value) or (len(value) >= OPAQUE_MIN and PRINTABLE.issuperset(value))
