"""The command line in this process, and a relay for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine

MakePerson = Callable[[str], CommandLine]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> MakePerson:
    """Makes the command line of somebody with a profile of that name; not initialised."""
    return lambda name: CommandLine(monkeypatch, capsys, tmp_path / name)


@pytest.fixture
def alice(person: MakePerson) -> CommandLine:
    return person("alice")
