"""An operator lets friends in: real processes on both sides, from `relay invite` to the first message."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.errors import ExitCode
from relay.store.beside import beside
from tests.support.client_process import ClientProcess
from tests.support.relay_process import RelayProcess
from tests.support.terminal import Terminal
from wire.invites import invite_hash, parse_invite

OTHER = "bpinvite1qgyncnqk20xufhajg9r3xv94tdqs7kzj3"  # well formed, and nobody's


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with RelayProcess(tmp_path, settings={"registration": "invite"}) as process:
        yield process


@pytest.fixture
def operator(tmp_path: Path, relay: RelayProcess) -> ClientProcess:
    place = {"BLINDPOST_RELAY_DATA_DIRECTORY": str(relay.data_dir)}
    return ClientProcess(tmp_path, "operator", place)


def invite(operator: ClientProcess, *options: str) -> str:
    return operator.run("relay", "invite", *options).stdout.decode().strip()


def hash_of(invite: str) -> bytes:
    return invite_hash(parse_invite(invite))


def refused(person: ClientProcess, relay: RelayProcess, *options: str) -> str:
    """What somebody is told whom the relay does not take, by `init` and by `doctor`."""
    done = person.run("init", "--relay", relay.origin, *options, code=ExitCode.RELAY)
    assert done.stdout.startswith(b"bp1")  # the profile and its address are there all the same
    sentence = done.stderr.decode().splitlines()[-1].replace(f"--profile {person.profile} ", "")
    assert sentence.startswith("The relay does not register this account: ")
    (found,) = (row for row in person.json("doctor", code=ExitCode.RELAY) if row["exit_code"])
    assert found["check"] == "login"
    assert found["what"] == sentence
    return sentence


def test_a_friend_joins_with_an_invite_and_writes(
    tmp_path: Path, relay: RelayProcess, operator: ClientProcess
) -> None:
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    alice.init(relay.origin, "--invite", invite(operator))
    # By the environment, which no list of processes shows.
    bob.environment["BLINDPOST_INVITE"] = f" {invite(operator).upper()}\n"
    bob.init(relay.origin)
    alice.add(bob)
    bob.add(alice)
    alice.run("send", "bob", "I am in")
    (heard,) = bob.json("listen", "--count", "1")
    assert heard["text"] == "I am in"
    # It is of no use any more, and of no harm.
    bob.run("send", "alice", "so am I")
    assert operator.run("relay", "invites", "--json").stdout.count(b'"uses": 0') == 2
    assert "takes new accounts by invite" in alice.run("doctor").stdout.decode()


def test_used_ended_revoked_and_invented_invites_are_one_answer_and_another_one_helps(
    tmp_path: Path, relay: RelayProcess, operator: ClientProcess
) -> None:
    used, ended, revoked = (invite(operator) for _ in range(3))
    ClientProcess(tmp_path, "alice").init(relay.origin, "--invite", used)
    with beside(relay.data_dir / "relay.db") as connection:
        connection.execute("UPDATE invites SET until = ? WHERE hash = ?", (int(time.time()), hash_of(ended)))
    operator.run("relay", "invites", "--revoke", hash_of(revoked)[:5].hex())
    tokens = {"used": used, "ended": ended, "revoked": revoked, "invented": OTHER}
    people = {name: ClientProcess(tmp_path, name) for name in (*tokens, "none")}
    told = [refused(people[name], relay, "--invite", token) for name, token in tokens.items()]
    assert len(set(told)) == 1
    assert "ask the relay's operator for another one. With an invite: blindpost" in told[0]
    none = people["none"]
    assert "this relay wants an invite; ask its operator for one." in refused(none, relay)
    address = none.run("address").stdout
    assert none.run("init", "--invite", invite(operator)).stdout == address
    assert b"needs no invite" in none.run("init", "--invite", invite(operator), code=ExitCode.USAGE).stderr


def test_an_invite_with_a_typing_error_is_found_before_anything_is_made(
    tmp_path: Path, relay: RelayProcess, operator: ClientProcess
) -> None:
    token = invite(operator)
    alice = ClientProcess(tmp_path, "alice")
    wrong = token[:-1] + ("q" if token[-1] != "q" else "p")
    done = alice.run("init", "--relay", relay.origin, "--invite", wrong, code=ExitCode.USAGE)
    assert b"Invite: has a typing error (the checksum does not fit); copy all of it" in done.stderr
    assert wrong.encode() not in done.stderr
    assert not alice.profile.exists()
    alice.init(relay.origin, "--invite", token)


def test_a_relay_killed_behind_the_spending_has_the_account(
    tmp_path: Path, relay: RelayProcess, operator: ClientProcess
) -> None:
    """The client does not learn that it is in, and asks again: nothing is spent twice, nothing is refused."""
    token = invite(operator)
    alice = ClientProcess(tmp_path, "alice")
    joining = alice.start("init", "--relay", relay.origin, "--invite", token)
    deadline = time.monotonic() + 20
    while b'"uses": 0' not in operator.run("relay", "invites", "--json").stdout:
        assert time.monotonic() < deadline
    relay.kill()
    relay.start()
    assert joining.process.wait(30) == 0
    joining.close()
    assert alice.json("doctor")[-1]["what"] == "works, and the account is registered"
    refused(ClientProcess(tmp_path, "bob"), relay, "--invite", token)


def test_a_chat_says_that_the_relay_wants_an_invite(
    tmp_path: Path, relay: RelayProcess, operator: ClientProcess
) -> None:
    alice, bob = ClientProcess(tmp_path, "alice"), ClientProcess(tmp_path, "bob")
    alice.init(relay.origin, "--invite", invite(operator))
    why = "this relay wants an invite; ask its operator for one."
    piped = bob.run("chat", alice.address, "--as", "alice", stdin=b"through a pipe\n")
    assert why in piped.stderr.decode()
    at_bob = Terminal(bob.command("chat", "alice"), 24, 100, bob.environment)
    try:
        at_bob.until(why)
        # Writing needs no account at a relay; only answers would find no mailbox.
        at_bob.type("at a terminal\r").until(lambda: "✓" in at_bob.line_with("at a terminal"))
    finally:
        at_bob.close()
    bob.run("init", "--invite", invite(operator))
    at_bob = Terminal(bob.command("chat", "alice"), 24, 100, bob.environment)
    try:
        at_bob.until("connected")
        assert why not in at_bob.text
    finally:
        at_bob.close()
