"""The JSON files, and what each class of failure in them means to this code. Nothing here makes a vector."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from keys.errors import DecryptError, VerificationError
from wire.errors import WireError

FOLDER: Final = Path(__file__).parent
NOW: Final = 1_800_000_000
FAILURES: Final = {
    "malformed": WireError,
    "unverified": VerificationError,
    "undecryptable": DecryptError,
}


def load(name: str) -> Any:
    """One file."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def cases(items: list[Any]) -> list[Any]:
    """Entries that must fail, each a parameter named by why."""
    assert items
    return [pytest.param(item, id=item["why"]) for item in items]


def fails(item: dict[str, Any], call: Callable[[], object]) -> None:
    """`call` fails as the entry says, with its code if it has one."""
    with pytest.raises(FAILURES[item["failure"]]) as caught:
        call()
    if "code" in item:
        assert isinstance(caught.value, WireError)
        assert caught.value.code.value == item["code"]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


class Drawn:
    """Randomness as a file says it was drawn; too much or too little is an error."""

    def __init__(self, data: str) -> None:
        self.left = unhex(data)

    def __call__(self, size: int) -> bytes:
        assert len(self.left) >= size
        value, self.left = self.left[:size], self.left[size:]
        return value
