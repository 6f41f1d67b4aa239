"""What a new user types wrong, and the next command that the answer names."""

import sys
from pathlib import Path

import pytest

from clients.cli.hints import as_pasted, for_profile, profile_given
from clients.cli.output import fitted
from clients.errors import ExitCode
from tests.clients.cli.conftest import MakePerson
from tests.support.command_line import CommandLine
from tests.support.terminal import Terminal
from wire.addresses import Address, RelayUrl

NOWHERE = "ws://127.0.0.1:1"


def line_of(name: str) -> str:
    """An address that nobody has the secret of."""
    return Address(name.encode().ljust(32, b"."), RelayUrl.parse(NOWHERE)).text


FAR, OTHER = line_of("far"), line_of("other")


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Alice, whose relay is not there, with a contact named bob."""
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    alice("contact", "add", "bob", FAR)
    return alice


# --- lines that were copied -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pasted",
    [
        f"  {FAR}\n",
        f"{FAR[:40]}\n{FAR[40:]}",
        f"{FAR[:40]}  {FAR[40:]}",
        f"<{FAR}>",
        f"'{FAR}'",
        f'"{FAR}",',
        FAR.upper(),
    ],
)
def test_an_address_survives_being_copied(away: CommandLine, pasted: str) -> None:
    assert as_pasted(pasted) == FAR
    done = away("send", pasted, "hi", "--timeout", "0.1", code=ExitCode.QUEUED)
    assert "is a contact now" not in done.err  # it is bob's
    assert len(away("--json", "history", pasted).json()) == 1


@pytest.mark.parametrize("word", ["bob", " bob ", "b p 1", "'quoted'", "", "(bp)"])
def test_what_is_no_address_is_left_alone(word: str) -> None:
    assert as_pasted(word) == word


def test_name_and_address_may_change_places(away: CommandLine) -> None:
    away("contact", "add", OTHER, "carol")
    names = {row["name"]: row["address"] for row in away("--json", "contact", "list").json()}
    assert names == {"bob": FAR, "carol": OTHER}
    third = line_of("third")
    away("contact", "replace", third, "carol", "--yes")
    assert third in away("contact", "list", "--addresses").out


def test_an_address_that_is_known_already_replaces_nothing(away: CommandLine) -> None:
    done = away("contact", "replace", "bob", FAR)
    assert "nothing is changed" in done.out
    assert "Compare" not in done.err


# --- words in the wrong place -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("accept", "bob"), "blindpost contact accept"),
        (("verify", "bob"), "blindpost contact verify"),
        (("contact", "send", "bob"), "Perhaps: blindpost send"),
        (("help",), "blindpost --help"),
        (("version",), "blindpost --version"),
        (("inbox",), "blindpost listen"),
        (("init", NOWHERE), "blindpost init --relay URL"),
        (("send", "bob", "two", "words"), 'blindpost send NAME "TEXT"'),
        (("send", "bob", "-x"), "blindpost send NAME -- TEXT"),
        (("settings", "presence", "off"), "--presence off"),
        (("contact", "rename", "bob", "a", "b"), "quotes"),
        (("contact", "rename", "bob", ""), "The new name is empty"),
        (("send", "", "hi"), "blindpost contact list"),
    ],
)
def test_2_says_what_to_type(alice: CommandLine, words: tuple[str, ...], hint: str) -> None:
    done = alice(*words, code=ExitCode.USAGE)
    assert hint in done.err
    (line,) = alice("--json", *words, code=ExitCode.USAGE).err.splitlines()
    assert hint.replace('"', '\\"') in line


def test_an_option_that_was_nearly_right_is_named(alice: CommandLine) -> None:
    done = alice("send", "bob", "hi", "--wiat", "read", code=ExitCode.USAGE)
    assert "--wait" in done.err
    assert "-- TEXT" not in done.err


def test_3_the_text_before_the_name(away: CommandLine) -> None:
    assert "blindpost send bob 'hi there'" in away("send", "hi there", "bob", code=ExitCode.NOT_FOUND).err
    assert "Did you mean 'bob'" in away("send", "bobb", "hi", code=ExitCode.NOT_FOUND).err
    assert away("--json", "history", "bob").out == ""


# --- whose profile ----------------------------------------------------------------------------------


def test_3_without_a_profile_the_line_of_a_friend_is_enough(alice: CommandLine, person: MakePerson) -> None:
    assert "blindpost chat LINE" in alice("listen", code=ExitCode.NOT_FOUND).err
    away = person("bob")
    (away.profile / "x").mkdir(parents=True)
    (away.profile / "profile.json").write_text("{}")
    said = alice("address", code=ExitCode.NOT_FOUND).err
    assert said.splitlines()[-1].endswith("--profile: bob")
    assert len(alice("--json", "address", code=ExitCode.NOT_FOUND).err.splitlines()) == 1


def test_advice_is_for_the_profile_that_was_chosen(away: CommandLine, tmp_path: Path) -> None:
    path = str(away.profile)
    assert (
        f"blindpost --profile {path} contact unblock bob"
        in away("--profile", path, "contact", "block", "bob").out
    )
    none = f"--profile={tmp_path}/no one"
    said = away("address", none, code=ExitCode.NOT_FOUND).err
    assert f"blindpost --profile '{tmp_path}/no one' init --relay URL" in said


def test_commands_between_backquotes_are_somebody_elses() -> None:
    text = "Ask for what `blindpost address` prints, then: blindpost contact add NAME ADDRESS"
    assert for_profile(text, None) == for_profile(text, "") == text
    assert for_profile(text, "work") == text.replace(": blindpost", ": blindpost --profile work")
    assert for_profile("blindpost relay", "work") == "blindpost relay"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ((), None),
        (("--profile", "a", "send", "b", "--profile=c"), "c"),
        (("send", "b", "--", "--profile", "x"), None),
        (("send", "--profile"), None),
    ],
)
def test_the_profile_of_a_command_line(words: tuple[str, ...], given: str | None) -> None:
    assert profile_given(words) == given


@pytest.mark.parametrize(
    ("content", "word"), [(b"\n", "is empty"), (b"\xff", "UTF-8"), (None, "No such file")]
)
def test_2_a_passphrase_file_that_is_of_no_use(
    away: CommandLine, tmp_path: Path, content: bytes | None, word: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    said = away("--passphrase-file", str(path), "address", code=ExitCode.USAGE).err
    assert str(path) in said
    assert word in said


# --- on a terminal ----------------------------------------------------------------------------------


def test_a_sentence_is_broken_between_words_and_a_command_is_not() -> None:
    long = (
        "There is no profile in /somewhere/that/is/quite/long/already. Make one: blindpost init --relay URL"
    )
    assert fitted(long, 80).splitlines() == [
        "There is no profile in /somewhere/that/is/quite/long/already. Make one:",
        "blindpost init --relay URL",
    ]
    assert fitted(f"short\n\n{'x' * 90} y", 80).splitlines() == ["short", "", "x" * 90, "y"]
    assert fitted("a b: blindpost c", 9).splitlines() == ["a b:", "blindpost c"]
    assert fitted("as it  is: blindpost init", 80) == "as it  is: blindpost init"


def test_a_person_is_told_what_is_waited_for(away: CommandLine) -> None:
    command = [sys.executable, "-m", "clients", "--profile", str(away.profile)]
    with Terminal([*command, "send", "bob", "hi", "--timeout", "2.5"]) as terminal:
        terminal.until("Ctrl-C ends the waiting")
        assert terminal.ended() == ExitCode.QUEUED
        assert "blindpost doctor" not in terminal.text  # but with the profile
        assert "doctor" in terminal.text
    with Terminal([*command, "contact", "send"]) as terminal:
        assert terminal.ended() == ExitCode.USAGE
        assert "Perhaps:" in terminal.text


def test_a_person_with_a_line_learns_how_to_get_a_name(person: MakePerson) -> None:
    command = [sys.executable, "-m", "clients", "--profile", str(person("carol").profile)]
    with Terminal([*command, "send", FAR, "hi", "--timeout", "0"]) as terminal:
        terminal.until("settings --name YOURS")
        assert terminal.ended() == ExitCode.QUEUED


def test_a_chat_with_nobody_says_what_it_waits_for(
    person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alone = person("alone")
    alone("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    with Terminal([sys.executable, "-m", "clients", "--profile", str(alone.profile), "chat"]) as terminal:
        terminal.until("Looking whether somebody has written")
        assert terminal.ended() == 0
        assert "blindpost chat LINE" not in terminal.text  # but with the profile
        assert "chat LINE" in terminal.text


def test_a_passphrase_is_asked_for_once(
    person: MakePerson, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    dora, secret = person("dora"), tmp_path / "secret"
    secret.write_text("correct horse")
    unlocked = ("--passphrase-file", str(secret))
    dora("init", "--relay", NOWHERE, *unlocked, code=ExitCode.QUEUED)
    dora("contact", "add", "bob", FAR, *unlocked)
    number = dora("contact", "verify", "bob", *unlocked).out.split()
    command = [sys.executable, "-m", "clients", "--profile", str(dora.profile)]
    with Terminal([*command, "contact", "verify", "bob", *number]) as terminal:
        terminal.until("Passphrase:").type("correct horse\r")
        assert terminal.ended() == 0
        assert "is verified" in terminal.text
    with Terminal([*command, "chat", "bob"]) as terminal:
        terminal.until("Passphrase:").type("correct horse\r").until("/help")
        terminal.type("/quit\r")
        assert terminal.ended() == 0


# --- how sure one is --------------------------------------------------------------------------------


def test_digits_need_no_quotes(away: CommandLine) -> None:
    number = away("contact", "verify", "bob").out.split()
    assert len(number) == 12
    assert "is verified" in away("contact", "verify", "bob", *number).out
    away("contact", "verify", "bob", "--compare", *number)
    wrong = ["11111", *number[1:]]
    assert "not the safety number" in away("contact", "verify", "bob", *wrong, code=ExitCode.TRUST).err


def test_ones_own_code_proves_nothing_and_undoes_nothing(away: CommandLine) -> None:
    (shown,) = away("--json", "contact", "verify", "bob").json()
    away("contact", "verify", "bob", shown["safety_number"])
    said = away("contact", "verify", "bob", shown["scannable"], code=ExitCode.USAGE).err
    assert "your own code" in said
    assert away("--json", "contact", "list").json()[0]["verified"] is True
