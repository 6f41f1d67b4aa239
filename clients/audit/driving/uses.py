"""What was used in a drive: the fields that a canary was really typed into, and what was really carried out.

Owns reading the records of people and of the tap. It goes by what was handed to a client, not by what a drive
says of it. The names are those of `clients.audit.driving.inputs`.
"""

import base64
import binascii
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
from websockets.frames import Opcode

from clients.audit.driving.command_line import Command, Json
from clients.audit.driving.inputs import parameter_name
from clients.audit.driving.people import Person
from clients.audit.driving.stage import Stage
from clients.audit.tap.reading import NotReadError
from clients.audit.tap.wiretap import Wiretap, messages
from clients.chat.commands import Verb, parse
from clients.cli.entry import assemble
from wire import strict_json
from wire.errors import WireError

FILE_MAX: Final = 4096  # bytes of a file that may hold a passphrase; a larger one is no field


def _readings(value: str) -> Iterator[bytes]:
    """What somebody typed, and what it stands for: bytes in base64 or hexadecimal, or a file."""
    yield value.encode("utf-8", "surrogateescape")
    with contextlib.suppress(ValueError, binascii.Error):
        yield base64.b64decode(value, validate=True)
    with contextlib.suppress(ValueError):
        yield bytes.fromhex(value)
    with contextlib.suppress(OSError, ValueError):
        if value and len(value) < FILE_MAX and (path := Path(value)).is_file():
            yield path.read_bytes()[:FILE_MAX]


class Uses:
    """The uses of one drive. `names` grows as records are read."""

    def __init__(self, canaries: Sequence[bytes]) -> None:
        self._canaries = canaries
        self.names: set[str] = set()

    def _typed(self, field: str, value: object) -> None:
        if isinstance(value, str) and any(
            canary in reading for reading in _readings(value) for canary in self._canaries
        ):
            self.names.add(field)

    def of_call(self, call: Json) -> None:
        """The fields of a call, as they were written in a line."""
        for field, value in call.items():
            self.names.add(f"field {call.get('call')}.{field}")
            self._typed(f"{call.get('call')}.{field}", value)

    def of_command(self, command: Command) -> None:
        """The words, variables and lines of a command. What is no command used nothing."""
        for name, value in command.variables.items():
            self._typed(f"${name}", value)
        try:
            path = self._of_words("", assemble(), list(command.arguments))
        except click.UsageError:
            return
        if command.code == 0:
            self.names.add(f"command {path}")
        self._typed(f"{path} stdin", command.stdin.decode("utf-8", "replace"))
        for asked, typed in command.typed:
            if path == "chat":
                self._of_chat(typed)
            else:
                self._typed(f"prompt: {asked}", typed)
        if "--ndjson" in command.arguments:
            for line in command.stdin.splitlines():
                for field, value in json.loads(line).items():
                    self._typed(f"send --ndjson {field}", value)

    def _of_chat(self, line: str) -> None:
        said = parse(line)
        self._typed("chat, a line" if said.verb is Verb.SAY else f"chat /{said.verb.value}", said.text)

    def _of_words(self, path: str, command: click.Command, words: list[str]) -> str:
        """The fields of a command and of those below it; the last one's path. Raises UsageError."""
        context = click.Context(command, info_name=path)
        values, rest, _ = command.make_parser(context).parse_args(words)
        for parameter in command.params:
            if parameter.name not in values:
                continue
            value, name = values[parameter.name], parameter_name(path, parameter)
            self.names.add(f"option {name}")
            for each in value if isinstance(value, tuple | list) else (value,):
                self._typed(name, each)
        if not isinstance(command, click.Group):
            return path
        if not rest or rest[0] not in command.commands:
            raise click.UsageError("no such command")
        return self._of_words(f"{path} {rest[0]}".strip(), command.commands[rest[0]], rest[1:])

    def of_person(self, person: Person) -> None:
        """All that somebody asked for."""
        for call in person.asked:
            self.of_call(call)
        for command in person.commands:
            self.of_command(command)
        self.names |= {f"call {name}" for name in person.carried_out}

    def of_tap(self, tap: Wiretap) -> None:
        """The types of control messages that went through."""
        for connection in tap.connections:
            for prefix, direction, is_masked in (
                ("to the relay", connection.to_relay, True),
                ("to a client", connection.from_relay, False),
            ):
                with contextlib.suppress(NotReadError):
                    for message in messages(direction, is_masked=is_masked):
                        if message.opcode is Opcode.TEXT:
                            self.names.add(f"{prefix}: {_type_of(message.payload)}")


def _type_of(text: bytes) -> Any:
    try:
        return strict_json.parse(text.decode()).get("type")
    except (WireError, UnicodeDecodeError):
        return None


def uses(stage: Stage) -> set[str]:
    """The names of all that was used on a stage."""
    found = Uses([canary.value for marks in stage.planted.values() for canary in marks])
    for person in stage.people.values():
        found.of_person(person)
    found.of_tap(stage.tap)
    return found.names | {f"kind {kind.name}" for kind in stage.carried}
