"""Clocks that step by a day, either way, while everybody runs: nothing is lost, order holds.

Owns both scenarios. At the relay a step forward makes frames and tokens a day older, no more: what had less
than that left to live ends, and is counted. A step back makes them a day younger. Sequences and order know no
clock. At a client a step changes the time shown of what is said meanwhile, and nothing else.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.faults.child import command
from tests.faults.frames import Lane, account_for, look_at_log, store_size
from tests.faults.patches import make_clock
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.relay.devices import HELD, envelope
from tests.relay.peers import Peer
from tests.support.accounting import ndjson, settle
from tests.support.client_process import ClientProcess, Json, Running
from tests.support.relay_process import RelayProcess
from wire import control
from wire.capabilities import token_hash
from wire.control import AllowedToken, decode_relay_message
from wire.login import Mode

DAY = 86_400
TTL = 3 * DAY  # so that steps of a day come to its end
SHORT = b"dies in 12 hours"


async def _status(lane: Lane) -> control.Welcome:
    async with lane.dial() as peer:
        return await peer.log_in(lane.account.device)


async def _is_request(lane: Lane, peer: Peer, token: bytes) -> bool:
    """Whether a frame that comes with this token is taken as a request."""
    key = lane.account.device.key
    await peer.send(control.Attach(mailbox=key, token=token))
    frame_id = await peer.put(key, sealed := envelope(), as_stranger=True)
    lane.ledger.frames[frame_id] = sealed
    answer = decode_relay_message(str(await peer.websocket.recv()))
    assert isinstance(answer, control.Accepted | control.QueuedAsRequest), answer
    lane.ledger.accepted.add(frame_id)
    return isinstance(answer, control.QueuedAsRequest)


def _more(lane: Lane, count: int) -> Callable[[], bool]:
    """Whether so many more frames were handed out since this was asked for."""
    enough = len(lane.ledger.kept) + count
    return lambda: len(lane.ledger.kept) >= enough


async def _let_die(lane: Lane) -> int:
    """A token that is to die in 12 hours, by the relay's clock as it is now."""
    async with lane.dial() as peer:
        hello = await peer.hello(Mode.DEVICE)
    async with lane.dial() as peer:
        await peer.log_in(lane.account.device)
        short = AllowedToken(hash=token_hash(SHORT), until=hello.time + DAY // 2)
        await peer.allow(AllowedToken(hash=HELD), short)
    return hello.time


async def _relay_steps(run: Run, result: Result) -> None:
    clock = run.directory / "clock"
    make_clock(clock)
    relay = RelayProcess(
        run.directory, settings={"mailbox-ttl": TTL}, command=command("relay", f"clock={clock}")
    )
    with relay:
        lane, old = Lane(relay.url, source="127.0.7.1"), Lane(relay.url, source="127.0.7.2")
        for each in (lane, old):
            await each.open()
        old.ledger.add(10)
        await old.put_all()
        began = await _let_die(lane)
        holds = list[bool]()
        for offset in (-DAY, 0, DAY, 0):
            lane.ledger.add(2000)
            putting = asyncio.create_task(lane.put_all())
            await lane.receive_until(_more(lane, 200))
            make_clock(clock, offset)  # in the middle of it
            result.faults["clock step of the relay"] += 1
            async with asyncio.timeout(60):
                await asyncio.gather(putting, lane.receive_all())
            async with lane.dial() as peer:
                hello = await peer.hello(Mode.SUBMIT)
                if not offset <= hello.time - began < offset + 600:
                    result.problems.append("the relay does not tell its clock's time: nothing was stepped")
                holds.append(not await _is_request(lane, peer, SHORT))
            await asyncio.to_thread(relay.restart)  # expiry and pruning run at once at a start
            if (await _status(old)).expired:
                result.problems.append(f"frames of 3 days expired after a step of {offset} s")
        # What was pruned while the clock was ahead is gone until its device logs in and allows it again.
        if holds != [True, True, False, False]:
            result.problems.append(f"a token of 12 hours held: {holds}")
        await _let_die(lane)
        async with lane.dial() as peer:
            await peer.hello(Mode.SUBMIT)
            if await _is_request(lane, peer, SHORT):
                result.problems.append("a token that was allowed again does not hold")
        await lane.receive_all()
        await _expiry(relay, old, clock, result)
        account_for(result, [lane.ledger, old.ledger])
        result.largest_store = store_size(relay.data_dir)
    look_at_log(result, relay)


async def _expiry(relay: RelayProcess, old: Lane, clock: Path, result: Result) -> None:
    """Frames put a day ahead live a day longer by the right clock; the old ones end with their TTL."""
    make_clock(clock, DAY)
    old.ledger.add(10)
    await old.put_all()
    make_clock(clock, 0)
    for days, expired in ((2, 0), (3, 10), (4, 20)):
        make_clock(clock, days * DAY + 60)
        result.faults["clock step of the relay"] += 1
        await asyncio.to_thread(relay.restart)
        seen = -1
        for _ in range(100):  # expiry begins with the start, beside the first logins
            seen = (await _status(old)).expired
            if seen >= expired:
                break
            await asyncio.sleep(0.05)
        if seen != expired:
            result.problems.append(f"{seen} frames expired {days} days after they were put, not {expired}")
    old.ledger.accepted.clear()  # these were told as expired, and are accounted for by it
    old.ledger.frames.clear()


class SteppedClient(ClientProcess):
    """A person whose clock can be stepped."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(directory, name)
        self.clock = directory / f"{name}.clock"
        make_clock(self.clock)

    def command(self, *arguments: str) -> list[str]:
        """Every process of this person looks at the same clock."""
        return [*command("clients", f"clock={self.clock}"), *arguments]


def _say(one: SteppedClient, other: SteppedClient, texts: range) -> int:
    lines = one.json("send", other.name, "--ndjson", "--timeout", "30", stdin=ndjson(texts))
    assert {line["status"] for line in lines} <= {"accepted", "delivered"}, lines
    return len(lines)


def clock_of_people(run: Run) -> Result:
    """The scenario with real clients, each of whose clocks steps, and the relay's."""
    result = Result()
    clock = run.directory / "relay.clock"
    make_clock(clock)
    with RelayProcess(run.directory, command=command("relay", f"clock={clock}")) as relay:
        alice, bob = (SteppedClient(run.directory, name) for name in ("alice", "bob"))
        for one in (alice, bob):
            one.init(relay.place)
        alice.add(bob)
        bob.add(alice)
        listening: dict[str, Running] = {one.name: one.start("--json", "listen") for one in (alice, bob)}
        given: dict[str, list[Json]] = {"alice": [], "bob": []}
        count = 0
        steps = [(of, offset) for of in (alice.clock, bob.clock, clock) for offset in (DAY, -DAY, 0)]
        chosen = run.random("steps").sample(steps, len(steps) if run.is_long else 4)
        for of, offset in [(clock, 0), *chosen]:
            make_clock(of, offset)
            result.faults["clock step"] += 1
            for one, other in ((alice, bob), (bob, alice)):
                said = _say(one, other, range(count, count + 5))
                given[other.name] += [listening[other.name].json() for _ in range(said)]
            count += 5
        for running in listening.values():
            running.stop()
            running.close()
        for one, other in ((alice, bob), (bob, alice)):
            kept = one.json("history", "--limit", "100000", other.name)
            settle(given[other.name], kept)
            undone = {line["status"] for line in kept if line["direction"] == "out"} - {
                "accepted",
                "delivered",
            }
            if undone:
                result.problems.append(f"messages ended as {undone}")
        result.messages = 2 * count
        result.largest_store = store_size(relay.data_dir)
        look_at_log(result, relay)
    return result


def clock_of_relay(run: Run) -> Result:
    """The scenario by the raw protocol."""
    result = Result()
    asyncio.run(_relay_steps(run, result))
    return result


CLOCK_OF_RELAY = Scenario(
    "clock-of-relay",
    "the relay's clock steps by days under load: order, tokens, TTL; nothing lost or expired early",
    clock_of_relay,
)
CLOCK_OF_PEOPLE = Scenario(
    "clock-of-people",
    "every clock steps by a day either way in a conversation: all of it arrives, once and in order",
    clock_of_people,
)
