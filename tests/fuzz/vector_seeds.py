"""Seeds from the files in tests/vectors: what is right in every construction, and each way of being wrong."""

import json
from functools import cache
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors"


@cache
def load(name: str) -> Any:
    """One file."""
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


def encoded(name: str, *lists: str, key: str = "encoded") -> list[bytes]:
    """The hex values under `key` in some lists of a file."""
    return [bytes.fromhex(item[key]) for part in lists for item in load(name)[part]]


def texts(name: str, *lists: str) -> list[bytes]:
    """The texts in some lists of a file, plain or under `text`."""
    items = [item for part in lists for item in load(name)[part]]
    return [(item if isinstance(item, str) else item["text"]).encode() for item in items]
