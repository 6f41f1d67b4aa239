"""Attacks with stores of another time: a relay's put back, a client's put back."""

import shutil
from pathlib import Path
from typing import Final

from clients.model import MessageStatus
from keys.primitives import KEY
from tests.attacks.attack import Attack, Caught, Outcome, Succeeded, answering, attack, silenced
from tests.attacks.stage import WITHIN, Person, Stage
from tests.attacks.thief import opening_of, unsealed
from wire.frames import Put

ANEW: Final = "This profile is an older copy of itself"
LOST: Final = ("accepted and lost 1", "accepted and lost 2")


def keep_copy(directory: Path) -> None:
    """Copy it as it is now."""
    shutil.copytree(directory, directory.with_suffix(".copy"))


def put_copy_back(directory: Path) -> None:
    """Make it what it was when it was copied."""
    shutil.rmtree(directory)
    shutil.copytree(directory.with_suffix(".copy"), directory)


@attack(
    defence="each side counts: gaps are asked for, and what has no receipt is sent again",
    without=(silenced("clients.repair.Repair.arrived"), silenced("clients.repair.Repair._lacking")),
)
async def restore_relay(stage: Stage) -> Outcome:
    """Put an old copy of the relay's database back, in which accepted messages are not there yet"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    for each in (alice, bob):
        await stage.leaves(each)
    relay = await stage.restarted(relay, keep_copy)
    alice = await stage.person("alice", relay)
    lost = [await alice.send("bob", text) for text in LOST]
    await stage.until(lambda: all(alice.status(id)[0] is MessageStatus.ACCEPTED for id in lost) or None)
    await stage.leaves(alice)
    relay = await stage.restarted(relay, put_copy_back)
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    last = await alice.send("bob", "sent afterwards")
    await stage.until(lambda: alice.status(last)[0] is MessageStatus.DELIVERED or None)
    for _ in range(2):  # both have said all that they owe each other
        for each in (alice, bob):
            await each.flushed(WITHIN)
    if set(LOST) <= set(bob.texts(alice)):
        return Caught("bob, alice", "what is missing is sent again, in order", 3)
    return Succeeded("two accepted messages are missing, and nobody asks for them")


def place_of(put: Put, reader: Person) -> bytes | None:
    """Ratchet key and number of the message in a frame: with these, its place in all chains."""
    opened, opening = unsealed(put, reader), opening_of(put, reader)
    if opened is None:
        return None
    message = opened.inner if opening is None else opening.message
    return message[:KEY] + message[KEY + 4 : KEY + 8]


@attack(
    defence="a client leaves checkpoints at its relay, and knows by them that it is an old copy",
    without=answering("clients.checkpoints.Checkpoints.judge", False),
    fell="Conversations (OMEMO): after an old backup was put back, messages were shown as sent and lost",
)
async def old_copy_put_back(stage: Stage) -> Outcome:
    """Put an old copy of a profile back, so that it encrypts with keys that it has used before"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    await stage.leaves(alice)  # nothing of hers makes the ratchet step meanwhile

    async def sent(text: str) -> Person:
        bob = await stage.person("bob", relay)
        said = await bob.send("alice", text)
        assert await bob.wait(said, MessageStatus.ACCEPTED, WITHIN) is MessageStatus.ACCEPTED
        return bob

    await stage.leaves(bob)
    await stage.leaves(await sent("before the copy is made"))
    keep_copy(stage.profile_of("bob"))
    await stage.leaves(await sent("after the copy was made"))
    put_copy_back(stage.profile_of("bob"))
    bob = await sent("from the copy")
    alice = await stage.person("alice", relay)
    places = [place_of(put, alice) for put in relay.meddler.puts if put.mailbox == alice.mailbox]
    if len({*places}) < len(places):
        return Succeeded("two messages are encrypted in one place of a chain")
    caught = bob.says(ANEW, "known at the login; goes on in new sessions", 1)
    assert caught is not None
    return caught


ATTACKS: Final[tuple[Attack, ...]] = (restore_relay, old_copy_put_back)
