"""Old copies of a profile, and sessions that are lost: told to the user, and everything said arrives once."""

import shutil
from pathlib import Path

from clients.config import ClientConfig
from clients.profile import store_key
from clients.store.store import Store
from tests.end_to_end.conftest import People
from tests.support.client_process import ClientProcess, Json

HISTORY = ("history", "--limit", "1000")


def texts(of: ClientProcess, with_whom: str, direction: str) -> list[str]:
    return [line["text"] for line in of.json(*HISTORY, with_whom) if line["direction"] == direction]


def heard(by: ClientProcess, count: int) -> list[Json]:
    return by.json("listen", "--count", str(count), "--idle", "20")


def copy_profile(of: ClientProcess, to: Path) -> Path:
    shutil.copytree(of.profile, to)
    return to


def put_back(of: ClientProcess, copy: Path) -> None:
    shutil.rmtree(of.profile)
    shutil.copytree(copy, of.profile)


def acquaint(alice: ClientProcess, bob: ClientProcess) -> None:
    alice.run("send", "bob", "hello", "--timeout", "20")
    heard(bob, 1)
    bob.run("send", "alice", "hello back", "--timeout", "20")
    heard(alice, 1)


def test_an_old_copy_of_the_senders_profile(people: People, tmp_path: Path) -> None:
    alice, bob = people("alice", "bob")
    acquaint(alice, bob)
    copy = copy_profile(alice, tmp_path / "copy")
    for number in range(5):
        alice.run("send", "bob", f"before {number}", "--timeout", "20")
    assert len(heard(bob, 5)) == 5
    put_back(alice, copy)
    done = alice.run("send", "bob", "after", "--timeout", "20")
    assert b"older copy of itself" in done.stderr
    assert [line["text"] for line in heard(bob, 1)] == ["after"]
    # Recognised once, not at every start.
    assert b"older copy" not in alice.run("send", "bob", "and on", "--timeout", "20").stderr
    assert [line["text"] for line in heard(bob, 1)] == ["and on"]
    told = bob.json(*HISTORY, "alice")
    assert [line["text"] for line in told if line["direction"] == "in"] == [
        "hello", *(f"before {number}" for number in range(5)), "after", "and on",
    ]  # fmt: skip
    assert not any(line["missing_before"] or line["late"] for line in told)


def test_an_old_copy_of_the_recipients_profile(people: People, tmp_path: Path) -> None:
    alice, bob = people("alice", "bob")
    acquaint(alice, bob)
    copy = copy_profile(bob, tmp_path / "copy")
    for number in range(5):
        alice.run("send", "bob", f"lost with the disk {number}", "--timeout", "20")
    assert len(heard(bob, 5)) == 5
    alice.run("send", "bob", "waits at the relay", "--timeout", "20")
    put_back(bob, copy)
    listening = bob.start("--json", "listen")
    alice.run("send", "bob", "after", "--timeout", "20")
    got: list[str] = []
    sender = alice.start("--json", "listen")  # what was asked for goes out while it runs
    while len(got) < 7:
        got.append(listening.json()["text"])
    for running in (listening, sender):
        running.stop()
        running.close()
    assert got == [*(f"lost with the disk {number}" for number in range(5)), "waits at the relay", "after"]


def test_lost_sessions_are_mended_and_the_user_is_told_in_a_line(people: People) -> None:
    alice, bob = people("alice", "bob")
    acquaint(alice, bob)
    store = Store(bob.profile / "store.db", store_key(ClientConfig(bob.profile)))
    with store.transaction() as db:
        db.execute("UPDATE devices SET sessions = NULL")
    store.close()
    for number in range(3):
        alice.run("send", "bob", str(number), "--timeout", "20")
    sender = alice.start("--json", "listen")
    listening = bob.start("--json", "listen")
    assert [listening.json()["text"] for _ in range(3)] == ["0", "1", "2"]
    for running in (listening, sender):
        running.stop()
        running.close()
    assert "of 'alice' could not be decrypted. The session is made anew" in bob.errors
    assert texts(bob, "alice", "in") == ["hello", "0", "1", "2"]
