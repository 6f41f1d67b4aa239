"""The channel as an AsyncAPI 3.0 document, made from the models that check every message.

    python -m relay.asyncapi > docs/asyncapi.json

Owns the document's frame; every field comes from `wire.control`. A test holds the committed file to this.
"""

import json
import sys
from typing import Any, Final, get_args

from pydantic.json_schema import models_json_schema

from wire import control
from wire.control import ControlMessage
from wire.frames import DELIVER_HEADER, PUT_HEADER
from wire.limits import ENVELOPE_MAX, ENVELOPE_MIN, PROTOCOL_VERSION

CHANNEL: Final = "#/channels/relay"


def _models(union: Any) -> tuple[type[ControlMessage], ...]:
    """The members of an annotated union of messages."""
    return tuple(get_args(get_args(union)[0]))


def _message(model: type[ControlMessage]) -> dict[str, Any]:
    return {
        "name": model.model_fields["type"].default,
        "summary": (model.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


def _frame(name: str, summary: str, header: int) -> dict[str, Any]:
    sizes = f"{header} bytes of header and an envelope of {ENVELOPE_MIN} * 2^k up to {ENVELOPE_MAX} bytes"
    return {
        "name": name,
        "summary": f"{summary} Binary: {sizes}; the layout stands in docs/protocol.md.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }


def document() -> dict[str, Any]:
    """The whole description."""
    client, relay = _models(control.ClientMessage), _models(control.RelayMessage)
    messages = {model.__name__: _message(model) for model in (*client, *relay)}
    messages["Put"] = _frame("put", "A frame on its way into a mailbox.", PUT_HEADER)
    messages["Deliver"] = _frame("deliver", "A frame on its way to its device.", DELIVER_HEADER)
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*client, *relay)],
        ref_template="#/components/schemas/{model}",
    )

    def references(models: tuple[type[ControlMessage], ...], frame: str) -> list[dict[str, str]]:
        return [{"$ref": f"{CHANNEL}/messages/{name}"} for name in (*(m.__name__ for m in models), frame)]

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "blindpost relay",
            "version": str(PROTOCOL_VERSION),
            "description": "Generated from the relay's own models by `python -m relay.asyncapi`.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "relay": {
                "address": "/v1/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "hear": {
                "action": "receive",
                "summary": "What a client may say; which of it when depends on the kind of connection.",
                "channel": {"$ref": CHANNEL},
                "messages": references(client, "Put"),
            },
            "say": {
                "action": "send",
                "summary": "What the relay says.",
                "channel": {"$ref": CHANNEL},
                "messages": references(relay, "Deliver"),
            },
        },
        "components": {"messages": messages, "schemas": schemas["$defs"]},
    }


def render() -> str:
    """The text of docs/asyncapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
