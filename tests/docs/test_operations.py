"""docs/operations.md says what is so: tables, commands, words of the log, files."""

import re
import shlex
from pathlib import Path

import pytest

from relay.commands import COMMANDS
from relay.config import Config, parser
from relay.metrics import Drop
from tests.docs.operations_tables import DOCUMENT, TABLES, filled

ROOT = DOCUMENT.parents[1]
TEXT = DOCUMENT.read_text()
COMMAND_LINES = re.findall(r"^ +(blindpost relay\b[^\n]*)$", TEXT, re.MULTILINE)


def test_the_tables_are_those_of_the_program() -> None:
    assert filled(TEXT) == TEXT, "run: python -m tests.docs.operations_tables"


def test_every_setting_and_every_drop_is_in_a_table() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", TABLES["settings"](), re.MULTILINE)) == set(Config.model_fields)
    assert set(re.findall(r"^\| `(\w+)` \|", TABLES["drops"](), re.MULTILINE)) == set(Drop)


def test_every_command_is_shown() -> None:
    shown = {word for line in COMMAND_LINES for word in shlex.split(line, comments=True)[2:3]}
    assert set(COMMANDS) <= shown | set(re.findall(r"`blindpost relay (\w+)`", TEXT))


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_commands_have_flags_that_there_are(line: str) -> None:
    words = shlex.split(line, comments=True)[2:]
    if words and words[0] in COMMANDS:
        with pytest.raises(SystemExit) as raised:
            COMMANDS[words[0]].run([*words[1:], "--help"])
        assert raised.value.code == 0
        return
    if {"--help", "--version"} & set(words):
        return
    parser().parse_args(words)


def test_every_line_of_the_log_that_is_explained_is_one_that_is_written() -> None:
    source = " ".join(path.read_text() for path in sorted((ROOT / "relay").rglob("*.py")))
    explained = re.findall(r"^\| \*([^*]+)\* \|", TEXT, re.MULTILINE)
    assert len(explained) > 8
    assert [words for words in explained if words not in source] == []


def test_every_file_that_is_named_is_there() -> None:
    names = set(re.findall(r"`((?:deploy|docs|bench|tests)/[\w./-]+)`", TEXT))
    names |= {f"docs/{name}" for name in re.findall(r"\]\(([\w./-]+)\)", TEXT)}
    assert len(names) > 3
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def test_the_unit_and_its_settings_are_those_of_this_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (ROOT / "deploy" / "blindpost-relay.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *flags = shlex.split(start)
    assert Path(program).name == "blindpost-relay"
    parser().parse_args(flags)
    from relay.config import settle

    monkeypatch.chdir(ROOT)
    config = settle({"config": Path("deploy/relay.toml")})
    assert config.public_urls == ("wss://relay.example",)
    assert config.proxies
