"""What a typed line means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.chat.commands import HISTORY_MAX, USAGES, Command, Verb, help_lines, parse


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("hello", Command(Verb.SAY, "hello")),
        (" /not a command", Command(Verb.SAY, " /not a command")),
        ("//etc/hosts", Command(Verb.SAY, "/etc/hosts")),
        ("a\nb", Command(Verb.SAY, "a\nb")),
        ("", Command(Verb.NOTHING)),
        (" \n ", Command(Verb.NOTHING)),
        ("/reply", Command(Verb.REPLY)),
        ("/reply 2", Command(Verb.REPLY, "", 2)),
        ("/reply 2 yes, gladly", Command(Verb.REPLY, "yes, gladly", 2)),
        ("/accept", Command(Verb.ACCEPT)),
        ("/accept carol", Command(Verb.ACCEPT, "carol")),
        ("/block", Command(Verb.BLOCK)),
        ("/switch carol ", Command(Verb.SWITCH, "carol")),
        ("/contacts", Command(Verb.CONTACTS)),
        ("/verify", Command(Verb.VERIFY)),
        ("/verify 12345 67890", Command(Verb.VERIFY, "12345 67890")),
        ("/search northern lights", Command(Verb.SEARCH, "northern lights")),
        ("/history 500", Command(Verb.HISTORY, "", 500)),
        ("/help", Command(Verb.HELP)),
        ("/quit", Command(Verb.QUIT)),
    ],
)
def test_lines_and_their_meaning(line: str, command: Command) -> None:
    assert parse(line) == command


@pytest.mark.parametrize("line", ["/x", "/", "/ ", "/usr/bin/env python", "/Help", "/replying", "/quit\nnow"])
def test_an_unknown_command_says_so_and_how_to_send_it(line: str) -> None:
    command = parse(line)
    assert command.verb is Verb.WRONG
    assert "/help" in command.text
    assert "//" in command.text


@pytest.mark.parametrize(
    "line",
    ["/reply 0", "/reply 10", "/reply x", "/history", "/history 0", f"/history {HISTORY_MAX + 1}",
     "/history -1", "/history \u0664", "/search", "/switch ", "/help me", "/quit now"],
)  # fmt: skip
def test_a_command_without_its_words_says_how_it_goes(line: str) -> None:
    command = parse(line)
    assert command.verb is Verb.WRONG
    assert line.split()[0] in command.text


@given(st.text(max_size=80))
def test_every_line_means_something_and_no_text_is_changed(line: str) -> None:
    command = parse(line)
    assert parse(f"//{line}") == Command(Verb.SAY, f"/{line}")
    if command.verb is Verb.SAY:
        assert command.text in (line, line[1:])


def test_help_names_every_command_and_fits_in_a_terminal() -> None:
    lines = help_lines()
    assert all(any(line.startswith(usage) for line in lines) for usage, _ in USAGES.values())
    assert max(map(len, lines)) < 79
    assert len(lines) < 18


@pytest.mark.parametrize("word", ["q", "exit", "bye"])
def test_what_other_programs_call_leaving_is_answered_with_our_word(word: str) -> None:
    command = parse(f"/{word}")
    assert command.verb is Verb.WRONG
    assert "/quit" in command.text
