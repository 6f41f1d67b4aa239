"""Attacks by a relay that goes on showing an old device list, one that holds a device which was stolen."""

from collections.abc import Callable
from typing import Final

from clients import clock
from tests.attacks.attack import (
    Attack,
    Outcome,
    Removal,
    Succeeded,
    answering,
    attack,
    gained,
)
from tests.attacks.impostor import Impostor
from tests.attacks.lists import lists, writes
from tests.attacks.offers import SECRET, UNSENT, show
from tests.attacks.stage import Stage

NEWER: Final = "has a newer device list than the relay shows"


@attack(
    defence="a newer list travels inside the first message of its new device, and is believed at once",
    without=Removal("clients.engine.Engine._judge_list", lambda original: lambda *seen: seen[2] is None),
)
async def hide_revocation(stage: Stage) -> Outcome:
    """Hide that a stolen device was revoked, and let the thief go on writing with it"""
    relay = await stage.relay()
    alice, stolen = await stage.pair(relay)
    account, new = stolen.profile.account, Impostor()
    new.forge(account.key, after=stolen.profile.device_list, seed=account.seed)  # which the relay never shows
    await writes(new, stage, alice, "My laptop was stolen. This is my new device.")
    await stage.until(lambda: len(alice.texts(stolen)) == 2 or None)
    stage.counts()
    await stolen.send("alice", "Please send me the password once more.")

    def believed() -> Succeeded | None:
        return Succeeded("Alice hears the thief as Bob") if len(alice.texts(stolen)) == 3 else None

    refused = "the stolen device is not heard any more"
    return stage.each_way(
        await stage.until(lambda: believed() or alice.says("could not be opened", refused, 2))
    )


@attack(
    defence="nothing is sealed for a contact who is known to have a newer list, before the relay shows it",
    without=answering("clients.envelopes.Envelopes.needs_refresh", False),
)
async def hide_lists_between(stage: Stage) -> Outcome:
    """Hide the lists between the known one and that of a new device, so that this one cannot be followed"""
    relay = await stage.relay()
    alice, stolen = await stage.pair(relay)
    account, new, genuine = stolen.profile.account, Impostor(), stolen.profile.device_list
    second = account.sign_device_list(genuine.devices, clock.now_seconds(), genuine)
    new.forge(account.key, after=second, seed=account.seed)
    await writes(new, stage, alice, "My laptop was stolen. This is my new device.")
    await stage.until(lambda: alice.contact(stolen).is_stale or None)
    stage.counts()
    before = len(stolen.texts(alice))
    await alice.send("bob", SECRET)

    def read() -> Succeeded | None:
        return gained(len(stolen.texts(alice)) > before, "Alice writes to the thief")

    return stage.each_way(await stage.until(lambda: read() or alice.says(NEWER, UNSENT, 1)))


def _whichever(original: Callable[..., None]) -> Callable[..., None]:
    return lambda contacts, account_key, version: original(contacts, account_key, 2**63 - 1)


@attack(
    defence="a list that a message names is waited for, however often the relay shows the one before",
    without=Removal("clients.store.contacts.Contacts.list_shown", _whichever),
)
async def hide_named_list(stage: Stage) -> Outcome:
    """Go on showing a list with a stolen device in it, though its owner's messages name the next one"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    stolen = Impostor()
    stolen.devices = before = lists(bob, stolen)
    stolen.state.own_lists[before.version] = before
    show(relay.meddler, lambda bundle: stolen.shown(bundle.ref, *bundle.devices))
    alice.mailroom.mark_stale(alice.contact(bob).id)
    await alice.send("bob", "to both devices")
    await stage.until(lambda: stolen.reads(relay.meddler.puts, "to both devices"))
    lists(bob)  # the stolen device is revoked
    stage.counts()
    await stage.says(bob, alice, "I have but one device again")
    await alice.send("bob", SECRET)
    found: Outcome = await stage.until(
        lambda: stolen.reads(relay.meddler.puts, SECRET) or alice.says(NEWER, "nothing is sent any more", 1)
    )
    return stage.each_way(found)


ATTACKS: Final[tuple[Attack, ...]] = (hide_revocation, hide_lists_between, hide_named_list)
