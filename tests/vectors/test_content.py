"""content.json: what a ratchet message carries."""

from typing import Any

import pytest

from keys import content
from tests.vectors.reading import cases, fails, load, unhex

FILE = load("content")


@pytest.mark.parametrize("item", FILE["valid"], ids=lambda item: f"kind {item['kind']}")
def test_contents(item: dict[str, Any]) -> None:
    decoded = content.decode_content(unhex(item["encoded"]))
    assert decoded == content.Content(
        item["kind"],
        unhex(item["message_id"]),
        unhex(item["stream_id"]),
        item["sequence"],
        item["sent_ms"],
        unhex(item["body"]),
        tuple((type, unhex(value)) for type, value in item["extensions"]),
    )
    assert decoded.encode().hex() == item["encoded"]
    head = f"{item['kind']:02x}" + item["message_id"] + item["stream_id"]
    head += f"{item['sequence']:016x}{item['sent_ms']:016x}{len(item['body']) // 2:04x}" + item["body"]
    tail = "".join(f"{type:02x}{len(value) // 2:04x}{value}" for type, value in item["extensions"])
    assert item["encoded"] == head + tail


@pytest.mark.parametrize("item", cases(FILE["refused"]))
def test_contents_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: content.decode_content(unhex(item["encoded"])))


def test_receipts() -> None:
    for item in FILE["receipts"]:
        receipt = content.decode_receipt(unhex(item["encoded"]))
        assert receipt.stream_id.hex() == item["stream_id"]
        assert [list(pair) for pair in receipt.ranges] == item["ranges"]
        assert receipt.encode().hex() == item["encoded"]


def test_read_marks() -> None:
    for item in FILE["read_marks"]:
        mark = content.decode_read(unhex(item["encoded"]))
        assert mark == content.ReadMark(unhex(item["stream_id"]), item["through"])
        assert mark.encode().hex() == item["encoded"]
        assert item["encoded"] == item["stream_id"] + f"{item['through']:016x}"


@pytest.mark.parametrize("item", cases(FILE["refused_read_marks"]))
def test_read_marks_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: content.decode_read(unhex(item["encoded"])))


@pytest.mark.parametrize("item", cases(FILE["refused_receipts"]))
def test_receipts_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: content.decode_receipt(unhex(item["encoded"])))
