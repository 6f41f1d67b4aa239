"""What the ledger of metadata calls all that travels: fields of messages, signed objects, frames, heads.

Owns the names alone, so that whoever judges traffic and whoever shows what a relay learns mean the same by
them. Knows nothing of what a field may hold.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, get_args

from websockets.frames import Opcode

from clients.audit.tap.reading import Head
from wire import strict_json
from wire.control import ControlMessage
from wire.control_values import decode_base64url
from wire.device_lists import decode_device_list
from wire.errors import WireError
from wire.frames import decode_deliver, decode_put
from wire.ledger import Ledger, Place
from wire.prekeys import decode_prekey
from wire.strict_json import Json

NAME_MAX: Final = 60  # characters of a name that a peer chose
_CHOSEN: Final = re.compile(r"[^\w.-]", re.ASCII)

# What a proxy in front of a relay adds to its answers; it says nothing about who asked.
USUAL_ANSWER: Final = frozenset(
    {"date", "server", "via", "alt-svc", "vary", "cache-control", "keep-alive", "strict-transport-security"}
)
_ADDED: Final = frozenset(f"response-header.{name}" for name in USUAL_ANSWER)

# Fields whose text is a signed object, or a list of such texts.
SIGNED: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "device_list": decode_device_list,
    "former": decode_device_list,
    "prekey": decode_prekey,
    "prekeys": decode_prekey,
}


class Field(NamedTuple):
    """One field as it was seen: `name` as the ledger has it, or would have it."""

    place: Place
    name: str
    value: object


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _plain(name: str) -> str:
    """A name that a peer chose, short and without anything that could pass for something else."""
    return _CHOSEN.sub("?", name[:NAME_MAX])


def _named(model: type[ControlMessage]) -> str:
    return str(model.model_fields["type"].default) if "type" in model.model_fields else _snake(model.__name__)


def _models_in(annotation: object) -> Iterator[type[ControlMessage]]:
    if isinstance(annotation, type) and issubclass(annotation, ControlMessage):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


@cache
def _inside() -> dict[tuple[str, str], tuple[str, ...]]:
    """(message, field) to the names of the objects that may stand there, from the models themselves."""
    models = list(ControlMessage.__subclasses__())
    for model in models:
        models += model.__subclasses__()
    return {
        (_named(model), name): found
        for model in models
        for name, field in model.model_fields.items()
        if (found := tuple(_named(part) for part in _models_in(field.annotation)))
    }


def _object_fields(value: object) -> Iterator[Field]:
    """The fields of a signed object, and of those in it."""
    for field in dataclasses.fields(value):  # type: ignore[arg-type]  # decoders give dataclasses
        if field.name.startswith("_"):
            continue  # what a decoder keeps for itself
        inside = getattr(value, field.name)
        yield Field(Place.OBJECT, f"{_snake(type(value).__name__)}.{field.name}", inside)
        for part in inside if isinstance(inside, tuple) else ():
            yield from _object_fields(part)


def _signed_fields(field: str, text: str) -> Iterator[Field]:
    if (decode := SIGNED.get(field)) is not None:
        try:
            value = decode(decode_base64url(text))
        except (WireError, ValueError):
            return  # whoever judges messages says so
        yield from _object_fields(value)


def _walk(name: str, message: Mapping[str, Json]) -> Iterator[Field]:
    for field, value in message.items():
        whole = f"{name}.{_plain(field)}"
        yield Field(Place.JSON, whole, value)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                known = _inside().get((name, field), (whole,))
                held = f"held_{part.get('held')}"
                yield from _walk(held if held in known else known[0], part)
            elif isinstance(part, list):
                yield Field(Place.JSON, f"{whole}.list", part)
            elif isinstance(part, str):
                yield from _signed_fields(field, part)


def message_fields(text: str) -> Iterator[Field]:
    """Every field of a control message, of the objects in it, and of signed objects. Raises WireError."""
    message = strict_json.parse(text)
    kind = message.get("type")
    yield from _walk(_plain(kind) if isinstance(kind, str) else "untyped", message)


def frame_fields(data: bytes, *, is_put: bool) -> Iterator[Field]:
    """Every field of a binary frame. Raises WireError."""
    frame = decode_put(data) if is_put else decode_deliver(data)
    name = _snake(type(frame).__name__)
    for field, value in (("type", data[0]), ("version", data[1])):
        yield Field(Place.FRAME, f"{name}.{field}", value)
    for part in dataclasses.fields(frame):
        yield Field(Place.FRAME, f"{name}.{part.name}", getattr(frame, part.name))


def control_frame(opcode: Opcode, payload: bytes) -> Field:
    """A frame of a WebSocket beside messages: close, ping or pong."""
    return Field(Place.FRAME, f"websocket.{opcode.name.lower()}", payload)


def head_fields(head: Head, *, is_request: bool) -> Iterator[Field]:
    """Route and headers of a request, or the headers of an answer."""
    if is_request:
        method, _, rest = head.first.partition(" ")
        target, _, version = rest.partition(" ")
        yield Field(Place.HTTP, f"{_plain(method)} {target.partition('?')[0][:NAME_MAX]}", version)
    side = "request" if is_request else "response"
    for name, value in head.headers:
        if name:
            yield Field(Place.HTTP, f"{side}-header.{_plain(name)}", value)


def information_fields(body: bytes) -> Iterator[Field]:
    """Every field of what `GET /v1/info` answers. What is no JSON object has none."""
    try:
        about = json.loads(body)
    except (ValueError, RecursionError):
        return
    for name, value in about.items() if isinstance(about, dict) else ():
        yield Field(Place.HTTP, f"info.{_plain(name)}", value)
        for inner in value if isinstance(value, dict) else ():
            yield Field(Place.HTTP, f"info.{_plain(name)}.{_plain(inner)}", value[inner])


def undeclared(ledger: Ledger, place: Place, name: str) -> bool:
    """Whether the ledger has no such field: something travels that nobody said would."""
    return name not in ledger.of(place) and not (place is Place.HTTP and name in _ADDED)
