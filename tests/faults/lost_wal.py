"""A -wal file that is cut or gone, an older database put back: it is told, and nothing else goes wrong.

Owns the scenario. It plays the operator who loses a file: no relay can keep what its disk does not have. But
the start says how much is missing, whatever is put afterwards reaches a device that has acknowledged further
already, and what was accepted before the damage and is still there is handed out as it was.
"""

import asyncio
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from relay.store.sqlite import MARK_EVERY
from tests.faults.frames import Lane, account_for, look_at_log, store_size
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.support.relay_process import RelayProcess

TOLD = re.compile(r"at least (\d+) commits that were answered, (\d+) accepted frames")


def _cut(wal: Path, chance: random.Random) -> None:
    with wal.open("r+b") as file:
        file.truncate(chance.randrange(0, wal.stat().st_size))


def _damage_byte(wal: Path, chance: random.Random) -> None:
    place = chance.randrange(32, wal.stat().st_size)
    with wal.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes((byte ^ 1 << chance.randrange(8),)))


def _remove(wal: Path, chance: random.Random) -> None:
    wal.unlink()


LOSSES: dict[str, Callable[[Path, random.Random], None]] = {
    "wal removed": _remove,
    "wal cut": _cut,
    "wal with a flipped bit": _damage_byte,
}


async def _before(lane: Lane, count: int) -> None:
    """Frames that are put; the device takes and acknowledges half of them."""
    lane.ledger.add(count)
    await lane.put_all()
    enough = len(lane.ledger.kept) + count // 2
    await lane.receive_until(lambda: len(lane.ledger.kept) >= enough)


async def _after(lane: Lane) -> int:
    """What the device still gets of before, then everything that is put now; returns how many are gone."""
    before = set(lane.ledger.accepted)
    lane.ledger.add(50)
    async with asyncio.timeout(30):
        await lane.put_all()
        new = lane.ledger.accepted - before
        await lane.receive_until(lambda: new <= lane.ledger.has)
    gone = before - lane.ledger.has
    for frame_id in gone:
        lane.ledger.accepted.discard(frame_id)
        del lane.ledger.frames[frame_id]
    return len(gone)


async def _loss(
    relay: RelayProcess,
    lanes: list[Lane],
    kind: str,
    copy: Path,
    chance: random.Random,
    result: Result,
) -> None:
    database = relay.data_dir / "relay.db"
    wal = database.with_name(database.name + "-wal")
    relay.start()
    await asyncio.gather(*(_before(lane, 60) for lane in lanes))
    if kind == "older copy":
        relay.terminate()
        shutil.copy(database, copy)
        relay.start()
        await asyncio.gather(*(_before(lane, 60) for lane in lanes))
    await asyncio.sleep(MARK_EVERY + 0.2)  # what the mark has not seen is not noticed
    if not wal.stat().st_size:  # the sweep after a start has emptied it, and there would be nothing to lose
        await asyncio.gather(*(_before(lane, 60) for lane in lanes))
        await asyncio.sleep(MARK_EVERY + 0.2)
    relay.kill()
    if kind == "older copy":
        shutil.copy(copy, database)
        for rest in ("-wal", "-shm"):
            database.with_name(database.name + rest).unlink(missing_ok=True)
    else:
        LOSSES[kind](wal, chance)
    result.faults[kind] += 1
    said = len(relay.log)
    relay.start()
    told = TOLD.search(relay.log[said:])
    gone = sum(await asyncio.gather(*(_after(lane) for lane in lanes)))
    counted = int(told[2]) if told else 0
    result.figures[f"{kind}: frames gone / told"] = f"{gone} / {counted}"
    # Frames that are gone were acknowledged in part: the relay counts all that were accepted.
    if gone and not told:
        result.problems.append(f"{kind}: {gone} accepted frames are gone, and nobody was told")
    if gone > counted:
        result.problems.append(f"{kind}: {gone} accepted frames are gone, {counted} were told")
    relay.kill()


def lost_wal(run: Run) -> Result:
    """The scenario."""
    result = Result()
    chance = run.random()

    async def losses() -> list[Lane]:
        relay = RelayProcess(run.directory)
        relay.start()
        lanes = [Lane(relay.url, source=f"127.0.6.{number + 1}", acknowledge_every=8) for number in range(3)]
        for lane in lanes:
            await lane.open()
        relay.terminate()
        for _ in range(20 if run.is_long else 1):
            for kind in (*LOSSES, "older copy"):
                await _loss(relay, lanes, kind, run.directory / "copy.db", chance, result)
        result.largest_store = store_size(relay.data_dir)
        look_at_log(result, relay)
        return lanes

    lanes = asyncio.run(losses())
    account_for(result, (lane.ledger for lane in lanes))
    return result


LOST_WAL = Scenario(
    "lost-wal",
    "a -wal file cut or gone, an older copy put back: told with its count, and no later frame is missed",
    lost_wal,
)
