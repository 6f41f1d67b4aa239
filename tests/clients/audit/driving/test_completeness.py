"""Completeness: whatever is added to the client and not driven is named; reasons stand for what there is."""

import base64
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal, NewType, get_args

import click
import pytest
from pydantic import AnyUrl, BaseModel, SecretStr

from clients import cli, config
from clients.audit.driving import completeness, inputs
from clients.audit.driving.command_line import Command
from clients.audit.driving.completeness import complaints
from clients.audit.driving.inputs import features, user_fields
from clients.audit.driving.uses import Uses
from clients.chat import commands as chat
from clients.cli import bodies, contacts, sending
from clients.local import calls
from clients.messenger import Messenger
from keys import content
from wire import control

MARK = "abcdefghijklmnopqrstuvwx"


@pytest.fixture
def everything() -> set[str]:
    """All that there is before a test adds something."""
    return {*user_fields(), *features()}


def test_nothing_is_missing_where_everything_was_used_and_no_reason_is_for_what_there_is_not(
    everything: set[str],
) -> None:
    assert complaints(everything) == []
    assert len(everything) > 150


def test_everything_but_what_is_exempt_is_missing_where_nothing_was_used(everything: set[str]) -> None:
    named = {line.split(",")[0] for line in complaints(set())}
    assert {"send.text", "accept.as", "send --ndjson data", "send stdin", "$BLINDPOST_PASSPHRASE"} <= named
    exempt = {name for name, same in completeness.SAME.items() if same in completeness.EXEMPT}
    assert len(complaints(set())) == len(everything - completeness.EXEMPT.keys() - exempt)


class Noted(calls.Send):
    """A call with a field that nobody drives."""

    note: str | None = None


class Listed(calls.Send):
    """One with text within."""

    tags: list[dict[str, bytes]] | None = None


class Counted(calls.Send):
    """One without text."""

    size: int = 0
    how: Literal["fast", "slow"] | None = None


class Whisper(BaseModel):
    """A control message that is never seen; not one of those that the protocol's tests enumerate."""

    type: Literal["whisper"] = "whisper"


class Newer(Messenger):
    """An interface with another way in."""

    async def shout(self, words: str, volume: int) -> None:
        """Nothing."""


Patch = Callable[[pytest.MonkeyPatch], None]
NEW: dict[str, Patch] = {
    "send.note, a field of a call, takes text, and no canary was typed into it": lambda patch: patch.setitem(
        calls.CALLS, "send", Noted
    ),
    "send.tags, a field of a call, takes text, and no canary was typed into it": lambda patch: patch.setitem(
        calls.CALLS, "send", Listed
    ),
    "call shout was never carried out": lambda patch: patch.setitem(calls.CALLS, "shout", calls.RenewAddress),
    "send --subject, on the command line, takes text, and no canary was typed into it": lambda patch: (
        patch.setattr(sending.send, "params", [*sending.send.params, click.Option(["--subject"])])
    ),
    "option send --loud was never given": lambda patch: patch.setattr(
        sending.send, "params", [*sending.send.params, click.Option(["--loud"], is_flag=True)]
    ),
    "command contact wave was never run to a good end": lambda patch: patch.setitem(
        contacts.contact.commands, "wave", click.Command("wave")
    ),
    "send --ndjson subject, on the command line, takes text, and no canary was typed into it": lambda patch: (
        patch.setattr(bodies, "LINE_FIELDS", {*bodies.LINE_FIELDS, "subject"})
    ),
    "$BLINDPOST_MOOD, a variable of the environment, takes text, and no canary was typed into it": (
        lambda patch: patch.setattr(config, "MOOD_VARIABLE", "BLINDPOST_MOOD", raising=False)
    ),
    "chat /quit, typed into a chat, takes text, and no canary was typed into it": lambda patch: patch.setitem(
        chat.USAGES, chat.Verb.QUIT, ("/quit [WHY]", "leave")
    ),
    "Newer.shout words, a parameter of the Python interface, takes text, and no canary was typed into it": (
        lambda patch: patch.setattr(inputs, "OWNERS", (*inputs.OWNERS, Newer))
    ),
    "kind SHOUT never reached anybody": lambda patch: patch.setattr(
        content, "Kind", IntEnum("Kind", [*((kind.name, kind.value) for kind in content.Kind), ("SHOUT", 99)])
    ),
    "to the relay: whisper was never seen at the tap": lambda patch: patch.setattr(
        control, "ClientMessage", Annotated[get_args(control.ClientMessage)[0] | Whisper, "one of them"]
    ),
}


@pytest.mark.parametrize("complaint", NEW)
def test_whatever_is_new_and_not_driven_is_named(
    complaint: str, everything: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    NEW[complaint](monkeypatch)
    # What the newer interface has from the older one is not what this is about.
    found = [line for line in complaints(everything) if not line.startswith("Newer.") or "shout" in line]
    assert found == [complaint]


def test_a_new_prompt_is_named(everything: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in Path(cli.__file__).parent.glob("*.py"):
        shutil.copy(path, tmp_path)
    (tmp_path / "mood.py").write_text(
        "import click\nclick.prompt('Your mood', hide_input=True)\nclick.prompt(words)\n"
    )
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "__init__.py"))
    assert [line.split(",")[0] for line in complaints(everything)] == ["prompt: Your mood", "prompt: words"]


@dataclass
class Described:
    size: int
    note: str | None = None


@dataclass
class Sized:
    size: int
    is_whole: bool = True


@pytest.mark.parametrize(
    "kind", [str, SecretStr, AnyUrl, Path, dict, list, memoryview, NewType("Mood", str), Described]
)
def test_whatever_may_hold_words_is_a_field(kind: object) -> None:
    assert inputs.is_text(kind)


@pytest.mark.parametrize("kind", [int, bool, float, datetime, IntEnum, Literal["a", "b"], None, Sized])
def test_numbers_and_closed_lists_are_none(kind: object) -> None:
    assert not inputs.is_text(kind)


def test_numbers_and_words_of_a_list_are_no_text_but_are_to_be_given(
    everything: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(calls.CALLS, "send", Counted)
    assert complaints(everything) == [f"field send.{name} was never given" for name in ("size", "how")]


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("EXEMPT", "send.mood", "nobody types a mood"),
        ("SAME", "send.mood", "send.text"),
        ("SAME", "Messenger.send body", "send.mood"),
    ],
)
def test_a_reason_for_what_there_is_not_is_a_complaint(
    everything: set[str], monkeypatch: pytest.MonkeyPatch, table: str, name: str, value: str
) -> None:
    monkeypatch.setitem(getattr(completeness, table), name, value)
    assert complaints(everything) == ["send.mood is exempt, and there is no such thing"]


def typed(uses: Uses) -> set[str]:
    """Without what was given, whatever it was."""
    return {name for name in uses.names if not name.startswith(("field ", "option "))}


def test_what_was_given_and_what_was_not() -> None:
    uses = Uses([MARK.encode()])
    uses.of_command(Command(("--json", "send", "bob", "hi", "--wait", "read"), b"", {}))
    uses.of_command(Command(("contact", "verify", "bob", "--no-qr"), b"", {}))
    given = {name.removeprefix("option ") for name in uses.names if name.startswith("option ")}
    assert {"--json", "send --wait", "contact verify --qr"} <= given
    assert not {"--profile", "send --id", "send --timeout", "contact verify --compare"} & given


def test_a_canary_in_one_field_of_a_call_is_a_use_of_that_field_alone() -> None:
    uses = Uses([MARK.encode(), bytes(range(16))])
    uses.of_call({"call": "send", "ref": 1, "to": "bob", "text": f"hello {MARK}"})
    uses.of_call({"call": "send", "ref": 2, "to": "bob", "data": base64.b64encode(bytes(range(20))).decode()})
    uses.of_call({"call": "status", "ref": 3, "id": bytes(range(16)).hex()})
    uses.of_call({"call": "add", "ref": 4, "name": MARK[1:]})
    assert typed(uses) == {"send.text", "send.data", "status.id"}
    assert "field send.to" in uses.names


def test_the_uses_of_a_command(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(MARK)
    uses = Uses([MARK.encode()])
    given = ("--profile", MARK, "--json", "contact", "add", MARK, "bp1", "--passphrase-file", str(secret))
    uses.of_command(Command(given, b"", {"BLINDPOST_INVITE": MARK}))
    assert typed(uses) == {
        "--profile", "contact add NAME", "--passphrase-file", "$BLINDPOST_INVITE", "command contact add",
    }  # fmt: skip


def test_what_ended_badly_was_typed_and_not_run() -> None:
    uses = Uses([MARK.encode()])
    uses.of_command(Command(("contact", "verify", "bob", "12345", MARK, "--compare", MARK), b"", {}, code=2))
    for nothing in ((MARK,), ("send", "bob", f"--{MARK}"), ()):
        uses.of_command(Command(nothing, b"", {}, code=2))
    assert typed(uses) == {"contact verify NUMBER", "contact verify --compare"}


def test_the_uses_of_a_terminal() -> None:
    uses = Uses([MARK.encode()])
    lines = (("", f"/search {MARK}"), ("", f"hello {MARK}"), ("", "/reply 1 {MARK}"), ("", f"/{MARK}"))
    uses.of_command(Command(("chat", "bob"), b"", {}, typed=lines))
    asked = (("New passphrase", MARK), ("Repeat for confirmation", "another"))
    uses.of_command(Command(("init", "--passphrase"), b"", {}, typed=asked))
    assert typed(uses) == {
        "chat /search",
        "chat, a line",
        "chat /wrong",
        "prompt: New passphrase",
        "command chat",
        "command init",
    }


def test_the_uses_of_stdin() -> None:
    uses = Uses([MARK.encode()])
    uses.of_command(Command(("send", "bob", "-"), MARK.encode(), {}))
    lines = b'{"text": "%s"}\n{"data": "", "id": "%s"}\n' % (MARK.encode(), MARK.encode())
    uses.of_command(Command(("send", "bob", "--ndjson"), lines, {}))
    assert typed(uses) == {"send stdin", "send --ndjson text", "send --ndjson id", "command send"}
