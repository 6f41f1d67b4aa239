"""Attacks with device lists: forged, rolled back, shown differently to two, hidden, with another's device."""

import os
from collections.abc import Callable
from typing import Final

from clients import clock
from clients.engine import Draft, Received
from keys.content import MESSAGE_ID, Kind
from keys.errors import VerificationError
from keys.handshake import Party
from keys.primitives import verify
from relay.answers import bundle_message
from tests.attacks.attack import (
    Attack,
    Caught,
    Outcome,
    Removal,
    Succeeded,
    attack,
    gained,
    silenced,
)
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.impostor import Impostor
from tests.attacks.offers import SECRET, UNSENT, show
from tests.attacks.stage import Person, Stage
from wire.control import Bundle, ControlMessage, Welcome
from wire.device_lists import DeviceList
from wire.prekeys import decode_device_bundle

STRANGER: Final = "signature of the device list does not hold"


def lists(person: Person, *devices: Impostor) -> DeviceList:
    """A new version of a person's own list, with these devices beside its own; its client knows it."""
    profile = person.profile
    entries = (device.device.entry(profile.account.key) for device in devices)
    own = profile.device.entry(profile.account.key)
    made = profile.account.sign_device_list((own, *entries), clock.now_seconds(), profile.device_list)
    profile.keep_list(made)
    return made


async def fetched(stage: Stage, person: Person) -> Bundle:
    """What the relay holds of a person, with one-time prekeys."""
    bundle = bundle_message(0, await stage.relays[0].relay.store.fetch(person.profile.account.key, True))
    assert isinstance(bundle, Bundle)
    return bundle


async def writes(new: Impostor, stage: Stage, to: Person, text: str) -> None:
    """The first message of a device that no relay has heard of, with its list in it."""
    (device,) = (await fetched(stage, to)).devices
    now, devices = clock.now_seconds(), to.profile.device_list
    party = Party(devices, devices.devices[0])
    prekeys = decode_device_bundle(device.device_key, device.prekeys)
    new.state.pin(devices)
    new.engine.learn_bundle(party, prekeys, now)
    new.engine.start_session(new.devices, party, prekeys, now)
    draft = Draft(Kind.TEXT, os.urandom(MESSAGE_ID), text.encode(), now * 1000)
    for envelope in new.engine.write(new.devices, to.mailbox, [draft])[0].envelopes:
        await stage.relays[0].inject(to.mailbox, envelope, os.urandom(16))


@attack(
    defence="the account key signs every device that is added",
    without=silenced("clients.mailroom.verify_device_list"),
    fell="Matrix: a homeserver could add devices to its users (Albrecht et al., 2022)",
)
async def ghost_device(stage: Stage) -> Outcome:
    """Add a device of the relay's own to the list of a contact of long standing"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    genuine = bob.profile.device_list
    ghost = Impostor.of(genuine.account_key, *genuine.devices, after=genuine)
    show(relay.meddler, lambda bundle: ghost.shown(bundle.ref, *bundle.devices))
    alice.mailroom.mark_stale(alice.contact(bob).id)  # as after a frame for a mailbox that is gone
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: ghost.reads(relay.meddler.puts, SECRET) or alice.says(STRANGER, UNSENT, 0)
    )


@attack(
    defence="the list in a first message must be signed by its account",
    without=silenced("clients.engine.verify_device_list"),
)
async def forged_opening(stage: Stage) -> Outcome:
    """Begin a session as a contact's new device, with a list that the contact has not signed"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    genuine = bob.profile.device_list
    ghost = Impostor.of(genuine.account_key, *genuine.devices, after=genuine)
    await writes(ghost, stage, alice, "It is me, Bob")
    return await stage.until(
        lambda: (
            gained("It is me, Bob" in alice.texts(bob), "Alice takes the relay's words for Bob's")
            or alice.says("could not be opened", "counted, and without any effect", 1)
        )
    )


@attack(
    defence="a client believes of its own list, too, only what its account has signed",
    without=silenced("clients.enrolment.verify_device_list"),
)
async def ghost_in_own_list(stage: Stage) -> Outcome:
    """Tell a client that it is not registered, and show it its own list with a device more"""
    relay = await stage.relay()
    bob = await stage.person("bob", relay)
    genuine = bob.profile.device_list
    ghost = Impostor.of(genuine.account_key, *genuine.devices, after=genuine)
    await stage.leaves(bob)

    def on_say(connection: EvilConnection, message: ControlMessage) -> tuple[ControlMessage]:
        if isinstance(message, Welcome):
            return (message.model_copy(update={"registered": False}),)
        return (ghost.shown(message.ref, *message.devices) if isinstance(message, Bundle) else message,)

    relay.meddler.on_say = on_say
    bob = await stage.opened("bob", relay)
    return await stage.until(
        lambda: (
            gained(bob.profile.device_list == ghost.devices, "Bob takes up a device that is not his")
            or bob.says("as the device list of your own account does not hold", UNSENT, 0)
        )
    )


@attack(
    defence="a list is followed only by its signed successor",
    without=silenced("clients.mailroom.verify_chain"),
)
async def roll_device_list_back(stage: Stage) -> Outcome:
    """Show a contact the list of before a stolen device was revoked"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    stolen = Impostor()
    stolen.devices = before = lists(bob, stolen)
    stolen.state.own_lists[before.version] = before
    for newer in (before, lists(bob)):
        told = Bundle(ref=0, device_list=newer.encode(), devices=[])
        alice.mailroom.learn_bundle(alice.contact(bob), told, begin=False)
    show(relay.meddler, lambda bundle: stolen.shown(bundle.ref, *bundle.devices))
    alice.mailroom.mark_stale(alice.contact(bob).id)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: stolen.reads(relay.meddler.puts, SECRET) or alice.says("ALARM", "alarm; nothing is sent", 0)
    )


def _ignoring_claims(original: Callable[..., Received]) -> Callable[..., Received]:
    return lambda engine, sender, content: Received(sender, content)


@attack(
    defence="version and hash of the sender's list travel inside each message",
    without=Removal("clients.engine.Engine._compare_lists", _ignoring_claims),
    fell="WhatsApp and iMessage had nothing but comparing by hand before their transparency logs (2023)",
)
async def split_view(stage: Stage) -> Outcome:
    """Show one contact another list than everybody else, signed with a stolen account key"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    genuine, ghost = bob.profile.device_list, Impostor()
    seed = bob.profile.account.seed
    ghost.forge(genuine.account_key, *genuine.devices, after=genuine, seed=seed)
    lists(bob, Impostor())  # what all others are shown
    stage.counts()
    show(relay.meddler, lambda bundle: ghost.shown(bundle.ref, *bundle.devices))
    alice.mailroom.mark_stale(alice.contact(bob).id)
    alice.wake_for(bob)
    await stage.until(lambda: not alice.contact(bob).is_stale or None)
    await bob.send("alice", "I have a second device now")
    caught = await stage.until(
        lambda: (
            alice.says("show different device lists", "alarm; nothing more is sent", 1)
            or gained(len(alice.texts(bob)) == 2, "")
            or None
        )
    )
    if isinstance(caught, Caught):
        return stage.each_way(caught)
    await alice.send("bob", SECRET)
    return await stage.until(lambda: ghost.reads(relay.meddler.puts, SECRET))


def _accounts_signature_only(original: object) -> Callable[[DeviceList, bytes], None]:
    def check(devices: DeviceList, account_key: bytes) -> None:
        if not verify(account_key, devices.signed_bytes(), devices.signature):
            raise VerificationError("not signed")

    return check


@attack(
    defence="each device signs its own entry, with the account's key in it",
    without=Removal("clients.mailroom.verify_device_list", _accounts_signature_only),
    fell="TextSecure let somebody pass off another's key as his own (unknown key share; Frosch et al., 2014)",
)
async def list_anothers_device(stage: Stage) -> Outcome:
    """List somebody else's device as one's own, so that its owner is taken for somebody else"""
    relay = await stage.relay()
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    mallory = await stage.person("mallory", relay)
    (theirs,) = alice.profile.device_list.devices
    profile = mallory.profile
    own = profile.device.entry(profile.account.key)
    both = profile.account.sign_device_list((own, theirs), clock.now_seconds(), profile.device_list)
    (hers,) = (await fetched(stage, alice)).devices

    def joined(bundle: Bundle) -> Bundle:
        return bundle.model_copy(update={"device_list": both.encode(), "devices": [*bundle.devices, hers]})

    show(relay.meddler, joined)
    bob.contacts.add("mallory", mallory.address)
    await bob.send("mallory", "Hello, Mallory")
    caught = await stage.until(
        lambda: (
            bob.says("did not sign its entry", UNSENT, 0)
            or gained(any(put.mailbox == mallory.mailbox for put in relay.meddler.puts), "")
            or None
        )
    )
    if isinstance(caught, Caught):
        return caught
    relay.meddler.on_say = lambda connection, message: (message,)
    alice.contacts.add("bob", bob.address)
    await alice.send("bob", "Hello, Bob")
    refused = "Bob takes nothing from Alice, whose device is Mallory's to him"
    return await stage.until(
        lambda: Succeeded(refused) if bob.mailroom.undecryptable and not bob.contacts.requests() else None
    )


ATTACKS: Final[tuple[Attack, ...]] = (
    ghost_device,
    forged_opening,
    ghost_in_own_list,
    roll_device_list_back,
    split_view,
    list_anothers_device,
)
