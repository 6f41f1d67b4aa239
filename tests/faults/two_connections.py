"""One device, two connections: the newest wins, the other is told REPLACED and stays away, nothing is split.

Owns both scenarios: connections by hand that take over from each other again and again under load, and two
real clients with copies of one profile, which is what brings it about in life.
"""

import asyncio
import shutil
import time
import urllib.request
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from tests.faults.frames import Lane, account_for, look_at_log, store_size, until
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.support.accounting import ndjson
from tests.support.client_process import ClientProcess, Running
from tests.support.relay_process import RelayProcess
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.frames import decode_deliver
from wire.login import Mode

TURNS = 60
TOLD_WITHIN = 5.0


@dataclass
class Seat:
    """One connection of the device: what it was handed, and how it ended."""

    lane: Lane
    is_in: asyncio.Event = field(default_factory=asyncio.Event)
    words: list[ErrorCode] = field(default_factory=list)
    after_the_word: int = 0  # frames that came after it was told to go
    code: int | None = None

    async def take(self) -> None:
        """Receive and acknowledge until the relay ends it."""
        ledger = self.lane.ledger
        async with self.lane.dial() as peer:
            await peer.hello(Mode.DEVICE)
            assert peer.greeting is not None
            device = self.lane.account.device
            signature = device.sign(peer.greeting.login_bytes(device.key))
            await peer.send(control.Login(device_key=device.key, signature=signature))
            last, unacknowledged = 0, 0
            try:
                while True:
                    data = await peer.websocket.recv()
                    if isinstance(data, str):
                        match control.decode_relay_message(data):
                            case control.Welcome():
                                await peer.send(control.Pull())
                                self.is_in.set()
                            case control.Error() as error:
                                self.words.append(error.code)
                        continue
                    frame = decode_deliver(data)
                    self.after_the_word += bool(self.words)
                    ledger.unordered += frame.sequence <= last
                    last = frame.sequence
                    ledger.keep(frame.sequence, frame.frame_id, frame.envelope)
                    unacknowledged += 1
                    if unacknowledged == 16:
                        unacknowledged = 0
                        await peer.send(control.Acknowledge(through=last))
            except ConnectionClosed:
                self.code = peer.websocket.close_code

    @property
    def was_replaced(self) -> bool:
        """Whether it was told so: by the code, and in words unless a send met the close first."""
        return self.words in ([ErrorCode.REPLACED], []) and self.code == CloseCode.REPLACED


async def _turns(run: Run, lane: Lane, result: Result) -> None:
    lane.ledger.add(run.messages or 6000)
    putting = asyncio.create_task(lane.put_all())
    seats = [Seat(lane)]
    tasks = [asyncio.create_task(seats[0].take())]
    for _ in range(TURNS * (20 if run.is_long else 1)):
        await seats[-1].is_in.wait()
        seats.append(Seat(lane))
        tasks.append(asyncio.create_task(seats[-1].take()))
        async with asyncio.timeout(TOLD_WITHIN):
            await tasks[-2]
        result.faults["replaced"] += 1
    await until(lambda: lane.ledger.settled, "all frames at the last connection")
    await putting
    if tasks[-1].done():
        result.problems.append("the newest connection did not last")
    # Several at once: one of them stays.
    crowd = [Seat(lane) for _ in range(8)]
    tasks += [asyncio.create_task(seat.take()) for seat in crowd]
    await until(
        lambda: sum(task.done() for task in tasks) >= len(tasks) - 1, "all but one are gone", TOLD_WITHIN
    )
    result.faults["replaced"] += len(crowd)
    lane.ledger.add(100)
    await lane.put_all()
    await until(lambda: lane.ledger.settled, "frames at the one that stayed")
    staying = [task for task in tasks if not task.done()]
    if len(staying) != 1:
        result.problems.append(f"{len(staying)} connections of one device stay")
    for task in staying:
        task.cancel()
    await asyncio.wait(staying)
    told = [seat for seat in (*seats, *crowd) if seat.code is not None]
    if not all(seat.was_replaced for seat in told):
        ends = [(seat.words, seat.code) for seat in told if not seat.was_replaced]
        result.problems.append(f"a connection was replaced and not told: {ends}")
    if any(seat.after_the_word for seat in told):
        result.problems.append("a frame was handed to a connection that had been told to go")


def two_connections(run: Run) -> Result:
    """The scenario by hand."""
    result = Result()

    async def turns() -> None:
        with RelayProcess(run.directory) as relay:
            lane = Lane(relay.url)
            await lane.open()
            await _turns(run, lane, result)
            account_for(result, [lane.ledger])
            result.largest_store = store_size(relay.data_dir)
            look_at_log(result, relay)

    asyncio.run(turns())
    return result


def _logins(relay: RelayProcess) -> float:
    with urllib.request.urlopen(relay.http_url + "/metrics", timeout=5) as answer:  # noqa: S310 - a URL of ours
        text = answer.read().decode()
    return next(
        float(line.split()[1]) for line in text.splitlines() if line.startswith("blindpost_logins_total")
    )


def _take_over(at: ClientProcess, old: Running, newer: Running, relay: RelayProcess, result: Result) -> None:
    """The older copy ends and says why; nobody takes the newer one's place again."""
    code = old.process.wait(20)
    old.close()
    result.faults["profile copied"] += 1
    if code != 7 or "connected elsewhere" not in at.errors:
        result.problems.append(f"the older copy ended with {code} and said {at.errors[-300:]}")
    before = _logins(relay)
    time.sleep(1.5)  # longer than the first pauses before a client comes back
    if newer.process.poll() is not None or _logins(relay) != before:
        result.problems.append("the newer copy was not left in peace")


def two_copies(run: Run) -> Result:
    """The scenario with real clients."""
    result = Result()
    with RelayProcess(run.directory) as relay:
        alice, bob, copy = (ClientProcess(run.directory, name) for name in ("alice", "bob", "copy"))
        for one in (alice, bob):
            one.init(relay.place)
        alice.add(bob)
        bob.add(alice)
        bob.json("listen", "--idle", "1")
        shutil.copytree(bob.profile, copy.profile)
        copy.address = bob.address
        sent: list[str] = []
        at, other = bob, copy
        listening = at.start("--json", "listen")
        assert listening.process.poll() is None
        for turn in range(6 if run.is_long else 2):
            texts = ndjson(range(turn * 100, turn * 100 + 30))
            lines = alice.json("send", "bob", "--ndjson", "--timeout", "30", stdin=texts)
            sent += [str(line["id"]) for line in lines]
            newer = other.start("--json", "listen")
            _take_over(at, listening, newer, relay, result)
            listening, at, other = newer, other, at
        listening.stop()
        listening.close()
        result.messages = len(sent)
        result.largest_store = store_size(relay.data_dir)
        kept = {one.name: _kept(one) for one in (bob, copy)}
    result.duplicated = sum(len(ids) - len(set(ids)) for ids in kept.values())
    result.figures["in one copy or the other"] = (
        f"{len(set(sent) & {*kept['bob'], *kept['copy']})} of {len(sent)}"
    )
    look_at_log(result, relay)
    return result


def _kept(one: ClientProcess) -> list[str]:
    """What the history of a copy has of the others."""
    lines = one.json("history", "--limit", "100000", "alice")
    return [str(line["id"]) for line in lines if line["direction"] == "in"]


TWO_CONNECTIONS = Scenario(
    "two-connections",
    "connections of one device take over from each other under load: one stays, the others are told",
    two_connections,
)
TWO_COPIES = Scenario(
    "two-copies",
    "two clients with copies of one profile: the newer one receives, the other ends and says why",
    two_copies,
)
