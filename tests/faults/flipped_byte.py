"""One flipped bit in the database or its -wal file: never a wrong envelope as if it were good, never silence.

Owns the sweep over the files of a stopped relay. After each flip the store is opened as a start opens it, and
all that it holds is read. Every frame must be right or marked; otherwise the start must refuse in words, or
the store must say that it is damaged.
"""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from relay.store.base import NewFrame, Offer, StoreUnusableError
from relay.store.sqlite import SqliteStore
from tests.faults.result import Result
from tests.faults.scenario import Run, Scenario
from tests.relay.devices import ALLOWED, HELD, Account, envelope
from wire.errors import WireError

MAILBOXES, FRAMES = 3, 24
PAGE = 4096
IN_HEAD, ANYWHERE = 1, 3  # flips per page by default: in its first bytes, and in all of it
ALL = ("relay.db", "relay.db-wal", "relay.mark")
# What lies beside each flipped file: where there is a -wal file, its pages hide those of the database.
BESIDE = {"relay.db": ("relay.db", "relay.mark"), "relay.db-wal": ALL, "relay.mark": ALL}


@dataclass(frozen=True)
class Content:
    """What the store held before the flip."""

    accounts: tuple[Account, ...]
    frames: dict[bytes, tuple[NewFrame, ...]]  # by device key
    offers: dict[bytes, Offer | None]  # by account key


async def _fill(directory: Path, killed: Path) -> Content:
    """A store that was closed, all in its database; and in `killed` as a kill would leave it, half of it in
    the -wal file.
    """
    accounts = tuple(Account() for _ in range(MAILBOXES))
    frames: dict[bytes, tuple[NewFrame, ...]] = {}
    store = SqliteStore.open(directory / "relay.db")
    for account in accounts:
        await store.register(account.list())
        await store.allow(account.device.key, ALLOWED)
        await store.publish(account.device.key, account.device.lasting())
    halves = []
    for _ in range(2):
        for account in accounts:
            new = tuple(NewFrame(os.urandom(16), envelope()) for _ in range(FRAMES // 2))
            frames[account.device.key] = frames.get(account.device.key, ()) + new
            await store.put(account.device.key, new, int(time.time()), HELD)
        halves.append(store)
        if len(halves) == 1:
            await store.close()
            store = SqliteStore.open(directory / "relay.db")
    await store._write_mark()
    offers = {account.key: await store.fetch(account.key, take=False) for account in accounts}
    for name in ALL:
        shutil.copy(directory / name, killed / name)
    await store.close()
    return Content(accounts, frames, offers)


async def _look(place: Path, content: Content) -> str:
    """What somebody would see of this store. The words are the classes that are counted."""
    said: list[str] = []
    try:
        store = SqliteStore.open(
            place / "relay.db", log=lambda event, reason: said.append(f"{event}: {reason}")
        )
    except StoreUnusableError:
        return "refused"
    try:
        seen = [await _look_at_mailbox(store, account, content) for account in content.accounts]
        seen += [await _look_at_offer(store, account, content) for account in content.accounts]
    finally:
        await store.close()
    for word in ("WRONG", "silent"):
        if word in seen:
            return word if word == "WRONG" or not said else "told"
    if set(seen) == {"whole"}:
        return "told" if said else "nothing visible"
    return "stopped" if "stopped" in seen else "marked"


async def _look_at_mailbox(store: SqliteStore, account: Account, content: Content) -> str:
    expected = content.frames[account.device.key]
    found, marked, after = [], 0, 0
    try:
        while True:
            frames = await store.pull(account.device.key, after, 256, 1 << 20)
            if not frames:
                break
            for frame in frames:
                after = frame.sequence
                if frame.is_damaged:
                    marked += 1
                else:
                    found.append(NewFrame(frame.frame_id, frame.envelope))
        status = await store.status(account.device.key)
    except WireError:
        return "stopped"
    if any(frame not in expected for frame in found) or found != [f for f in expected if f in found]:
        return "WRONG"
    if len(found) == len(expected) and status.registered:
        return "whole"
    told = marked + status.expired
    return "marked" if len(found) + told >= len(expected) and status.registered else "silent"


async def _look_at_offer(store: SqliteStore, account: Account, content: Content) -> str:
    try:
        offer = await store.fetch(account.key, take=False)
    except WireError:
        return "stopped"
    # Bundles are signed: a client notices another one. A missing one is silence.
    return "silent" if offer is None else "whole"


def _places(size: int, chance: random.Random, is_long: bool) -> Iterable[int]:
    """Where to flip: every fourth byte in the long run, else some of each page, its head above all."""
    if is_long:
        yield from range(chance.randrange(4), size, 4)
        return
    for start in range(0, size, PAGE):
        yield from (start + chance.randrange(min(16, size - start)) for _ in range(IN_HEAD))
        yield from (start + chance.randrange(min(PAGE, size - start)) for _ in range(ANYWHERE))


def _flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes((byte ^ (1 << bit),)))


def flipped_byte(run: Run) -> Result:
    """The scenario."""
    result, chance = Result(), run.random()
    seen: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="blindpost-flips-") as temporary:
        closed, killed, place = (Path(temporary) / each for each in ("closed", "killed", "place"))
        for each in (closed, killed, place):
            each.mkdir()
        content = asyncio.run(_fill(closed, killed))
        result.messages = MAILBOXES * FRAMES
        for file, beside in BESIDE.items():
            kept = killed if "relay.db-wal" in beside else closed
            classes = seen.setdefault(file, Counter())
            for offset in _places((kept / file).stat().st_size, chance, run.is_long):
                for old in place.iterdir():
                    old.unlink()
                for fresh in beside:
                    shutil.copy(kept / fresh, place / fresh)
                bit = chance.randrange(8)
                _flip(place / file, offset, bit)
                try:
                    what = asyncio.run(_look(place, content))
                except Exception as error:
                    what = f"{type(error).__name__}"
                classes[what] += 1
                result.faults["flipped bit"] += 1
                if what not in ("refused", "nothing visible", "told", "marked", "stopped"):
                    result.problems.append(f"{file}, byte {offset}, bit {bit}: {what}")
    for file_name, classes in seen.items():
        result.figures[file_name] = ", ".join(f"{what} {count}" for what, count in classes.most_common())
    return result


FLIPPED_BYTE = Scenario(
    "flipped-byte",
    "a bit flipped anywhere in the store's files: refused, marked or told; no wrong frame, no silence",
    flipped_byte,
)
