"""docs/cli.md says what the program says: it is written from it, and compared here."""

import re
from pathlib import Path

import click
import pytest

from clients.cli.entry import assemble
from clients.cli.reference import COMMON, MEANINGS, page
from clients.errors import ExitCode

ROOT = Path(__file__).parents[2]
PROGRAM = assemble()


def commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
    """Every command with its whole name."""
    found = []
    for name, command in group.commands.items():
        found.append((f"{path} {name}", command))
        if isinstance(command, click.Group):
            found += commands(command, f"{path} {name}")
    return found


ALL = commands(PROGRAM, "blindpost")


def test_the_page_is_what_the_program_says_now() -> None:
    written = (ROOT / "docs" / "cli.md").read_text()
    assert written == page(PROGRAM), "write it anew: python -m clients.cli.reference > docs/cli.md"


def test_every_command_stands_in_a_section() -> None:
    assert sorted(name for names in PROGRAM.sections.values() for name in names) == sorted(PROGRAM.commands)


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_and_option_is_described(path: str, command: click.Command) -> None:
    shown = page(PROGRAM)
    assert shown.count(f"### {path}\n") == 1
    assert command.help
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.name
            assert param.name in COMMON or any(f"`{name}" in shown for name in param.opts)


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_the_first_sentence_fits_into_the_list_of_commands(path: str, command: click.Command) -> None:
    sentence = command.get_short_help_str(200)
    assert len(sentence) <= 64, sentence
    assert sentence.endswith(".") or command.name == "relay"


@pytest.mark.parametrize(("path", "command"), ALL, ids=[path for path, _ in ALL])
def test_every_command_teaches_with_an_example(path: str, command: click.Command) -> None:
    if command.name != "relay":  # whose help is the relay's own
        assert re.search(r"^ *(Examples?|Try it|Start): ", command.help or "", re.MULTILINE), path


def test_the_lines_of_a_help_fit_into_80_columns() -> None:
    for path, command in ALL:
        with click.Context(command, info_name=path, terminal_width=80) as context:
            long = [line for line in command.get_help(context).splitlines() if len(line) > 80]
            assert long == [], path


def test_every_exit_code_is_explained() -> None:
    assert set(MEANINGS) == set(ExitCode)
