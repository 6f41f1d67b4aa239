"""Everything that a user can type into, and all else that a drive has to use, by name.

Owns the walk through the code's own models: calls, the command line, variables of the environment, the Python
interface, kinds of content, control messages. Knows nothing of what was used.
"""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import click
from click import types
from pydantic import BaseModel

from clients import cli, config
from clients.audit.proving.sources import module_paths
from clients.chat.commands import USAGES
from clients.cli import bodies
from clients.cli.entry import assemble
from clients.cli.program import program
from clients.contact_book import ContactBook
from clients.local import calls
from clients.messenger import Messenger
from keys import content
from wire import control

# Types of options that take no free text: numbers, and one of several words.
NO_TEXT: Final = (click.Choice, types.IntParamType, types.FloatParamType, types.BoolParamType)
AUDIT: Final = "audit"  # what stands behind it is typed by an auditor, and goes to no relay
NUMBERS: Final = (int, float, Enum, date, timedelta)  # all else may hold words
UNSEEN: Final = "was never seen at the tap"
OWNERS: Final = (Messenger, ContactBook)  # of the Python interface
PROMPT: Final = "click.prompt"
STDIN: Final = ("send stdin", "chat stdin")


def is_text(annotation: Any) -> bool:
    """Whether a value of this type may hold text of the user's choice."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return is_text(get_args(annotation)[0])
    if origin is Literal or annotation in (None, NoneType):
        return False
    if origin is not None:
        return any(map(is_text, get_args(annotation)))
    if annotation in (Any, object) or not isinstance(annotation, type):
        return True  # anything
    if issubclass(annotation, BaseModel):
        return any(is_text(field.annotation) for field in annotation.model_fields.values())
    if dataclasses.is_dataclass(annotation):
        hints = get_type_hints(annotation)
        return any(is_text(hints[field.name]) for field in dataclasses.fields(annotation))
    return not issubclass(annotation, NUMBERS)


def call_fields(*, of_text: bool) -> Iterator[str]:
    """`send.text`: each text field of each call, or each other one, by the name that is written in a line."""
    for name, model in calls.CALLS.items():
        for field, about in model.model_fields.items():
            if is_text(about.annotation) == of_text and field != "ref":  # which is the line's, not the call's
                yield f"{name}.{about.alias or field}"


def commands() -> Iterator[tuple[str, click.Command]]:
    """`contact add` and its like: each command that is no group."""
    yield from _below("", assemble())


def _below(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if path == AUDIT:
        return
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _below(f"{path} {name}".strip(), child)
    else:
        yield path, command


def parameter_name(path: str, parameter: click.Parameter) -> str:
    """`contact add NAME`, `send --id`; `--profile`, which every command takes, only once."""
    if isinstance(parameter, click.Argument):
        return f"{path} {str(parameter.name).upper()}"
    option = max(parameter.opts, key=len)
    is_common = any(parameter.name == common.name for common in program.params)
    return option if is_common else f"{path} {option}"


def command_fields(*, of_text: bool) -> Iterator[str]:
    """Each argument and option that takes text, or each other one."""
    for path, command in commands():
        for parameter in command.params:
            is_flag = isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
            if of_text != bool(is_flag or isinstance(parameter.type, NO_TEXT)):
                yield parameter_name(path, parameter)


def lines_of_stdin() -> Iterator[str]:
    """What is read from stdin."""
    yield from STDIN
    for field in bodies.LINE_FIELDS:
        yield f"send --ndjson {field}"


def variables() -> Iterator[str]:
    """`$BLINDPOST_PROFILE`: the variables of the environment that the client reads."""
    for name, value in vars(config).items():
        if name.endswith("_VARIABLE"):
            yield f"${value}"


def chat_commands() -> Iterator[str]:
    """What is typed behind a command in a chat, and into the chat itself."""
    yield "chat, a line"
    for verb, (usage, _) in USAGES.items():
        if " " in usage:
            yield f"chat /{verb.value}"


def prompts() -> Iterator[str]:
    """`prompt: New passphrase`: what the command line asks for at a terminal, by the words of each call."""
    for path in module_paths([Path(cli.__file__).parent]).values():
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if PROMPT in source else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == PROMPT:
                asked = node.args[0]
                constants = [each.value for each in ast.walk(asked) if isinstance(each, ast.Constant)]
                for words in constants or [ast.unparse(asked)]:
                    yield f"prompt: {words!s}"


def parameters() -> Iterator[str]:
    """`Messenger.send body`: each parameter of the Python interface that takes text."""
    for owner in OWNERS:
        for name, method in inspect.getmembers(owner, inspect.isroutine):
            if not name.startswith("_"):
                for parameter, annotation in get_type_hints(method).items():
                    if parameter != "return" and is_text(annotation):
                        yield f"{owner.__name__}.{name} {parameter}"


def user_fields() -> dict[str, str]:
    """Every field that a user can type text into, and where it is."""
    return {
        **dict.fromkeys(call_fields(of_text=True), "a field of a call"),
        **dict.fromkeys((*command_fields(of_text=True), *lines_of_stdin()), "on the command line"),
        **dict.fromkeys(variables(), "a variable of the environment"),
        **dict.fromkeys(chat_commands(), "typed into a chat"),
        **dict.fromkeys(prompts(), "asked for at a terminal"),
        **dict.fromkeys(parameters(), "a parameter of the Python interface"),
    }


def message_types(union: Any) -> list[str]:
    """The types of control messages in a union of their models."""
    members = get_args(get_args(union)[0])
    return [str(model.model_fields["type"].default) for model in members]


def features() -> dict[str, str]:
    """All else that is to be used, and the word for having done it."""
    return {
        **{f"call {name}": "was never carried out" for name in calls.CALLS},
        **{f"command {path}": "was never run to a good end" for path, _ in commands()},
        **{f"field {name}": "was never given" for name in call_fields(of_text=False)},
        **{f"option {name}": "was never given" for name in command_fields(of_text=False)},
        **{f"kind {kind.name}": "never reached anybody" for kind in content.Kind},
        **{f"to the relay: {type}": UNSEEN for type in message_types(control.ClientMessage)},
        **{f"to a client: {type}": UNSEEN for type in message_types(control.RelayMessage)},
    }
