"""What a relay does learn: the ledger of metadata, with examples from what went over the wire in this run.

Owns how a value is shown: shortened, so that nothing can be done with it. What travelled and is not in the
ledger is a complaint.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from websockets.frames import Opcode

from clients.audit.judging.fields import (
    Field,
    control_frame,
    frame_fields,
    head_fields,
    information_fields,
    message_fields,
    undeclared,
)
from clients.audit.reporting.report import Learned
from clients.audit.tap.reading import Head, Item, Message
from clients.audit.tap.wiretap import Connection
from wire.control_values import encode_base64url
from wire.errors import WireError
from wire.ledger import Entry, Ledger, Place

PLACES: Final = (Place.HTTP, Place.JSON, Place.OBJECT, Place.FRAME)  # what travels
EXAMPLES: Final = 2
_WORDS: Final = frozenset({"type", "mode", "code", "field", "held"})  # from closed lists
_TIMES: Final = frozenset({"time", "created", "until", "stored_at", "full_at", "dropped_at"})
_WHOLE: Final = 16  # characters that are shown as they are: fewer than any search for a canary begins with
_SHORTENED: Final = 6


def _texts(text: str, name: str) -> str:
    if len(text) < _WHOLE or (name in _WORDS and len(text) <= 2 * _WHOLE and text.isidentifier()):
        return text
    return f"{text[:_SHORTENED]}… ({len(text)} characters)"


def shown(field: Field, url: str) -> str:
    """A value as an example. `url` of the relay under audit is no secret, and stands there whole."""
    name = field.name.rpartition(".")[2]
    value = field.value
    if isinstance(value, bool | int):
        is_time = name in _TIMES and value > 86_400
        return (
            f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC" if is_time else str(value).lower()
        )
    if isinstance(value, str):
        is_known = len(value) > 3 and field.name in ("hello.origin", "request-header.host") and value in url
        return value if is_known else _texts(value, name)
    if isinstance(value, bytes):
        if name == "close":
            return f"code {int.from_bytes(value[:2])}" if len(value) >= 2 else "without a code"
        size = f"{len(value)} bytes"
        is_key = 8 <= len(value) <= 64
        return f"{encode_base64url(value)[:_SHORTENED]}… ({size})" if is_key else size
    if isinstance(value, list | tuple):
        return f"{len(value)} of them"
    return "nothing" if value is None else "an object"


def _in_item(item: Item, *, is_request: bool) -> Iterator[Field]:
    if isinstance(item, Head):
        yield from head_fields(item, is_request=is_request)
    elif isinstance(item, Message):
        if item.opcode is Opcode.TEXT:
            yield from message_fields(item.payload.decode("utf-8", "replace"))
        elif item.opcode is Opcode.BINARY:
            yield from frame_fields(item.payload, is_put=is_request)
        else:
            yield control_frame(item.opcode, item.payload)


def on_the_wire(connections: Iterable[Connection]) -> Iterator[Field]:
    """Every field that was seen. What cannot be read as this protocol has none: the judge complains of it."""
    for connection in connections:
        for direction, is_request in ((connection.to_relay, True), (connection.from_relay, False)):
            for item in direction.items(is_client=is_request):
                with contextlib.suppress(WireError):
                    yield from _in_item(item, is_request=is_request)


def in_answers(ledger: Ledger, answers: Iterable[tuple[str, bytes]]) -> Iterator[Field]:
    """The fields of answers to plain requests, each with its request; that one is the audit's own."""
    for request, data in answers:
        begin, _, body = data.replace(b"\r\n", b"\n").partition(b"\n\n")
        first, *lines = begin.decode("latin-1").split("\n")
        if not undeclared(ledger, Place.HTTP, request):
            yield Field(Place.HTTP, request, first)
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
        yield from head_fields(Head(first, headers), is_request=False)
        if request == "GET /v1/info":
            yield from information_fields(body)


class Lesson:
    """Collects what was seen, and compares it with the ledger."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self._ledger, self._url = ledger, url
        self._times: Counter[tuple[Place, str]] = Counter()
        self._examples: dict[tuple[Place, str], list[str]] = {}

    def see(self, fields: Iterable[Field]) -> None:
        """Take note of fields."""
        for field in fields:
            key = field.place, field.name
            self._times[key] += 1
            kept = self._examples.setdefault(key, [])
            if len(kept) < EXAMPLES and (example := shown(field, self._url)) not in kept:
                kept.append(example)

    @property
    def undeclared(self) -> list[str]:
        """What travelled and is not in the ledger: names, never values."""
        return [
            f"{place}: {name}, {times} times"
            for (place, name), times in sorted(self._times.items())
            if undeclared(self._ledger, place, name)
        ]

    @property
    def learned(self) -> list[Learned]:
        """Each entry of the ledger that travels, in its order; what this run did not show has no example."""
        return [self._of(place, entry) for place in PLACES for entry in self._ledger.entries.get(place, ())]

    def _of(self, place: Place, entry: Entry) -> Learned:
        names = entry.names()
        seen = [name for name in names if (place, name) in self._times]
        return Learned(
            place=place,
            fields=names,
            purpose=entry.purpose,
            kept=self._ledger.retentions[entry.kept].means,
            seen=entry.seen,
            times=max((self._times[place, name] for name in seen), default=0),
            examples=tuple(self._best(place, seen)),
        )

    def _best(self, place: Place, seen: Sequence[str]) -> list[str]:
        """Of different fields where there are some, else different values of one."""
        rounds = [
            f"{name}: {self._examples[place, name][i]}"
            for i in range(EXAMPLES)
            for name in seen
            if i < len(self._examples[place, name])
        ]
        return rounds[:EXAMPLES]
