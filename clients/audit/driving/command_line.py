"""The real client as somebody uses it: commands from start to end, with or without a terminal.

Owns the processes of commands, and the record of all that they were given. Knows nothing of what they mean.
"""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from clients.audit.driving.terminal import Terminal, TerminalError, open_terminal
from clients.config import PASSPHRASE_VARIABLE, PROFILE_VARIABLE, environment

ANSWER_WITHIN: Final = 60.0  # seconds
CLIENT: Final = (sys.executable, "-P", "-m", "clients")

Json = dict[str, Any]


class PersonError(Exception):
    """A client did not do what it was asked to; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was given, and its exit code.

    `variables` are those of the environment that were set for it. `typed` are lines at a terminal, each with
    the words that it answers.
    """

    arguments: tuple[str, ...]
    stdin: bytes = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    code: int = 0
    typed: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class CommandLine:
    """The commands of one profile. `program`: what runs the client; a control runs another one.

    With `by_variable` the profile is named by the environment, not by an option. `commands`: what was given.
    """

    def __init__(
        self,
        profile: Path,
        program: Sequence[str] = CLIENT,
        *,
        passphrase: str | None = None,
        variables: Mapping[str, str] | None = None,
        by_variable: bool = False,
    ) -> None:
        self.profile, self.passphrase = profile, passphrase
        self._variables = dict(variables or {})
        if passphrase is not None:
            self._variables[PASSPHRASE_VARIABLE] = passphrase
        if by_variable:
            self._variables[PROFILE_VARIABLE] = str(profile)
        self._program = tuple(program)
        self._options = () if by_variable else ("--profile", str(profile))
        self.commands: list[Command] = []

    async def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        codes: Sequence[int] = (0,),
        variables: Mapping[str, str] | None = None,
    ) -> list[Json]:
        """One command from start to end: its lines. Raises PersonError for another exit code."""
        out = await self.said("--json", *arguments, stdin=stdin, codes=codes, variables=variables)
        return [json.loads(line) for line in out.splitlines()]

    async def said(
        self,
        *arguments: str,
        stdin: bytes = b"",
        codes: Sequence[int] = (0,),
        variables: Mapping[str, str] | None = None,
    ) -> bytes:
        """One command without `--json`: what it printed. Raises PersonError for another exit code."""
        command = self._command(arguments, stdin, variables)
        process = await asyncio.create_subprocess_exec(
            *self._program,
            *command.arguments,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment(command.variables),
        )
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                out, errors = await process.communicate(stdin)
        except BaseException:
            await ended(process)
            raise
        code = process.returncode or 0
        self.commands.append(replace(command, code=code))
        if code not in codes:
            words = " ".join(word for word in arguments[:3] if word != "--json")
            raise PersonError(f"{words} ended with {code}: {errors.decode(errors='replace')}")
        return out

    @contextlib.asynccontextmanager
    async def at_a_terminal(self, *arguments: str) -> AsyncIterator[Terminal]:
        """One command in a terminal. Raises PersonError where it does not show what is waited for."""
        command = self._command(arguments)
        program = (*self._program, *command.arguments)
        try:
            async with open_terminal(program, environment(command.variables)) as terminal:
                yield terminal
                code = await terminal.ends()
        except TerminalError as error:
            raise PersonError(f"{arguments[0]} at a terminal: {error}") from None
        self.commands.append(replace(command, code=code, typed=tuple(terminal.typed)))

    def _command(
        self, arguments: Sequence[str], stdin: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> Command:
        return Command((*self._options, *arguments), stdin, {**self._variables, **(variables or {})})


async def ended(process: Process) -> None:
    """Kill a process, whatever it does, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
