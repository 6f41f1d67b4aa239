"""What a relay hands out in the place of a true bundle, and what comes of it.

Owns the changes to answers of a relay, and the reading of a first message with keys that are known. Knows no
attack by name.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final

from keys.prekeys import PrivatePrekey, generate_prekey
from tests.attacks.attack import Succeeded
from tests.attacks.evil_relay import EvilConnection, Meddler
from tests.attacks.impostor import Impostor
from tests.attacks.stage import Person, Stage
from tests.attacks.thief import opening_of
from wire.control import Bundle, ControlMessage, OfferedDevice
from wire.prekeys import DeviceBundle, Prekey, PrekeyKind, decode_device_bundle

SECRET: Final = "for Bob's eyes only"
DAY: Final = 86_400
UNSENT: Final = "refused before anything is sent"
FORGED: Final = "the signature of a prekey does not hold"
Offered = tuple[PrivatePrekey, PrivatePrekey, PrivatePrekey | None]


def show(meddler: Meddler, altered: Callable[[Bundle], Bundle]) -> None:
    """Answer each fetch with what is made of the true answer."""

    def on_say(connection: EvilConnection, message: ControlMessage) -> tuple[ControlMessage]:
        return (altered(message) if isinstance(message, Bundle) else message,)

    meddler.on_say = on_say


def with_prekeys(bundle: Bundle, prekeys: Sequence[Prekey]) -> Bundle:
    """The answer, with these prekeys for its one device."""
    (device,) = bundle.devices
    offered = OfferedDevice(device_key=device.device_key, prekeys=[prekey.encode() for prekey in prekeys])
    return bundle.model_copy(update={"devices": [offered]})


def prekeys_of(bundle: Bundle) -> DeviceBundle:
    """The prekeys of its one device, as they are."""
    (device,) = bundle.devices
    return decode_device_bundle(device.device_key, device.prekeys)


async def strangers(stage: Stage) -> tuple[Person, Person, Meddler]:
    """Alice, who has Bob's address and has never fetched his keys; and whoever sits in their relay."""
    relay = await stage.relay()
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    alice.contacts.add("bob", bob.address)
    return alice, bob, relay.meddler


def is_sent(person: Person, meddler: Meddler, what: str) -> Succeeded | None:
    """Whether a frame was put into that person's mailbox."""
    return Succeeded(what) if any(put.mailbox == person.mailbox for put in meddler.puts) else None


def made_for(person: Person, prekey: Prekey) -> PrivatePrekey:
    """A prekey of the same kind, id and age, whose private half the relay has; the signature is another's."""
    made = generate_prekey(Impostor().device, prekey.kind, prekey.id, prekey.created, os.urandom)
    assert made.public.kind is prekey.kind
    return made


def held_by(person: Person, bundle: DeviceBundle) -> Offered:
    """The private halves of what a bundle offers, in the order signed, KEM, one-time."""
    state = person.mailroom.state
    signed = state.private_prekey(PrekeyKind.SIGNED, bundle.signed.id)
    kem = state.private_prekey(bundle.kem.kind, bundle.kem.id)
    assert signed is not None
    assert kem is not None
    one_time = bundle.one_time and state.private_prekey(PrekeyKind.ONE_TIME, bundle.one_time.id)
    return signed, kem, one_time or None


def reads_first(meddler: Meddler, victim: Person, held: Offered, who: str) -> Succeeded | None:
    """Whether whoever has the victim's identity key and these private prekeys reads the first message."""
    for put in meddler.puts:
        opening = opening_of(put, victim)
        if opening is not None and opening.text(victim, *held) == SECRET:
            return Succeeded(f"{who} reads the recorded message")
    return None
