"""`make demo`: over a thousand messages between two real clients through a relay that is killed on the way.

Starts a relay on its embedded store, and Alice and Bob as processes of their own; sends while Bob is there
and while he is away; kills the relay with -9 in the middle, and Bob's client once; lets Bob answer; then
counts, and searches everything that the relay has for what was said. Exits non-zero unless nothing was lost,
duplicated, out of order or leaked.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import apsw

from examples.demo.accounting import Direction, content
from examples.demo.canaries import Canaries, Searched, search_files, search_memory
from examples.demo.payloads import Payload, extremes, files, texts
from examples.demo.processes import Client, DemoFailure, Line, Relay, run_client

HERE, AWAY, BACK = 350, 500, 250  # messages while Bob is there, away, and back
ANSWERS = 60


class Demo:
    """The cast, and what has happened so far."""

    def __init__(self, directory: Path) -> None:
        self.alice, self.bob = directory / "alice", directory / "bob"
        self.relay = Relay(directory / "relay")
        self.canaries = Canaries()
        self.to_bob, self.to_alice = Direction(), Direction()
        self.searches: list[Searched] = []
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line of progress."""
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", flush=True)

    # --- scenes ---------------------------------------------------------------------------------------

    def meet(self) -> None:
        """Relay, two profiles, two contacts."""
        self.relay.start()
        self.say(f"relay started: {self.relay.url}")
        addresses = {}
        for profile in (self.alice, self.bob):
            addresses[profile] = run_client(profile, "init", "--relay", self.relay.url)[0]["address"]
            self.say(f"{profile.name} is {addresses[profile]}")
        run_client(self.alice, "contact", "add", "bob", addresses[self.bob])
        run_client(self.bob, "contact", "add", "alice", addresses[self.alice])

    def bob_is_there(self) -> None:
        """Messages while Bob listens."""
        bob = Client(self.bob, "listen")
        self._send(self.to_bob, self.alice, "bob", texts(HERE, self.canaries))
        bob.wait_for_lines(HERE)
        self.to_bob.shown += bob.terminate()
        self.say(f"{HERE} messages sent while Bob was there")

    def bob_is_away(self) -> None:
        """Messages while nobody reads them; the relay is killed in the middle and comes back."""
        payloads = [*texts(AWAY, self.canaries), *extremes(self.canaries)]
        before = self.relay.accepted()
        alice = self._start_sending(self.alice, "bob", payloads)
        while (at := self.relay.accepted() - before) < AWAY // 3:
            alice.must_run(0.02)
        self.relay.kill()
        self.say(f"relay killed with -9 after {at} of {len(payloads)} messages; starting it again")
        self.relay.start()
        self._account(self.to_bob, payloads, alice.finish())
        self.say(f"{len(payloads)} messages sent while Bob was away (one empty, one of 65,000 bytes)")
        bodies = files(self.canaries)
        for body in bodies:
            lines = run_client(self.alice, "send", "bob", "-", stdin=body)
            self._account(self.to_bob, [_as_read(body)], lines)
        self.say(f"{len(bodies)} real files sent through a pipe")

    def look_at_the_relay(self) -> None:
        """What is stored for one message, and a search of all that the relay has while it holds hundreds."""
        self.say("what the relay stored for one message of Alice to Bob:")
        print(stored_frame(self.relay.data / "relay.db"), flush=True)
        self.searches += [
            search_memory(
                "relay's memory, hundreds of messages waiting", self.relay.process.pid, self.canaries
            ),
            search_files("relay's disk, hundreds of messages waiting", self.relay.data, self.canaries),
        ]

    def bob_is_back(self) -> None:
        """Bob's client is killed while it takes in what waited, and again sees everything exactly once."""
        waiting = len(self.to_bob.bodies) - HERE
        bob = Client(self.bob, "listen")
        bob.wait_for_lines(waiting // 2)
        self.to_bob.shown += bob.kill()
        taken = len(self.to_bob.shown) - HERE
        self.say(f"Bob's client killed with -9 after {taken} of {waiting}; starting it again")
        bob = Client(self.bob, "listen")
        payloads = texts(BACK, self.canaries)
        self._send(self.to_bob, self.alice, "bob", payloads)
        expected = set(self.to_bob.bodies)
        seen = {line["id"] for line in self.to_bob.shown}
        while missing := len(expected - seen - {line["id"] for line in bob.lines}):
            bob.wait_for_lines(len(bob.lines) + missing)
        self.searches.append(search_memory("control: Bob's own memory", bob.process.pid, self.canaries))
        self.to_bob.shown += bob.terminate()
        self.say(f"{BACK} more messages sent; Bob has everything")

    def bob_answers(self) -> None:
        """Bob writes back; Alice reads, and hears by his receipts what has been delivered."""
        alice = Client(self.alice, "listen")
        payloads = texts(ANSWERS, self.canaries)
        self._send(self.to_alice, self.bob, "alice", payloads)
        alice.wait_for_lines(ANSWERS)
        self.to_alice.shown += alice.terminate()
        run_client(self.bob, "listen", "--idle", "1")
        self.say(f"{ANSWERS} answers from Bob to Alice")

    def compare(self) -> bool:
        """Both safety numbers, which must be equal."""
        numbers = {}
        for profile, peer in ((self.alice, "bob"), (self.bob, "alice")):
            line = run_client(profile, "contact", "verify", peer)[0]
            numbers[profile.name] = line["safety_number"]
            groups = [line["safety_number"][i : i + 5] for i in range(0, 60, 5)]
            print(f"    safety number at {profile.name:6}{' '.join(groups)}", flush=True)
        return bool(numbers["alice"] == numbers["bob"])

    def count(self) -> None:
        """Read both histories, and search what the relay has now that all is over."""
        for profile, peer, sent, received in (
            (self.alice, "bob", self.to_bob, self.to_alice),
            (self.bob, "alice", self.to_alice, self.to_bob),
        ):
            for line in run_client(profile, "history", peer, "--limit", "1000000"):
                if line["direction"] == "in":
                    received.kept.append(line)
                elif line["status"] == "delivered":
                    sent.delivered.add(line["id"])
        self.searches.append(
            search_memory("relay's memory at the end", self.relay.process.pid, self.canaries)
        )
        self.relay.terminate()
        self.searches.append(search_files("relay's disk at the end", self.relay.data, self.canaries))
        self.searches.append(search_files("relay's logs", self.relay.logs, self.canaries))

    # --- sending --------------------------------------------------------------------------------------

    def _start_sending(self, profile: Path, to: str, payloads: list[Payload]) -> Client:
        stdin = b"".join(payload.ndjson() for payload in payloads)
        return Client(profile, "send", to, "--ndjson", "--timeout", "60", stdin=stdin)

    def _send(self, direction: Direction, profile: Path, to: str, payloads: list[Payload]) -> None:
        self._account(direction, payloads, self._start_sending(profile, to, payloads).finish())

    def _account(self, direction: Direction, payloads: list[Payload], lines: list[Line]) -> None:
        for payload, line in zip(payloads, lines, strict=True):
            direction.bodies[line["id"]] = content(_line(payload))
            if line["status"] in ("accepted", "delivered"):
                direction.accepted.add(line["id"])


def _as_read(body: bytes) -> Payload:
    """What `send -` makes of bytes: text where they are UTF-8."""
    try:
        return Payload(body.decode())
    except UnicodeDecodeError:
        return Payload(body)


def _line(payload: Payload) -> Line:
    line: Line = json.loads(payload.ndjson())
    return line


def stored_frame(database: Path) -> str:
    """One row of the relay's store, every column of it, with the start of the envelope as a hexdump."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    row = connection.execute(
        "SELECT m.device_key, f.sequence, f.frame_id, f.stored_at, f.envelope "
        "FROM frames f JOIN mailboxes m ON m.id = f.mailbox ORDER BY f.id LIMIT 1"
    ).fetchone()
    connection.close()
    if row is None:
        raise DemoFailure("the relay stores nothing, though Bob is away")
    mailbox, sequence, frame_id, stored_at, envelope = row
    head = [
        f"    mailbox    {bytes(mailbox).hex()}  (Bob's device key)",
        f"    sequence   {sequence}",
        f"    frame id   {bytes(frame_id).hex()}",
        f"    stored at  {stored_at}",
        f"    envelope   {len(envelope)} bytes, of which the first 96 are",
    ]
    dump = [f"      {i:04x}  {bytes(envelope)[i : i + 16].hex(' ')}" for i in range(0, 96, 16)]
    return "\n".join(head + dump)


def verdict(demo: Demo, are_equal: bool) -> bool:
    """Print the searches, what to type next, and as the last line the counts."""
    both = (demo.to_bob, demo.to_alice)
    leaks = 0
    is_sound = are_equal
    for search in demo.searches:
        is_control = search.sight.source.startswith("control")
        is_sound &= search.sight.is_whole and (search.found > 0 or not is_control)
        leaks += 0 if is_control else search.found
        print(f"    {search}", flush=True)
    sent = sum(len(direction.bodies) for direction in both)
    accepted = sum(len(direction.accepted) for direction in both)
    delivered = sum(len(direction.delivered) for direction in both)
    lost, duplicated, out_of_order = (
        sum(direction.lost for direction in both),
        sum(direction.duplicated for direction in both),
        sum(direction.out_of_order for direction in both),
    )
    is_sound &= accepted == delivered == sent
    print(
        f"\n{len(demo.canaries)} canaries searched. Next, try it yourself:  .venv/bin/blindpost relay\n"
        "and in another terminal:  .venv/bin/blindpost init --relay ws://127.0.0.1:8760\n",
        flush=True,
    )
    print(
        f"demo: {'ok' if is_sound and not (lost or duplicated or out_of_order or leaks) else 'FAILED'}: "
        f"sent {sent}, accepted {accepted}, delivered {delivered}, "
        f"lost {lost}, duplicated {duplicated}, out of order {out_of_order}, leaks {leaks}",
        flush=True,
    )
    return is_sound and not (lost or duplicated or out_of_order or leaks)


def main() -> int:
    """Run all scenes; 0 if everything held."""
    directory = Path(tempfile.mkdtemp(prefix="blindpost-demo-"))
    demo = Demo(directory)
    try:
        demo.meet()
        demo.bob_is_there()
        demo.bob_is_away()
        demo.look_at_the_relay()
        demo.bob_is_back()
        demo.bob_answers()
        are_equal = demo.compare()
        demo.count()
        return 0 if verdict(demo, are_equal) else 1
    except DemoFailure as failure:
        print(f"demo: FAILED: {failure}", flush=True)
        return 1
    finally:
        if demo.relay.url:
            demo.relay.process.kill()
            demo.relay.process.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
