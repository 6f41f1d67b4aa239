"""The relay is killed while prekeys are taken, before the commit and after it: no key is handed out twice.

Raw protocol: a device publishes one-time keys, and several takers ask at once until the relay dies. A key
that was taken and never answered is gone, which is all that a kill may cost.
"""

import asyncio
import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Final

from clients.connection import dial
from clients.errors import RelayError
from keys.identities import Account, Device
from keys.prekeys import generate_prekey
from tests.faults.child import command
from tests.faults.kill_points import TAKES
from tests.faults.mutations import mutations_for
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.faults.town import NEIGHBOURS
from tests.support.relay_process import RelayProcess
from wire.addresses import RelayUrl
from wire.control import Bundle, Fetch, Publish, Published, Register, Registered
from wire.login import Mode
from wire.prekeys import LASTING_KINDS, ONE_TIME_KINDS, PrekeyKind, decode_prekey

HITS: Final = 4
HITS_LONG: Final = 50
TAKERS: Final = 3
KEYS: Final = 20  # of each one-time kind
LIVES: Final = 4  # of the relay for each device, so that its keys last
PASSAGES: Final = 5  # takes before the kill at most: fewer than one neighbour may take in a burst
STRUCK_WITHIN: Final = 30.0
Key = tuple[PrekeyKind, int]


class Owner:
    """A device whose keys are taken."""

    def __init__(self) -> None:
        self.account = Account.generate(os.urandom)
        self.device = Device.generate(os.urandom, int(time.time()))
        self.handed: Counter[Key] = Counter()

    async def publish(self, relay: RelayUrl) -> None:
        """Register, and offer keys."""
        now = int(time.time())
        devices = self.account.sign_device_list((self.device.entry(self.account.key),), now)
        kinds = [(kind, 1) for kind in LASTING_KINDS]
        kinds += [(kind, number + 1) for kind in ONE_TIME_KINDS for number in range(KEYS)]
        encoded = [
            generate_prekey(self.device, kind, id, now, os.urandom).public.encode() for kind, id in kinds
        ]
        async with dial(relay, Mode.DEVICE, None, os.urandom) as connection:
            await connection.log_in(self.device)
            await connection.send(Register(ref=0, device_list=devices.encode()))
            await connection.expect(Registered)
            for first in range(0, len(encoded), KEYS):
                await connection.send(Publish(ref=1, prekeys=encoded[first : first + KEYS]))
                await connection.expect(Published)

    async def take(self, relay: RelayUrl) -> None:
        """Ask for the bundle until the relay dies, and count what was handed out."""
        with contextlib.suppress(RelayError):
            async with dial(relay, Mode.SUBMIT, None, os.urandom) as connection:
                while True:
                    await connection.send(Fetch(ref=0, account_key=self.account.key, take=True))
                    for device in (await connection.expect(Bundle)).devices:
                        keys = [decode_prekey(prekey) for prekey in device.prekeys]
                        self.handed.update((key.kind, key.id) for key in keys if key.kind in ONE_TIME_KINDS)


async def _life(relay: RelayProcess, patches: tuple[str, ...], owner: Owner, publishes: bool) -> int:
    """Start the relay and take keys until it is killed; its exit code."""
    relay._command = command("relay", *patches)
    await asyncio.to_thread(relay.start)
    url = RelayUrl.parse(relay.origin)
    try:
        if publishes:
            await owner.publish(url)
        async with asyncio.timeout(STRUCK_WITHIN):
            await asyncio.gather(*(owner.take(url) for _ in range(TAKERS)))
            return await asyncio.to_thread(relay.wait)
    finally:
        relay.kill()


async def _run(run: Run) -> Result:
    hits: Path = run.directory / "hits"
    chances = run.random()
    mutated = mutations_for("relay", run.mutations)
    schedule = [point for point in TAKES for _ in range(HITS_LONG if run.is_long else HITS)]
    chances.shuffle(schedule)
    relay = RelayProcess(run.directory, settings=NEIGHBOURS)
    owners: list[Owner] = []
    result = Result()
    for number, point in enumerate(schedule):
        if is_new := number % LIVES == 0:
            owners.append(Owner())
        passage = chances.randint(1, PASSAGES)
        patch = f"kill={point}:{passage}:{hits}"
        code = await _life(relay, (*mutated, patch), owners[-1], is_new)
        run.note("kill", point=point, passage=passage, code=code)
    counts = Counter(hits.read_text().split()) if hits.exists() else Counter()
    result.faults.update({f"kill {point}": count for point, count in counts.items()})
    for point in TAKES:
        if counts[point] < schedule.count(point):
            result.problems.append(f"{point} was hit {counts[point]} times, not {schedule.count(point)}")
    handed = [count for owner in owners for count in owner.handed.values()]
    twice = sum(count > 1 for count in handed)
    if twice:
        result.duplicated += twice
        result.problems.append(f"{twice} one-time prekeys were handed out twice")
    if not handed:
        result.problems.append("no one-time prekey was handed out at all")
    if "Traceback" in relay.log:
        result.problems.append(f"the relay printed a traceback: {relay.log_path}")
    result.figures["one-time prekeys handed out"] = len(handed)
    return result


PREKEY_TAKES: Final = Scenario(
    "prekey-takes", "killed while prekeys are taken: none twice", lambda run: asyncio.run(_run(run))
)
