"""`history`: found, limited, and written to files."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from clients.cli import asking as asking_module
from clients.config import ClientConfig
from clients.errors import ExitCode
from clients.profile import Profile
from clients.store.contacts import Contacts
from tests.support.command_line import CommandLine
from wire.addresses import Address, RelayUrl

NOWHERE = "ws://127.0.0.1:1"
FAR = Address(b"f" * 32, RelayUrl.parse(NOWHERE)).text
HOUR = 3_600_000


@pytest.fixture
def away(alice: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Alice, whose relay is not there, with a contact named bob."""
    monkeypatch.setattr("clients.cli.identity.CONNECT_DEADLINE", 0.2)
    alice("init", "--relay", NOWHERE, code=ExitCode.QUEUED)
    alice("contact", "add", "bob", FAR)
    return alice


def came(alice: CommandLine, *messages: tuple[str, int]) -> None:
    """As if bob had written these (text, hours ago)."""
    profile = Profile.open(ClientConfig(alice.profile))
    now = int(time.time() * 1000)
    with profile.store.transaction() as db:
        bob = Contacts(profile.store).named("bob").id
        for text, hours in messages:
            sent = now - hours * HOUR
            db.execute(
                "INSERT INTO messages (message_id, contact, outgoing, kind, body, sent_ms, sort_ms, status, "
                "handed) VALUES (?, ?, 0, 1, ?, ?, ?, 'received', 2)",
                (os.urandom(16), bob, text.encode(), sent, sent),
            )
    profile.close()


def texts(alice: CommandLine, *arguments: str) -> list[str]:
    return [line["text"] for line in alice("--json", "history", "bob", *arguments).json()]


def test_the_last_50_if_nothing_else_is_said(away: CommandLine) -> None:
    came(away, *((f"message {number}", 100 - number) for number in range(60)))
    assert texts(away) == [f"message {number}" for number in range(10, 60)]
    assert texts(away, "--limit", "2") == ["message 58", "message 59"]
    assert len(texts(away, "--limit", "1000")) == 60


def test_since_a_moment(away: CommandLine) -> None:
    came(away, ("old", 50), ("older than a day", 25), ("new", 1))
    assert texts(away, "--since", "2h") == ["new"]
    assert texts(away, "--since", "2d") == ["older than a day", "new"]
    assert texts(away, "--since", "2d", "--limit", "1") == ["new"]
    assert texts(away, "--since", "2026-01-01") == ["old", "older than a day", "new"]
    assert "30m" in away("history", "bob", "--since", "soon", code=ExitCode.USAGE).err


def test_a_search_finds_every_word_in_any_script(away: CommandLine) -> None:
    came(away, ("The Train leaves at 8", 3), ("no train today", 2), ("поезд идёт", 1))
    assert texts(away, "--search", "train") == ["The Train leaves at 8", "no train today"]
    assert texts(away, "--search", "train LEAVES") == ["The Train leaves at 8"]
    assert texts(away, "--search", "ПОЕЗД") == ["поезд идёт"]
    done = away("history", "bob", "--search", "nothing like it")
    assert (done.out, done.err) == ("", "No messages with 'bob' are like that.\n")


def test_many_pages_are_one_history(away: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_module, "PAGE", 7)
    came(away, *((f"{number}", 200 - number) for number in range(100)))
    assert texts(away, "--since", "4w") == [str(number) for number in range(100)]
    assert texts(away, "--limit", "15") == [str(number) for number in range(85, 100)]
    assert texts(away, "--limit", "7") == [str(number) for number in range(93, 100)]


def test_a_reply_says_what_it_answers(away: CommandLine) -> None:
    came(away, ("a question that is longer than a line should be", 1))
    (asked,) = away("--json", "history", "bob").json()
    send = ("send", "bob", "--timeout", "0", "--reply-to")
    away(*send, asked["id"], "yes", code=ExitCode.QUEUED)
    assert '[answers "a question that is longer t..."] (queued)' in away("history", "bob").out
    assert "[answers an earlier message]" in away("history", "bob", "--limit", "1").out


def test_nobody_has_a_history(away: CommandLine) -> None:
    away("history", "carol", code=ExitCode.NOT_FOUND)
    assert away("history", "bob").err == "No messages with 'bob' yet.\n"


# --- files ------------------------------------------------------------------------------------------


def test_an_export_has_everything_for_ones_own_eyes(away: CommandLine, tmp_path: Path) -> None:
    came(away, *((f"message <{number}>", 100 - number) for number in range(60)))
    page, lines = tmp_path / "bob.html", tmp_path / "bob.ndjson"
    before = os.umask(0)
    try:
        done = away("history", "bob", "--export", str(page))
        away("history", "bob", "--export", str(lines))
    finally:
        os.umask(before)
    assert done.out.startswith(f"60 messages with 'bob' written to {page}.")
    assert [stat.S_IMODE(file.stat().st_mode) for file in (page, lines)] == [0o600, 0o600]
    assert page.read_text().count("message &lt;") == 60
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert told == away("--json", "history", "bob", "--limit", "60").json()


def test_an_export_can_be_of_a_part(away: CommandLine, tmp_path: Path) -> None:
    came(away, ("old train", 50), ("new train", 1), ("new bus", 1))
    file = tmp_path / "part.ndjson"
    arguments = ("history", "bob", "--since", "2h", "--search", "train", "--export", str(file))
    assert away("--json", *arguments).json() == [{"file": str(file), "messages": 1}]
    assert json.loads(file.read_text())["text"] == "new train"


def test_an_export_replaces_a_file_whole_or_not_at_all(
    away: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came(away, ("one", 2), ("two", 1))
    file = tmp_path / "bob.ndjson"
    file.write_text("what was there")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("clients.cli.history.os.fsync", full)
        done = away("history", "bob", "--export", str(file), code=ExitCode.STORAGE)
    assert "No space left" in done.err
    assert file.read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir() if "bob" in path.name] == ["bob.ndjson"]
    away("history", "bob", "--export", str(file))
    assert file.read_text().count("\n") == 2


@pytest.mark.parametrize("name", ["bob", "bob.txt", "bob.html.gz"])
def test_a_file_of_no_known_form_is_refused(away: CommandLine, tmp_path: Path, name: str) -> None:
    assert "FILE.html" in away("history", "bob", "--export", str(tmp_path / name), code=ExitCode.USAGE).err
    assert not (tmp_path / name).exists()


def test_a_place_that_is_not_there(away: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "bob.html"
    assert "cannot be written" in away("history", "bob", "--export", str(file), code=ExitCode.STORAGE).err
