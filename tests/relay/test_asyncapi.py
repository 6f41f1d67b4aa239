"""The committed description is the one that the models give."""

from pathlib import Path

from relay import asyncapi
from wire.control import ControlMessage

COMMITTED = Path(__file__).parents[2] / "docs" / "asyncapi.json"


def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_text("utf-8") == asyncapi.render(), (
        "run: python -m relay.asyncapi > docs/asyncapi.json"
    )


def test_every_control_message_and_both_frames_are_described() -> None:
    described = {message["name"] for message in asyncapi.document()["components"]["messages"].values()}
    models = [model.model_fields for model in ControlMessage.__subclasses__()]
    names = {fields["type"].default for fields in models if "type" in fields}
    assert described == names | {"put", "deliver"}


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi.document()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key == "$ref":
                    target = document
                    for part in str(item).removeprefix("#/").split("/"):
                        target = target[part]
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(document)
