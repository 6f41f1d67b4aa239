"""One profile, several commands at once: whoever comes later hands over, and a kill loses nothing."""

import array
import fcntl
import json
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clients.errors import ExitCode
from tests.end_to_end.conftest import People
from tests.support.accounting import ndjson
from tests.support.client_process import ClientProcess, Deadline, Running

BOT = """
import asyncio, sys
from clients import Messenger

async def main() -> None:
    async with Messenger.open(sys.argv[1]) as me:
        print("open", flush=True)
        async for message in me:
            print(message.text, flush=True)

asyncio.run(main())
"""


@contextmanager
def running(who: ClientProcess, *arguments: str) -> Iterator[Running]:
    """A command that runs, once its socket can be used."""
    process = who.start(*arguments)
    try:
        deadline = Deadline(f"{arguments}: {who.errors}")
        while not (who.profile / "socket").exists():
            assert process.process.poll() is None, who.errors
            deadline.turn()
        yield process
    finally:
        process.close()


def talking(who: ClientProcess) -> "subprocess.Popen[bytes]":
    """`serve` with a pipe at both ends."""
    return subprocess.Popen(
        who.command("serve"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=who.environment,
    )  # fmt: skip


@pytest.fixture
def couple(people: People) -> list[ClientProcess]:
    return people("alice", "bob")


def test_every_command_works_while_another_listens(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    address = alice.run("address").stdout
    with running(alice, "--json", "listen") as listening:
        assert alice.run("send", "bob", "hi").stdout == b"accepted\n"
        assert [line["text"] for line in alice.json("history", "bob")] == ["hi"]
        alice.run("contact", "rename", "bob", "bert")
        assert [line["name"] for line in alice.json("contact", "list")] == ["bert"]
        assert alice.run("address").stdout == address
        alice.run("listen", code=ExitCode.LOCKED)
        bob.run("send", "alice", "and back", "--wait", "delivered")
        assert listening.json()["contact"] == "bert"
        assert listening.stop() == 143
    assert not (alice.profile / "socket").exists()


def test_a_program_that_owns_the_profile_serves_others(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    command = [alice.command()[0], "-c", BOT, str(alice.profile)]
    bot = Running(subprocess.Popen(command, stdout=subprocess.PIPE, env=alice.environment))
    assert bot.line() == b"open\n"
    assert alice.run("send", "bob", "hi").stdout == b"accepted\n"
    bob.run("send", "alice", "and back")
    assert bot.line() == b"and back\n"
    alice.run("listen", code=ExitCode.LOCKED)
    bot.close()


def test_a_message_is_read_when_another_program_says_so(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    with talking(bob) as serving:
        assert serving.stdin is not None
        assert serving.stdout is not None
        assert b"protocol" in serving.stdout.readline()
        serving.stdin.write(b'{"call": "listen", "ref": 1}\n')
        serving.stdin.flush()
        sending = alice.start("send", "bob", "hi", "--wait", "read")
        assert b'"more"' in serving.stdout.readline()
        message = json.loads(serving.stdout.readline())["message"]
        # Not through the line that listens: another command on the same profile.
        done = bob.run("serve", stdin=b'{"call": "read", "ref": 1, "name": "alice"}\n').stdout.splitlines()
        assert json.loads(done[-1]) == {"ref": 1, "result": {}}
        assert sending.line() == b"read\n"
        assert sending.process.wait(30) == 0
        sending.close()
        serving.communicate(b'{"call": "done", "ref": 2, "id": "%s"}\n' % message["id"].encode())
        assert serving.returncode == 0
    assert bob.json("listen", "--idle", "0") == []


def test_a_listener_that_nobody_reads_holds_up_no_other_command(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    many = ndjson([f"{number} " + "x" * 20_000 for number in range(20)])
    bob.run("send", "alice", "--ndjson", stdin=many)
    listening = subprocess.Popen(
        alice.command("--json", "listen"),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=alice.environment,
    )  # fmt: skip
    with listening:
        assert listening.stdout is not None
        deadline, held = Deadline("the pipe fills"), array.array("i", [0])
        while held[0] < 60_000:
            fcntl.ioctl(listening.stdout, termios.FIONREAD, held)
            deadline.turn()
        assert alice.run("send", "bob", "all the same").stdout == b"accepted\n"
        listening.terminate()


def test_an_owner_that_is_killed_is_followed_by_whoever_comes_next(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    with running(alice, "--json", "listen") as listening:
        bob.run("send", "alice", "one", "--wait", "delivered")
        assert listening.json()["text"] == "one"
        listening.kill()
    assert (alice.profile / "socket").exists()  # what a crash leaves behind
    assert alice.run("send", "bob", "two").stdout == b"accepted\n"
    assert not (alice.profile / "socket").exists()
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["two"]


def test_listening_goes_on_when_the_owner_is_killed(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    owner = talking(alice)
    assert owner.stdout is not None
    assert b"protocol" in owner.stdout.readline()
    listening = alice.start("--json", "listen")
    bob.run("send", "alice", "one")
    first = listening.json()
    assert (first["text"], first["redelivered"]) == ("one", False)
    owner.kill()
    owner.communicate()
    bob.run("send", "alice", "two", "--wait", "delivered")
    heard = [listening.json()]
    # What was printed when the owner was killed may not have been told to be done with.
    if heard[0]["id"] == first["id"]:
        assert heard[0]["redelivered"]
        heard = [listening.json()]
    assert heard[0]["text"] == "two"
    assert "listening goes on" in alice.errors
    assert listening.stop() == 143
    listening.close()


def test_what_was_in_hand_when_listening_was_killed_comes_again_marked(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    owner = talking(alice)
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdout.readline()
    bob.run("send", "alice", "one", "--wait", "delivered")
    owner.stdin.write(b'{"call": "listen", "ref": 1}\n')
    owner.stdin.flush()
    assert b'"result"' in owner.stdout.readline()
    assert b'"one"' in owner.stdout.readline()
    alice.run("listen", code=ExitCode.LOCKED)
    owner.kill()
    owner.communicate()
    (again,) = alice.json("listen", "--count", "1")
    assert (again["text"], again["redelivered"]) == ("one", True)
    assert alice.json("listen", "--idle", "0") == []


def test_commands_that_begin_at_the_same_moment(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    sending = [alice.start("--json", "send", "bob", str(number)) for number in range(6)]
    looking = [
        alice.start("--json", *words) for words in (("contact", "list"), ("history", "bob"), ("address",))
    ]
    assert [running.process.wait(30) for running in (*sending, *looking)] == [0] * 9, alice.errors
    for running_ in (*sending, *looking):
        running_.close()
    assert sorted(line["text"] for line in bob.json("listen", "--count", "6")) == list("012345")


def test_many_messages_through_an_owner_that_is_killed_are_sent_once_and_in_order(
    couple: list[ClientProcess],
) -> None:
    alice, bob = couple
    with running(alice, "listen") as owner:
        sending = alice.start(
            "--json", "send", "bob", "--ndjson", "--timeout", "30", stdin=ndjson(range(300))
        )
        heard = bob.start("--json", "listen")
        given = [heard.json() for _ in range(20)]
        owner.kill()
        given += [heard.json() for _ in range(280)]
        assert sending.process.wait(30) == 0, alice.errors
        assert len(sending.rest()) == 300
        sending.close()
    assert [int(line["text"]) for line in given] == list(range(300))
    heard.stop()
    assert heard.rest() == []
    heard.close()
    assert len(alice.json("history", "bob", "--limit", "1000")) == 300


def test_a_call_while_the_owner_ends(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    for number in range(3):
        with running(alice, "listen") as owner:
            sending = alice.start("--json", "send", "bob", str(number), "--wait", "delivered")
            owner.process.send_signal(signal.SIGTERM)
            heard = bob.json("listen", "--count", "1")
            assert heard[0]["text"] == str(number)
            assert sending.process.wait(30) == 0, alice.errors
            sending.close()
            assert owner.process.wait(30) == 143
    assert len(alice.json("history", "bob")) == 3


def test_a_slow_stdin_holds_up_nothing(couple: list[ClientProcess]) -> None:
    alice, bob = couple
    with subprocess.Popen(
        alice.command("--json", "send", "bob", "--ndjson"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=alice.environment,
    ) as sending:  # fmt: skip
        assert sending.stdin is not None
        sending.stdin.write(b'{"text": "one"}\n')
        sending.stdin.flush()
        # It goes out, and other commands are served, while the next line is not there yet.
        assert bob.json("listen", "--count", "1")[0]["text"] == "one"
        alice.run("send", "bob", "two")
        out, _ = sending.communicate(b'{"text": "three"}\n', timeout=30)
    assert out.count(b"\n") == 2
    assert [line["text"] for line in bob.json("listen", "--count", "2")] == ["two", "three"]
