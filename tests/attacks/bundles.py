"""Attacks with the keys that a relay hands out: its own, of another kind, old ones, the same one twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from keys.seal import open_envelope
from tests.attacks.attack import Attack, Outcome, Removal, Succeeded, answering, attack, silenced
from tests.attacks.impostor import Impostor
from tests.attacks.offers import (
    DAY,
    FORGED,
    SECRET,
    UNSENT,
    Offered,
    is_sent,
    made_for,
    prekeys_of,
    reads_first,
    show,
    strangers,
    with_prekeys,
)
from tests.attacks.stage import Stage
from tests.attacks.thief import opening_of
from wire.control import Bundle
from wire.prekeys import PrekeyKind


@attack(
    defence="the account key, which is the address, signs the device list",
    without=silenced("clients.mailroom.verify_device_list"),
    fell="iMessage takes a contact's keys from its directory, unless both have switched key verification on "
    "(there since 2023)",
)
async def swap_device_list(stage: Stage) -> Outcome:
    """Answer a fetch with a device list of the relay's own under the victim's account."""
    alice, bob, meddler = await strangers(stage)
    impostor = Impostor.of(bob.profile.account.key)
    show(meddler, lambda bundle: impostor.shown(bundle.ref))
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            impostor.reads(meddler.puts, SECRET)
            or alice.says("signature of the device list does not hold", UNSENT, 0)
        )
    )


@attack(
    defence="each device signs its prekeys",
    without=answering("keys.prekeys.verify", True),
    fell="WhatsApp sealed undelivered messages again for whichever new key its server showed (Boelter, 2016)",
)
async def swap_bundle(stage: Stage) -> Outcome:
    """Hand out the relay's own prekeys, all of them, under a device of the victim's true list."""
    alice, bob, meddler = await strangers(stage)
    impostor = Impostor()
    show(meddler, lambda bundle: with_prekeys(bundle, impostor.bundle().prekeys()))
    await alice.send("bob", SECRET)

    def learnt() -> Succeeded | None:
        for put in meddler.puts:
            opened = open_envelope(put.envelope, put.mailbox, impostor.state.sealing_privates())
            assert opened.device_key == alice.mailbox
        return is_sent(bob, meddler, "the relay opens the seal and knows who writes")

    return await stage.until(lambda: learnt() or alice.says(FORGED, UNSENT, 0))


@attack(
    defence="each device signs its prekeys",
    without=answering("keys.prekeys.verify", True),
)
async def swap_signed_prekey(stage: Stage) -> Outcome:
    """Hand out the relay's own prekeys beside the true sealing key, and steal the victim's store later"""
    alice, bob, meddler = await strangers(stage)
    held: list[Offered] = []

    def swapped(bundle: Bundle) -> Bundle:
        true = prekeys_of(bundle)
        assert true.one_time is not None
        signed, kem, one_time = (made_for(bob, each) for each in (true.signed, true.kem, true.one_time))
        held.append((signed, kem, one_time))
        return with_prekeys(bundle, [signed.public, true.sealing, kem.public, one_time.public])

    show(meddler, swapped)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (held and reads_first(meddler, bob, held[0], "the thief")) or alice.says(FORGED, UNSENT, 0)
    )


def _without_kind(original: Callable[..., bytes]) -> Callable[..., bytes]:
    return lambda kind, *fields: original(PrekeyKind.SIGNED, *fields)


@attack(
    defence="the kind of a prekey is under its signature",
    without=(
        Removal("wire.prekeys.prekey_signed_bytes", _without_kind),
        Removal("keys.prekeys.prekey_signed_bytes", _without_kind),
    ),
)
async def one_time_as_signed(stage: Stage) -> Outcome:
    """Hand a one-time prekey out as the signed one: it is gone after a message, and that cannot be read"""
    alice, bob, meddler = await strangers(stage)

    def confused(bundle: Bundle) -> Bundle:
        true = prekeys_of(bundle)
        assert true.one_time is not None
        return with_prekeys(bundle, [replace(true.one_time, kind=PrekeyKind.SIGNED), true.sealing, true.kem])

    show(meddler, confused)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: is_sent(bob, meddler, "Alice takes it for the signed one") or alice.says(FORGED, UNSENT, 0)
    )


@attack(
    defence="a signed prekey is believed for 90 days",
    without=silenced("keys.prekeys.verify_age"),
)
async def aged_signed_prekey(stage: Stage) -> Outcome:
    """Keep a bundle back and serve it after 91 days, when its private halves may have leaked"""
    alice, bob, meddler = await strangers(stage)
    stage.later(91 * DAY)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            is_sent(bob, meddler, "Alice writes with a key of 91 days ago")
            or alice.says("a signed prekey is over 90 days old", UNSENT, 0)
        )
    )


@attack(
    defence="the newest signed prekey of a device that was ever seen is remembered",
    without=answering("clients.store.state.KeyState.newest_signed", 0),
)
async def roll_signed_prekey_back(stage: Stage) -> Outcome:
    """Serve a signed prekey of last week to a contact who has seen the newer one"""
    alice, bob, meddler = await strangers(stage)
    bob.contacts.add("alice", alice.address)
    old: list[Bundle] = []

    def recorded(bundle: Bundle) -> Bundle:
        old.append(bundle)
        return bundle

    show(meddler, recorded)
    await stage.says(alice, bob, "on the first key")
    await stage.leaves(bob)
    stage.later(8 * DAY)
    bob = await stage.person("bob", stage.relays[0])
    alice.loses_session(bob)
    await stage.says(alice, bob, "on the newer key")
    first, before = prekeys_of(old[0]).signed.id, len(meddler.puts)
    show(meddler, lambda bundle: old[0].model_copy(update={"ref": bundle.ref}))
    alice.loses_session(bob)
    await alice.send("bob", SECRET)

    def begun() -> Succeeded | None:
        openings = [opening_of(put, bob) for put in meddler.puts[before:]]
        is_old = any(each is not None and each.header.signed_id == first for each in openings)
        return Succeeded("Alice begins a session on the older key") if is_old else None

    return await stage.until(
        lambda: begun() or alice.says("an older signed prekey was shown (rollback)", UNSENT, 0)
    )


@attack(
    defence="a one-time private key dies in the transaction that accepts a session",
    without=silenced("clients.store.state.KeyState.spend_prekey"),
)
async def one_time_prekey_twice(stage: Stage) -> Outcome:
    """Hand the same one-time prekeys to two senders"""
    alice, bob, meddler = await strangers(stage)
    relay = stage.relays[0]
    carol = await stage.person("carol", relay)
    carol.contacts.add("bob", bob.address)
    first: list[Bundle] = []

    def repeated(bundle: Bundle) -> Bundle:
        first.append(bundle)
        return first[0].model_copy(update={"ref": bundle.ref})

    show(meddler, repeated)
    await alice.send("bob", "from Alice")
    await stage.until(lambda: len(bob.contacts.requests()) == 1 or None)
    await carol.send("bob", "from Carol")

    def both() -> Succeeded | None:
        is_shared = len(bob.contacts.requests()) == 2
        return Succeeded("two sessions rest on one one-time key") if is_shared else None

    return await stage.until(
        lambda: both() or bob.says("envelopes could not be opened", "the second is not accepted", 2)
    )


ATTACKS: Final[tuple[Attack, ...]] = (
    swap_device_list,
    swap_bundle,
    swap_signed_prekey,
    one_time_as_signed,
    aged_signed_prekey,
    roll_signed_prekey_back,
    one_time_prekey_twice,
)
