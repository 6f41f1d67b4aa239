"""SIGTERM in the middle of it: everybody is told, the process ends with 0 in time, nothing accepted is gone.

Owns the scenario. Half of the mailboxes are drained while they are filled, the others keep what they get.
Beside them stand peers who never read again, some who read a little now and then, and some who read again
just after the signal: these are told as well. The relay's socket buffers are small, else the kernel would
read for all of them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from websockets.exceptions import ConnectionClosed

from tests.faults.child import command
from tests.faults.frames import Lane, account_for, look_at_log, store_size, until
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.relay.peers import Peer
from tests.support.relay_process import RelayProcess
from wire import control
from wire.errors import CloseCode, ErrorCode

END_WITHIN = 10.0
LANES = 12
FRAMES = 4000  # per lane and round: more than are put before the signal
DEAF, SLOW, LATE = 6, 3, 3
SEND_BUFFER = 8192  # bytes that the relay's kernel keeps for a peer


async def _fill(lane: Lane, count: int) -> None:
    lane.ledger.add(count, 8192)
    await lane.put_all()


@contextlib.asynccontextmanager
async def _bad_readers(lanes: list[Lane]) -> AsyncIterator[list[Peer]]:
    """Connections that ask for their frames and then read nothing, or hardly anything."""
    async with contextlib.AsyncExitStack() as stack:
        peers = []
        for lane in lanes:
            peer = await stack.enter_async_context(lane.dial(receive_buffer=4096))
            await peer.log_in(lane.account.device)
            peer.websocket.transport.pause_reading()
            await peer.send(control.Pull())
            peers.append(peer)
        try:
            yield peers
        finally:
            for peer in peers:
                peer.websocket.transport.abort()


async def _read_a_little(peer: Peer) -> None:
    with contextlib.suppress(ConnectionClosed, OSError):
        while True:
            peer.websocket.transport.resume_reading()
            await asyncio.sleep(0.001)
            peer.websocket.transport.pause_reading()
            await asyncio.sleep(0.1)


async def _last_words(peer: Peer) -> tuple[list[ErrorCode], int | None]:
    """What the relay says in the end, and the code it closes with."""
    heard: list[ErrorCode] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            data = await peer.websocket.recv()
            if isinstance(data, str):
                message = control.decode_relay_message(data)
                heard += [message.code] if isinstance(message, control.Error) else []
    return heard, peer.websocket.close_code


async def _idle(lane: Lane) -> tuple[list[ErrorCode], int | None]:
    async with lane.dial() as peer:
        await peer.log_in(lane.account.device)
        await peer.send(control.Pull())
        return await _last_words(peer)


async def _round(relay: RelayProcess, number: int, run: Run, result: Result) -> float:
    """One life of the relay; returns how long its end took."""
    chance = run.random(f"round {number}")
    lanes = [Lane(relay.url, source=f"127.0.1.{number + 1}", patient=False) for _ in range(LANES)]
    bad = [Lane(relay.url, source=f"127.0.2.{number + 1}") for _ in range(DEAF + SLOW + LATE)]
    idle = [Lane(relay.url, source=f"127.0.3.{number + 1}") for _ in range(4)]
    for lane in (*lanes, *bad, *idle):
        await lane.open()
    for lane in bad:
        await _fill(lane, 120)
    work = [asyncio.create_task(lane.put_all()) for lane in lanes]
    for lane in lanes:
        lane.ledger.add(FRAMES, 2048)
    work += [asyncio.create_task(lane.receive_all()) for lane in lanes[: LANES // 2]]
    told = [asyncio.create_task(_idle(lane)) for lane in idle]
    async with _bad_readers(bad) as peers:
        slow = [asyncio.create_task(_read_a_little(peer)) for peer in peers[DEAF:-LATE]]
        enough = 200 + chance.randrange(1500)
        await until(lambda: sum(len(lane.ledger.accepted) for lane in lanes) > enough, "the load")
        began = time.monotonic()
        relay.send_sigterm()
        for peer in peers[-LATE:]:
            peer.websocket.transport.resume_reading()
            told.append(asyncio.create_task(_last_words(peer)))
        code = await asyncio.to_thread(relay.wait)
        took = time.monotonic() - began
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        words = await asyncio.gather(*told)
    result.faults["sigterm"] += 1
    if code != 0:
        result.problems.append(f"ended with {code}")
    if took > END_WITHIN:
        result.problems.append(f"took {took:.1f} s to end, {END_WITHIN:.0f} are promised")
    await asyncio.gather(*work, return_exceptions=True)
    for heard, closed_with in words:
        if heard != [ErrorCode.RESTARTING] or closed_with != CloseCode.RESTARTING:
            result.problems.append(f"who read was told {heard} and was closed with {closed_with}")
    _look_at_ends(lanes, result)
    await _after(relay, [*lanes, *bad], result)
    return took


def _look_at_ends(lanes: list[Lane], result: Result) -> None:
    """Every connection under load was closed with the code; the words in front of it a send may overlook."""
    for lane in lanes:
        ledger = lane.ledger
        if len(ledger.accepted) == len(ledger.frames):
            result.problems.append("the signal came after the load: the scenario shows nothing")
        if set(ledger.close_codes) != {CloseCode.RESTARTING}:
            result.problems.append(f"under load: told {ledger.last_words}, closed {ledger.close_codes}")


async def _after(relay: RelayProcess, lanes: list[Lane], result: Result) -> None:
    """Everything that was accepted is there after the restart, and the rest goes through."""
    await asyncio.to_thread(relay.start)
    result.largest_store = max(result.largest_store, store_size(relay.data_dir))
    for lane in lanes:
        lane.patient = True
        ledger = lane.ledger
        # What was on its way may be there as well, unanswered: its sender will put it again.
        for frame_id in list(ledger.frames)[len(ledger.accepted) + 200 :]:
            del ledger.frames[frame_id]
    async with asyncio.timeout(90):
        await asyncio.gather(*(lane.receive_until(lane.ledger.nothing_lost) for lane in lanes))
        await asyncio.gather(*(lane.put_all() for lane in lanes), *(lane.receive_all() for lane in lanes))
    account_for(result, (lane.ledger for lane in lanes))


def stop_under_load(run: Run) -> Result:
    """The scenario."""
    result = Result()

    async def rounds() -> list[float]:
        relay = RelayProcess(run.directory, command=command("relay", f"send_buffer={SEND_BUFFER}"))
        ends = []
        with relay:
            for number in range(20 if run.is_long else 1):
                ends.append(await _round(relay, number, run, result))
        look_at_log(result, relay)
        return ends

    ends = asyncio.run(rounds())
    result.figures["longest end, s"] = round(max(ends), 2)
    return result


STOP_UNDER_LOAD = Scenario(
    "stop-under-load",
    "SIGTERM under load, with deaf and slow peers: all are told, exit 0 in 10 s, nothing accepted is lost",
    stop_under_load,
)
