"""Two people at two terminals: the real `blindpost chat` in pseudo-terminals, at a real relay."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import hangup
from tests.support.client_process import RUN_WITHIN, ClientProcess, Deadline
from tests.support.relay_process import RelayProcess
from tests.support.terminal import Terminal

CTRL_C, CTRL_D, ALT_ENTER, ALT_R, ESCAPE = "\x03", "\x04", "\x1b\r", "\x1br", "\x1b"
PAGE_UP, CTRL_END, UP = "\x1b[5~", "\x1b[1;5F", "\x1b[A"
FOCUS_OUT, FOCUS_IN = "\x1b[O", "\x1b[I"
PASTE = "\x1b[200~{}\x1b[201~"

Sit = Callable[..., Terminal]
Couple = tuple[ClientProcess, ClientProcess]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """One relay for the tests that do not stop it."""
    with RelayProcess(tmp_path_factory.mktemp("relay"), settings={"sockets-per-prefix": 400}) as process:
        yield process


@pytest.fixture
def couple(tmp_path: Path, relay: RelayProcess) -> Couple:
    """Alice and Bob, who know each other."""
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    for one in (alice, bob):
        one.init(relay.origin)
    alice.add(bob)
    bob.add(alice)
    return alice, bob


@pytest.fixture
def sit() -> Iterator[Sit]:
    """Somebody sits down at a terminal; all are closed at the end."""
    terminals: list[Terminal] = []

    def down(
        who: ClientProcess, *arguments: str, rows: int = 24, columns: int = 80, wait: str = "connected",
        **variables: str,
    ) -> Terminal:  # fmt: skip
        argv = who.command("chat", *arguments)
        terminal = Terminal(argv, rows, columns, {**who.environment, **variables})
        terminals.append(terminal)
        # In a narrow title "connected" gives way as soon as it is known whether the other one is there.
        words = (wait, "online", "away") if wait == "connected" else (wait,)
        return terminal.until(lambda: any(word in terminal.text for word in words))

    yield down
    for terminal in terminals:
        terminal.close()


def is_restored(terminal: Terminal) -> bool:
    """As it was before: the cursor shown, the normal screen, echo on, no reports asked for."""
    return (
        terminal.is_cursor_shown
        and not terminal.is_alternate
        and terminal.terminal_modes == terminal.modes_before
        and terminal.said.rfind(b"\x1b[?1004l") > terminal.said.rfind(b"\x1b[?1004h")
        and terminal.said.rfind(b"\x1b[?2004l") > terminal.said.rfind(b"\x1b[?2004h")
    )


@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (10, 40)])
def test_a_conversation(couple: Couple, sit: Sit, rows: int, columns: int) -> None:
    alice, bob = couple
    at_alice = sit(alice, "bob", rows=rows, columns=columns)
    at_alice.type("hello Bob\r").until("✓")
    at_bob = sit(bob, "alice", rows=rows, columns=columns)
    at_bob.until("hello Bob")
    at_alice.until(lambda: "◉" in at_alice.line_with("hello Bob"))
    at_alice.until("online")
    # Arriving text leaves the line that is being written as it was.
    at_alice.type("half a li").until("> half a li")
    at_bob.until("alice is typing")
    cursor = at_alice.screen.cursor.x, at_alice.screen.cursor.y
    at_bob.type("漢字 and 👍 from Bob\r")
    at_alice.until("from Bob")
    at_alice.until(lambda: (at_alice.screen.cursor.x, at_alice.screen.cursor.y) == cursor)
    assert at_alice.lines[-1] == "> half a li"
    at_alice.type("ne\r")
    at_bob.until("half a line").until(lambda: "typing" not in at_bob.text)
    # Unfocused: delivered and not read.
    at_bob.type(FOCUS_OUT)
    at_alice.type("are you there?\r")
    at_bob.until("are you there?")
    at_alice.until(lambda: "✓✓" in at_alice.line_with("are you there?"))
    at_bob.until("new since last time").type(FOCUS_IN)
    at_alice.until(lambda: "◉" in at_alice.line_with("are you there?"))
    # Answering.
    at_bob.type(ALT_R).until("answering alice: are you there?")
    at_bob.type("yes, I am\r")
    at_alice.until("you: are you").until("yes, I am")
    # Leaving.
    at_bob.type(CTRL_D)
    assert at_bob.ended() == 0
    assert is_restored(at_bob)
    at_alice.until("away")
    at_alice.type("x" + CTRL_C).until(lambda: at_alice.lines[-1] == ">")
    at_alice.type(CTRL_C)
    assert at_alice.ended() == 0
    assert is_restored(at_alice)


def test_a_reply_by_its_number(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    alice.run("send", "bob", "first question")
    alice.run("send", "bob", "second question")
    at_bob = sit(bob, "alice").until("second question")
    at_bob.type("/reply\r").until("2  ").type("/reply 2 the answer\r").until("alice: first question")
    at_alice = sit(alice, "bob").until("the answer")
    assert "first question" in at_alice.lines[at_alice.lines.index(at_alice.line_with("the answer")) - 1]


def test_a_long_history_is_scrolled(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    lines = b"".join(b'{"text": "number %d"}\n' % number for number in range(230))
    alice.run("send", "bob", "--ndjson", stdin=lines)
    at_bob = sit(bob, "alice").until("number 229").until("number 210")
    at_bob.type(PAGE_UP).until("number 200").until(lambda: "number 229" not in at_bob.text)
    at_alice = sit(alice, "bob")
    at_alice.type("the newest\r")
    at_bob.until("1 new below")
    assert "the newest" not in at_bob.text
    for _ in range(25):
        at_bob.type(PAGE_UP)
    at_bob.until("number 0")
    at_bob.type(CTRL_END).until("the newest")
    at_alice.until(lambda: "◉" in at_alice.line_with("the newest"))


def test_it_survives_every_size(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    bob.run("send", "alice", "漢字 👨‍👩‍👧 " * 20)
    at_alice = sit(alice, "bob").until("漢字")
    at_alice.type("typed before")
    for rows, columns in [(10, 40), (5, 20), (3, 9), (2, 3), (1, 1), (60, 200), (7, 30), (24, 80)]:
        at_alice.resize(rows, columns)
        drawn = len(at_alice.said)
        at_alice.until(lambda drawn=drawn: len(at_alice.said) > drawn)  # type: ignore[misc]  # mypy on defaults
    at_alice.until("> typed before").until("bob")
    at_alice.type(CTRL_C + CTRL_C)
    assert at_alice.ended() == 0


def test_several_lines_pasted_and_typed_are_one_message(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    at_alice = sit(alice, "bob")
    at_alice.type(PASTE.format("one\ntwo\u202e\x1b[2J") + ALT_ENTER + "three").until("  three")
    assert "two\\u202e\\x1b[2J" in at_alice.text
    at_alice.type("\r").until("✓")
    received = bob.json("listen", "--count", "1")
    assert received[0]["text"] == "one\ntwo\u202e\x1b[2J\nthree"
    at_alice.type(UP).until("> one")


def test_a_path_is_no_command_and_is_not_lost(couple: Couple, sit: Sit) -> None:
    at_alice = sit(couple[0], "bob")
    at_alice.type("/etc/hosts is it\r").until("There is no command /etc/hosts")
    at_alice.until("> /etc/hosts is it")
    at_alice.type("\x01/\r").until(lambda: "✓" in at_alice.line_with("you  /etc/hosts is it"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_it_in_order(couple: Couple, sit: Sit, number: int, code: int) -> None:
    with hangup.heeded():
        at_alice = sit(couple[0], "bob").type("half")
    assert at_alice.until("> half").stop(number) == code
    assert is_restored(at_alice)
    assert b"Traceback" not in at_alice.said


def test_it_can_be_suspended_and_gone_on_with(couple: Couple) -> None:
    alice, _ = couple
    shell = {**alice.environment, "PS1": "shell> "}
    with Terminal(["bash", "--norc", "--noprofile", "-i"], env=shell) as terminal:
        terminal.until("shell>").type(" ".join(alice.command("chat", "bob")) + "\r").until("connected")
        terminal.type("half").until("> half").type("\x1a").until("Stopped")
        assert not terminal.is_alternate
        assert terminal.said.rfind(b"\x1b[?1004l") > terminal.said.rfind(b"\x1b[?1004h")
        terminal.type("fg\r").until("> half").type(CTRL_C + CTRL_D).until("shell>")
        assert not terminal.is_alternate


def test_a_closed_window_ends_it_and_lets_go_of_the_profile(couple: Couple, sit: Sit) -> None:
    alice, _ = couple
    assert sit(alice, "bob").hang_up() == 129
    alice.run("contact", "list")


def test_a_stranger_is_shown_with_a_banner_and_learns_nothing_until_accepted(
    tmp_path: Path, relay: RelayProcess, sit: Sit
) -> None:
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    for one in (alice, bob):
        one.init(relay.origin)
    bob.add(alice)
    bob.run("send", "alice", "do you remember me?")
    at_nobody = sit(alice, wait="chat")
    assert at_nobody.ended() == 0
    request = at_nobody.text.split()[-1]
    at_alice = sit(alice, request, wait="REQUEST")
    at_alice.until("do you remember me?").until("connected")
    at_alice.type("who is it\r").until("Not sent")
    at_bob = sit(bob, "alice")
    assert "◉" not in at_bob.text
    assert "typing" not in at_bob.text
    at_alice.type(CTRL_C + "/accept bob\r").until("bob is a contact now")
    at_bob.until("◉")
    at_alice.type("of course\r")
    at_bob.until("of course")


def test_an_address_is_enough_for_a_first_chat(tmp_path: Path, relay: RelayProcess, sit: Sit) -> None:
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    alice.init(relay.origin)
    at_bob = sit(bob, alice.address, "--as", "alice")
    at_bob.type("hello, it is me\r").until("✓")
    assert "alice" in at_bob.lines[0]


def test_the_profile_is_taken_over_when_its_owner_ends(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    owner = alice.start("listen")
    try:
        deadline = Deadline("listen owns the profile")
        while "Listening" not in alice.errors:
            deadline.turn()
        at_alice = sit(alice, "bob")
        at_alice.type("half a li").until("> half a li")
        owner.kill()
        at_alice.until("Took over the profile").until("connected")
        assert at_alice.lines[-1] == "> half a li"
        at_alice.type("ne\r").until(lambda: "✓" in at_alice.line_with("half a line"))
    finally:
        owner.close()
    assert bob.json("listen", "--count", "1")[0]["text"] == "half a line"


def test_other_commands_work_while_the_terminal_stands_still(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    at_alice = sit(alice, "bob")
    lines = b"".join(b'{"text": "%d %s"}\n' % (number, b"long " * 30) for number in range(300))
    bob.run("send", "alice", "--ndjson", stdin=lines)  # more than a terminal that nobody reads takes
    alice.run("send", "bob", "from another window")
    at_alice.type("typed").until("from another window").until("> typed").type(CTRL_C + CTRL_D)
    assert at_alice.ended() == 0
    assert is_restored(at_alice)


def test_a_contact_that_is_renamed_meanwhile_is_written_to_on(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    at_alice = sit(alice, "bob")
    alice.run("contact", "rename", "bob", "robert")
    at_alice.until(lambda: at_alice.lines[0].startswith(" robert"))
    at_alice.type("hello\r").until(lambda: "✓" in at_alice.line_with("you  hello"))
    bob.run("send", "alice", "and back")
    at_alice.until("robert  and back")


def test_other_commands_work_while_it_runs(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    at_alice = sit(alice, "bob")
    alice.run("send", "bob", "from another window")
    at_alice.until("from another window")
    second = sit(alice, "bob").until("from another window")
    second.type("from a second chat\r")
    at_alice.until("from a second chat")
    assert [line["text"] for line in bob.json("listen", "--count", "2")] == [
        "from another window", "from a second chat",
    ]  # fmt: skip


def test_what_is_written_while_the_relay_is_away_goes_out_later(tmp_path: Path, sit: Sit) -> None:
    with RelayProcess(tmp_path, settings={"sockets-per-prefix": 200}) as relay:
        alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
        for one in (alice, bob):
            one.init(relay.origin)
        alice.add(bob)
        bob.add(alice)
        at_alice = sit(alice, "bob")
        relay.terminate()
        at_alice.until("offline")
        at_alice.type("for later\r").until(lambda: "⋯" in at_alice.line_with("for later"))
        relay.start()
        at_alice.until(lambda: "✓" in at_alice.line_with("for later"), 40)


def test_no_colour_and_ascii_where_the_terminal_wants_that(couple: Couple, sit: Sit) -> None:
    at_alice = sit(
        couple[0], "bob", NO_COLOR="1", LANG="C", LC_ALL="POSIX", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )
    at_alice.type("plain\r").until(lambda: " + " in at_alice.line_with("you  plain"))
    assert at_alice.text.isascii()
    colours = {cell.fg for line in at_alice.screen.buffer.values() for cell in line.values()}
    assert colours == {"default"}


# --- lines ------------------------------------------------------------------------------------------------


def test_through_pipes_each_line_is_sent_and_each_message_is_a_line(couple: Couple) -> None:
    alice, bob = couple
    bob.run("send", "alice", "written\nbefore")
    done = alice.run("chat", "bob", stdin="one\n\n/quit is no command\nthree with ö".encode())
    printed = done.stdout.decode()
    assert "bob: written\n    before" in printed
    assert done.stderr == b""
    texts = [line["text"] for line in bob.json("listen", "--count", "3")]
    assert texts == ["one", "/quit is no command", "three with ö"]
    assert alice.run("chat", "bob").stdout == b""


def test_a_pipe_that_stays_open_shows_what_comes(couple: Couple) -> None:
    alice, bob = couple
    process = subprocess.Popen(
        alice.command("chat", "bob"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=alice.environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        bob.run("send", "alice", "knock")
        assert process.stdout.readline().endswith(b" bob: knock\n")
        process.stdin.write(b"who is there\n")
        process.stdin.close()
        assert process.wait(RUN_WITHIN) == 0
    assert bob.json("listen", "--count", "1")[0]["text"] == "who is there"


def test_a_pipe_prints_all_that_is_unread(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    bob.run("send", "alice", "--ndjson", stdin=b"".join(b'{"text": "n %d"}\n' % n for n in range(260)))
    sit(alice, "bob", columns=7, wait="259").stop()  # too narrow for anybody to have read it
    done = alice.run("chat", "bob")
    assert [line.rsplit(b" ", 1)[1] for line in done.stdout.splitlines()] == [b"%d" % n for n in range(260)]


def test_nohup_keeps_a_pipe_going(couple: Couple) -> None:
    alice, bob = couple
    with subprocess.Popen(
        ["nohup", *alice.command("chat", "bob")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=alice.environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        bob.run("send", "alice", "knock")
        assert process.stdout.readline().endswith(b" bob: knock\n")
        process.send_signal(signal.SIGHUP)
        process.stdin.write(b"still here\n")
        process.stdin.close()
        assert process.wait(RUN_WITHIN) == 0
    assert bob.json("listen", "--count", "1")[0]["text"] == "still here"


def test_a_pipe_without_a_relay_ends_with_queued(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, settings={"sockets-per-prefix": 200}) as relay:
        alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
        for one in (alice, bob):
            one.init(relay.origin)
        alice.add(bob)
        bob.add(alice)
        relay.terminate()
        done = alice.run("chat", "bob", "--timeout", "0.2", stdin=b"hello\n", code=4)
        assert b"queued safely" in done.stderr


def test_a_dumb_terminal_gets_lines(couple: Couple, sit: Sit) -> None:
    alice, bob = couple
    bob.run("send", "alice", "hello")
    at_alice = sit(alice, "bob", wait="bob: hello", TERM="dumb")
    at_alice.type("and back\n\x04")
    assert at_alice.ended() == 0
    assert b"\x1b" not in at_alice.said
    assert bob.json("listen", "--count", "1")[0]["text"] == "and back"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["chat", "nobody"], 3), (["--json", "chat", "bob"], 2), (["chat", "--as", "x"], 2)],
)
def test_wrong_words_are_said(couple: Couple, arguments: list[str], code: int) -> None:
    assert couple[0].run(*arguments, code=code).stderr
