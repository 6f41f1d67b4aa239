"""A command in a terminal: it is answered when it asks, and what it does not show is said."""

import pytest

from clients.audit.driving.terminal import TerminalError, open_terminal

VARIABLES = {"PATH": "/usr/bin:/bin"}
ASKS = "printf 'Your name? '; read name; printf 'And again? '; read again; test $name = $again"


async def test_it_is_answered_when_it_asks() -> None:
    async with open_terminal(("/bin/sh", "-c", ASKS), VARIABLES) as terminal:
        await terminal.answer("name?", "alice")
        await terminal.answer("again?", "alice")
        assert await terminal.ends() == 0
        assert terminal.typed == [("name?", "alice"), ("again?", "alice")]


async def test_another_answer_is_another_exit_code() -> None:
    async with open_terminal(("/bin/sh", "-c", ASKS), VARIABLES) as terminal:
        await terminal.answer("name?", "alice")
        await terminal.answer("again?", "bob")
        assert await terminal.ends() == 1


async def test_it_is_the_terminal_where_passphrases_are_asked_for() -> None:
    async with open_terminal(
        ("/bin/sh", "-c", "test -t 0 && printf 'Here? ' > /dev/tty"), VARIABLES
    ) as terminal:
        await terminal.shows("Here?")
        assert await terminal.ends() == 0


async def test_what_is_never_shown_is_said() -> None:
    async with open_terminal(("/bin/sh", "-c", "echo something else"), VARIABLES) as terminal:
        with pytest.raises(TerminalError, match="had not shown 'name'"):
            await terminal.answer("name", "alice")
