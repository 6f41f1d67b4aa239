"""kill -9, of the relay and of both clients, in the middle of it: nothing lost, nothing twice, in order."""

from tests.end_to_end.conftest import People
from tests.support.accounting import ndjson, numbers, settle
from tests.support.client_process import ClientProcess, Json, Running
from tests.support.relay_process import RelayProcess

HISTORY = ("history", "--limit", "1000000")


def sent_by(sender: ClientProcess, to: ClientProcess) -> list[Json]:
    """Everything that the sender's own history says it queued."""
    return sender.json(*HISTORY, to.name)


def listen_on(listener: ClientProcess, given: list[Json], expected: int) -> None:
    """Listen until so many different messages have been given."""
    left = expected - len({line["id"] for line in given})
    again = sum(line["redelivered"] for line in given)
    while left > 0:
        heard = listener.json("listen", "--count", str(left), "--idle", "10")
        assert heard, f"{left} missing, and nothing comes (redelivered so far: {again})"
        given += heard
        left = expected - len({line["id"] for line in given})


def kill_after(running: Running, lines: int) -> list[Json]:
    """SIGKILL once it has printed so many lines; all it managed to print."""
    printed = [running.json() for _ in range(lines)]
    running.kill()
    printed += running.rest()
    running.close()
    return printed


def test_the_relay_killed_in_mid_stream(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    listening = bob.start("--json", "listen")
    sending = alice.start("--json", "send", "bob", "--ndjson", "--timeout", "30", stdin=ndjson(range(600)))
    given = [listening.json() for _ in range(50)]
    relay.kill()
    relay.start()
    given += [listening.json() for _ in range(150)]
    relay.kill()
    relay.start()
    given += [listening.json() for _ in range(400)]
    statuses = {line["status"] for line in sending.rest()}
    assert sending.process.wait() == 0
    assert statuses <= {"accepted", "delivered"}
    assert numbers(given) == list(range(600))
    assert not any(line["redelivered"] for line in given)
    listening.stop()
    assert listening.rest() == []
    for running in (listening, sending):
        running.close()
    settle(given, sent_by(alice, bob))


def test_the_receiver_killed_again_and_again(people: People) -> None:
    alice, bob = people("alice", "bob")
    sent = alice.json("send", "bob", "--ndjson", stdin=ndjson(range(300)))
    assert {line["status"] for line in sent} == {"accepted"}
    given: list[Json] = []
    for lines in (1, 30, 2, 17):
        given += kill_after(bob.start("--json", "listen"), lines)
    listen_on(bob, given, 300)
    once = settle(given, sent_by(alice, bob))
    assert numbers(once) == list(range(300))
    assert [line["id"] for line in once] == [line["id"] for line in sent]
    assert bob.json("listen", "--idle", "0.5") == []


def test_the_receiver_killed_while_frames_come_in(people: People) -> None:
    alice, bob = people("alice", "bob")
    given: list[Json] = []
    sending = alice.start("--json", "send", "bob", "--ndjson", "--timeout", "30", stdin=ndjson(range(500)))
    for lines in (1, 20, 60):
        given += kill_after(bob.start("--json", "listen"), lines)
    assert len(sending.rest()) == 500
    sending.close()
    listen_on(bob, given, 500)
    assert numbers(settle(given, sent_by(alice, bob))) == list(range(500))


def test_the_sender_killed_while_it_sends_in_bulk(people: People) -> None:
    alice, bob = people("alice", "bob")
    listening = bob.start("--json", "listen")
    given: list[Json] = []
    for life, wanted in enumerate((1, 90, 10, 40)):
        texts = range(life * 1000, life * 1000 + 400)
        sending = alice.start("--json", "send", "bob", "--ndjson", "--timeout", "30", stdin=ndjson(texts))
        # Killed when so many of this life's messages have reached the other side.
        while wanted:
            given.append(listening.json())
            wanted -= int(given[-1]["text"]) // 1000 == life
        sending.kill()
        sending.close()
    alice.run("send", "bob", "--timeout", "30", "9999")
    while given[-1]["text"] != "9999":
        given.append(listening.json())
    listening.stop()
    given += listening.rest()
    listening.close()
    queued = sent_by(alice, bob)
    assert len(queued) > 3
    once = settle(given, queued)
    assert numbers(once) == sorted(numbers(once))


def test_everybody_killed_at_once(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    listening = bob.start("--json", "listen")
    sending = alice.start("--json", "send", "bob", "--ndjson", "--timeout", "30", stdin=ndjson(range(400)))
    given = [listening.json() for _ in range(30)]
    sending.kill()
    relay.kill()
    listening.kill()
    given += listening.rest()
    for running in (listening, sending):
        running.close()
    relay.start()
    alice.run("send", "bob", "--timeout", "30", "9999")
    queued = sent_by(alice, bob)
    listen_on(bob, given, len(queued))
    assert numbers(settle(given, queued))[-1] == 9999


def test_both_directions_at_once_through_a_kill_of_the_relay(people: People, relay: RelayProcess) -> None:
    alice, bob = people("alice", "bob")
    # Each sends in one process, and hears in the next: the other side is never there while it sends.
    couple = ((alice, bob), (bob, alice))
    sending = [
        one.start("--json", "send", other.name, "--ndjson", "--timeout", "30", stdin=ndjson(range(300)))
        for one, other in couple
    ]
    assert sending[0].process.poll() is None
    relay.kill()
    relay.start()
    for running in sending:
        assert len(running.rest()) == 300
        assert running.process.wait() == 0
        running.close()
    for one, other in couple:
        given: list[Json] = []
        listen_on(other, given, 300)
        assert numbers(settle(given, sent_by(one, other))) == list(range(300))
