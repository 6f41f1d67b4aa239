"""What people do, with real processes: away and back, strangers, receipts, trust, passphrases."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.conftest import People
from tests.support.accounting import ndjson, numbers
from tests.support.client_process import ClientProcess, Deadline
from tests.support.relay_process import RelayProcess


def status_of(sender: ClientProcess, name: str) -> list[str]:
    return [line["status"] for line in sender.json("history", name) if line["direction"] == "out"]


def test_away_and_back(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    alice.run("send", "bob", "are you there?")
    sent = alice.json("send", "bob", "--ndjson", stdin=ndjson(range(50)))
    relay.restart()
    heard = bob.json("listen", "--count", "51")
    assert heard[0]["text"] == "are you there?"
    assert numbers(heard[1:]) == list(range(50))
    assert [line["id"] for line in heard[1:]] == [line["id"] for line in sent]
    assert bob.json("listen", "--idle", "0.5") == []
    assert [line["text"] for line in bob.json("history", "alice")] == [line["text"] for line in heard][-50:]


def test_the_relay_away_and_back(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    relay.terminate()
    (queued,) = alice.json("send", "bob", "while it is away", "--timeout", "0.3", code=4)
    assert queued["status"] == "queued"
    listening = bob.start("--json", "listen")
    sending = alice.start("--json", "listen", "--idle", "20")
    relay.start()
    message = listening.json()
    assert (message["text"], message["id"]) == ("while it is away", queued["id"])
    for running in (listening, sending):
        running.stop()
        running.close()


def test_receipts_mark_delivered_and_nothing_else_does(people: People) -> None:
    alice, bob = people("alice", "bob")
    alice.run("send", "bob", "hi")
    alice.run("listen", "--idle", "0.5")
    assert status_of(alice, "bob") == ["accepted"]
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["hi"]
    alice.run("listen", "--idle", "1")
    assert status_of(alice, "bob") == ["delivered"]
    listening = bob.start("--json", "listen")
    (line,) = alice.json("send", "bob", "waited for", "--wait", "delivered", "--timeout", "20")
    assert line["status"] == "delivered"
    assert listening.json()["text"] == "waited for"
    listening.stop()
    listening.close()


def test_a_receipt_owed_at_a_kill_is_sent_by_the_next_process(people: People) -> None:
    alice, bob = people("alice", "bob")
    alice.run("send", "bob", "hi")
    listening = bob.start("--json", "listen")
    assert listening.json()["text"] == "hi"
    listening.kill()
    listening.close()
    bob.run("listen", "--idle", "1")
    alice.run("listen", "--idle", "1")
    assert status_of(alice, "bob") == ["delivered"]


def test_both_write_first_at_once(people: People) -> None:
    alice, bob = people("alice", "bob")
    running = [one.start("--json", "send", other, f"from {one.name}") for one, other in
               ((alice, "bob"), (bob, "alice"))]  # fmt: skip
    sent = [one.rest() for one in running]
    for one in running:
        one.close()
    # The other one's receipt may be quicker than the relay's answer.
    assert all(line["status"] in ("accepted", "delivered") for lines in sent for line in lines)
    assert [len(lines) for lines in sent] == [1, 1]
    assert [line["text"] for line in alice.json("listen", "--count", "1")] == ["from bob"]
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["from alice"]
    alice.run("send", "bob", "and on")
    bob.run("send", "alice", "and on")
    assert [line["text"] for line in alice.json("listen", "--count", "1")] == ["and on"]
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["and on"]


def test_a_stranger_is_a_request_and_is_heard_once_it_is_added(people: People) -> None:
    alice, bob = people("alice", "bob", acquainted=False)
    alice.add(bob)
    alice.run("send", "bob", "--ndjson", stdin=ndjson(range(3)))
    assert bob.json("listen", "--idle", "1") == []
    alice.run("listen", "--idle", "0.5")
    assert status_of(alice, "bob") == ["accepted"] * 3  # a stranger gets no receipt
    (request,) = bob.json("contact", "list")
    assert request["status"] == "request"
    bob.add(alice)
    assert numbers(bob.json("listen", "--count", "3")) == [0, 1, 2]
    alice.run("listen", "--idle", "1")
    assert status_of(alice, "bob") == ["delivered"] * 3


def test_a_relay_with_another_key_is_refused_and_nothing_is_lost(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    alice.run("send", "bob", "before")
    relay.terminate()
    key = next(path for path in relay.data_dir.rglob("*") if "key" in path.name and path.is_file())
    genuine = key.read_bytes()
    key.unlink()
    relay.start()
    refused = alice.run("send", "bob", "to an impostor?", code=6).stderr.decode()
    assert "another key than before" in refused
    assert "trust-relay" in refused
    assert "another key than before" in bob.run("listen", "--idle", "5", code=6).stderr.decode()
    relay.terminate()
    key.write_bytes(genuine)
    relay.start()
    alice.run("send", "bob", "after")
    assert [line["text"] for line in bob.json("listen", "--count", "3")] == [
        "before", "to an impostor?", "after",
    ]  # fmt: skip


def test_a_new_key_that_the_operator_vouches_for_is_accepted(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    relay.terminate()
    next(path for path in relay.data_dir.rglob("*") if "key" in path.name and path.is_file()).unlink()
    relay.start()
    alice.run("send", "bob", "hi", code=6)
    for one in (alice, bob):
        one.run("trust-relay", relay.origin)
    alice.run("send", "bob", "again")
    assert [line["text"] for line in bob.json("listen", "--count", "2")] == ["hi", "again"]


def test_a_profile_behind_a_passphrase(tmp_path: Path, people: People, relay: RelayProcess) -> None:
    (bob,) = people("bob")
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    alice = ClientProcess(tmp_path, "alice", {"BLINDPOST_PASSPHRASE": ""})
    del alice.environment["BLINDPOST_PASSPHRASE"]
    (made,) = alice.json("init", "--relay", relay.origin, "--passphrase-file", str(secret))
    alice.address = made["address"]
    bob.add(alice)
    assert "needs its passphrase" in alice.run("address", code=7).stderr.decode()
    alice.environment["BLINDPOST_PASSPHRASE"] = secret.read_text().strip()
    alice.add(bob)
    alice.run("send", "bob", "unlocked")
    assert [line["text"] for line in bob.json("listen", "--count", "1")] == ["unlocked"]
    alice.environment["BLINDPOST_PASSPHRASE"] = "wrong"
    assert "wrong passphrase" in alice.run("send", "bob", "hi", code=7).stderr.decode()
    on_disk = b"".join(path.read_bytes() for path in alice.profile.iterdir())
    assert b"unlocked" not in on_disk
    assert secret.read_bytes().strip() not in on_disk


@pytest.mark.parametrize("size", [0, 720, 65_000])
def test_a_first_message_of_any_size(people: People, size: int) -> None:
    alice, bob = people("alice", "bob")
    body = os.urandom(size // 2).hex()
    # Empty is said on the command line: an empty stdin is taken for a mistake.
    alice.run("send", "bob", *([] if body else [""]), stdin=body.encode())
    (heard,) = bob.json("listen", "--count", "1")
    assert heard["text"] == body


def test_the_relay_sees_nothing_of_what_was_said_nor_who_said_it(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    canary = "CANARY the quick brown fox"
    alice.run("send", "bob", canary)
    seen = b"".join(path.read_bytes() for path in relay.data_dir.rglob("*") if path.is_file())
    assert len(seen) > 10_000
    assert canary.encode() not in seen
    assert canary not in relay.log
    bob.json("listen", "--count", "1")
    for one in (alice, bob):
        assert canary.encode() not in b"".join(path.read_bytes() for path in one.profile.iterdir())


def test_an_init_killed_before_the_relay_was_there_is_finished_by_the_next_command(
    tmp_path: Path, relay: RelayProcess
) -> None:
    relay.terminate()
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    making = alice.start("init", "--relay", relay.origin)
    waiting = Deadline("the profile is being made")
    while not (alice.profile / "profile.json").exists():
        waiting.turn()
    making.kill()
    making.close()
    relay.start()
    if alice.run("address", code=None).returncode:  # killed before its account was there
        alice.run("init", "--relay", relay.origin)
    alice.address = alice.run("address").stdout.decode().strip()
    alice.run("listen", "--idle", "1")
    bob.init(relay.origin)
    bob.add(alice)
    alice.add(bob)
    bob.run("send", "alice", "welcome")
    assert [line["text"] for line in alice.json("listen", "--count", "1")] == ["welcome"]
