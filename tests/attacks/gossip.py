"""Attacks with device lists that are all genuine: one shown to some and not to others, one that comes back.

Who catches them is whoever hears the account's own words: its messages name its newest list.
"""

from collections.abc import Callable
from typing import Final

from clients.engine import Received
from tests.attacks.attack import Attack, Outcome, Removal, attack
from tests.attacks.evil_relay import EvilRelay
from tests.attacks.hidden_lists import NEWER
from tests.attacks.impostor import Impostor
from tests.attacks.lists import lists
from tests.attacks.offers import SECRET, show
from tests.attacks.stage import WITHIN, Person, Stage
from tests.attacks.stores import keep_copy, put_copy_back
from wire.control import Bundle
from wire.device_lists import DeviceList

DEFENCE: Final = "version and hash of the sender's list travel inside each message"


def _ignoring_claims(original: Callable[..., Received]) -> Callable[..., Received]:
    return lambda engine, sender, content: Received(sender, content)


IGNORING: Final = Removal("clients.engine.Engine._compare_lists", _ignoring_claims)


async def _register(relay: EvilRelay, bob: Person, *devices: Impostor) -> DeviceList:
    """Bob's next list, with these devices beside his own, and the relay holds it."""
    made = lists(bob, *devices)
    await relay.relay.store.register(made)
    return made


async def _with_second_device(stage: Stage, relay: EvilRelay, alice: Person, bob: Person) -> Impostor:
    """Bob has a second device, which Alice knows from the relay and has written to. It will be stolen."""
    second = Impostor()
    second.devices = await _register(relay, bob, second)
    second.state.own_lists[second.devices.version] = second.devices
    prekeys = [prekey.public for prekey in second.state.prekeys.values()]
    await relay.relay.store.publish(second.key, prekeys)
    alice.mailroom.mark_stale(alice.contact(bob).id)
    await alice.send("bob", "to both devices")
    await stage.until(lambda: second.reads(relay.meddler.puts, "to both devices"))
    for each in (bob, alice):  # his receipt names the list of now, not that of later
        await each.flushed(WITHIN)
    return second


@attack(defence=DEFENCE, without=IGNORING)
async def show_two_lists(stage: Stage) -> Outcome:
    """Show one contact that a stolen device was revoked, and another one still the list from before"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    carol = await stage.person("carol", relay)
    stage.acquaint(bob, carol)
    await stage.says(carol, bob, "hello, this is Carol")
    stolen = await _with_second_device(stage, relay, alice, bob)
    old = next(
        said
        for said in reversed(relay.meddler.said)
        if isinstance(said, Bundle) and said.device_list == stolen.devices.encode()
    )
    newest = await _register(relay, bob)
    carol.mailroom.mark_stale(carol.contact(bob).id)
    carol.wake_for(bob)  # before the relay begins: she is shown the truth
    await stage.until(lambda: carol.contact(bob).devices == newest or None)
    show(relay.meddler, lambda bundle: old.model_copy(update={"ref": bundle.ref}))
    assert alice.contact(bob).devices == stolen.devices
    assert not alice.problems()  # nothing gives it away so far
    stage.counts()
    await stage.says(bob, alice, "My old phone was stolen")
    await stage.says(bob, carol, "My old phone was stolen")
    await alice.send("bob", SECRET)
    found: Outcome = await stage.until(
        lambda: stolen.reads(relay.meddler.puts, SECRET) or alice.says(NEWER, "nothing is sent any more", 1)
    )
    assert not carol.problems()
    assert (alice.said, bob.said) == (1, 2)  # one message each way, and one to carol
    return found


@attack(defence=DEFENCE, without=IGNORING)
async def restore_directory(stage: Stage) -> Outcome:
    """Put an old copy of the relay's files back, in which a stolen device is not revoked yet"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    stolen = await _with_second_device(stage, relay, alice, bob)
    for each in (alice, bob):
        await stage.leaves(each)
    relay = await stage.restarted(relay, keep_copy)
    bob = await stage.person("bob", relay)
    newest = await _register(relay, bob)
    assert await _shown(relay, bob) == newest
    await stage.leaves(bob)
    relay = await stage.restarted(relay, put_copy_back)
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    assert await _shown(relay, bob) == stolen.devices  # the relay knows of no revocation any more
    stage.counts()
    await stage.says(bob, alice, "My old phone was stolen")
    await alice.send("bob", SECRET)
    found: Outcome = await stage.until(
        lambda: stolen.reads(relay.meddler.puts, SECRET) or alice.says(NEWER, "nothing is sent any more", 1)
    )
    return stage.each_way(found)


async def _shown(relay: EvilRelay, person: Person) -> DeviceList:
    offer = await relay.relay.store.fetch(person.profile.account.key, False)
    assert offer is not None
    return offer.device_list


ATTACKS: Final[tuple[Attack, ...]] = (show_two_lists, restore_directory)
