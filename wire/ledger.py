"""The ledger of metadata: every field that a relay handles, why, for how long, and who sees it.

Owns the form of `ledger.toml` and its reading, for a relay that holds itself to it and for whoever audits
one. Does not know what a relay really handles: `relay.ledger` compares.
"""

import tomllib
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FILE: Final = Path(__file__).with_name("ledger.toml")

Sentence = Annotated[str, Field(min_length=8, max_length=300, pattern=r"^\S[^\n|]*\S$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]  # a list in the file

Constant = Annotated[str, Field(pattern=r"^(wire|relay)[\w.]*:\w+$")]  # module:name


class Place(StrEnum):
    """Where a field is met; each is a list of entries in the file."""

    JSON = "json"  # control messages, by type and field
    OBJECT = "object"  # signed objects that travel inside them
    FRAME = "frame"  # headers of the binary frames, and the frames of a WebSocket beside messages
    HTTP = "http"  # routes, headers that are read or sent, and what /v1/info answers
    STORE = "store"  # columns of relay.db
    FILE = "file"  # files of the data directory
    SETTING = "setting"
    LOG = "log"  # keys of a line, and each line that there is
    METRIC = "metric"
    MEMORY = "memory"  # what objects of a running relay hold of peers


class LedgerError(ValueError):
    """The file is not what it has to be; the text says where and why."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Retention(_Closed):
    """How long something is kept. A figure is the sum of constants of the code, and has a test.

    `seconds` or `count` is the most that is kept, after the last event that `means` names.
    """

    means: Sentence
    seconds: Annotated[float, Field(gt=0)] | None = None
    count: Annotated[int, Field(gt=0)] | None = None
    constants: Annotated[tuple[Constant, ...], Field(strict=False)] = ()
    test: Annotated[str, Field(pattern=r"^tests/[\w/]+\.py(::\w+)?$")] | None = None

    @model_validator(mode="after")
    def _figures_are_backed(self) -> Self:
        has_figure = self.seconds is not None or self.count is not None
        if has_figure and not (self.constants and self.test):
            raise ValueError("a figure needs the constants that it is the sum of, and a test")
        if self.constants and not has_figure:
            raise ValueError("constants without a figure")
        return self


class Entry(_Closed):
    """Fields of one place that are handled for the same purpose, as long, and seen by the same.

    `of` stands before each field's name: a message, a table, an object. `bytes` is the size of each field of
    a frame's header; `labels` are those of a metric, by where the closed list of their values stands.
    """

    of: Name | None = None
    fields: Names
    purpose: Sentence
    kept: Name
    seen: Names
    bytes: int | None = None
    labels: dict[Name, Name] = {}

    def names(self) -> tuple[str, ...]:
        """Each field by its whole name."""
        return self.fields if self.of is None else tuple(f"{self.of}.{field}" for field in self.fields)


class Ledger(BaseModel):
    """The whole file. `seers` and `retentions` are the words that entries may use."""

    model_config = ConfigDict(frozen=True)

    seers: dict[Name, Sentence]
    retentions: dict[Name, Retention]
    entries: dict[Place, tuple[Entry, ...]]

    @model_validator(mode="after")
    def _words_are_known_and_used(self) -> Self:
        seers, kept = set[str](), set[str]()
        for place, entries in self.entries.items():
            times = Counter(name for entry in entries for name in entry.names())
            for name, count in times.items():
                if count > 1:
                    raise ValueError(f"{place}: {name} is declared twice")
            for entry in entries:
                seers.update(entry.seen)
                kept.add(entry.kept)
        for what, used, known in (("seers", seers, self.seers), ("retentions", kept, self.retentions)):
            if difference := used ^ set(known):
                raise ValueError(f"{what}: {min(difference)} is used or declared, and not both")
        return self

    def of(self, place: Place) -> dict[str, Entry]:
        """The entry of each field of a place."""
        return {name: entry for entry in self.entries.get(place, ()) for name in entry.names()}


def parse(text: str) -> Ledger:
    """The ledger in a file's text. Raises LedgerError."""
    try:
        tables = tomllib.loads(text)
        words = {name: tables.pop(name, {}) for name in ("seers", "retentions")}
        return Ledger.model_validate({**words, "entries": tables})
    except tomllib.TOMLDecodeError as error:
        raise LedgerError(f"ledger: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LedgerError(f"ledger: {where}: {first['msg']}") from error


def read() -> Ledger:
    """The ledger that came with this program. Raises LedgerError."""
    return parse(FILE.read_text("utf-8"))
