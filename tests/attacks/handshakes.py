"""Attacks on the first message and on the seal: replayed, forged, from another sender than it says."""

import os
from dataclasses import dataclass
from typing import Final, cast

from clients.engine import Engine
from keys.handshake import Party
from keys.identities import Device
from keys.seal import InnerType, Opened, seal
from tests.attacks.attack import Attack, Outcome, Removal, Succeeded, answering, attack, gained
from tests.attacks.stage import Person, Stage
from tests.attacks.thief import opening_of
from wire.control import ClientMessage, Fetch

REPAIRED: Final = "The session is made anew"
IGNORED: Final = "could not be opened"


@attack(
    defence="a handshake is accepted once, and that is remembered as long as its prekeys live",
    without=answering("clients.store.state.KeyState.spend_handshake", True),
    fell="WPA2 took a replayed handshake message and began again with a used key (KRACK, 2017)",
)
async def replay_first_message(stage: Stage) -> Outcome:
    """Deliver an old first message once more, when its session and its hash are forgotten"""
    relay = await stage.relay()
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    stage.acquaint(alice, bob)

    def without_one_time(connection: object, message: ClientMessage) -> ClientMessage:
        return message.model_copy(update={"take": False}) if isinstance(message, Fetch) else message

    relay.meddler.on_hear = without_one_time
    await stage.says(alice, bob, "hello")
    first = next(put for put in relay.meddler.puts if opening_of(put, bob))
    opening = opening_of(first, bob)
    assert opening is not None
    alice.loses_session(bob)
    await stage.says(alice, bob, "hello again")
    bob.loses_session(alice, but_newest=True)
    bob.forgets_replays()
    assert bob.sessions(alice).by_ephemeral(opening.header.ephemeral) is None
    await relay.inject(bob.mailbox, first.envelope, os.urandom(16))

    def again() -> Succeeded | None:
        is_back = bob.sessions(alice).by_ephemeral(opening.header.ephemeral) is not None
        return Succeeded("Bob has a second session from one first message") if is_back else None

    return await stage.until(
        lambda: again() or bob.says("could not be decrypted", "no second session comes of it", 1)
    )


@dataclass(frozen=True)
class Mask:
    """Somebody's public keys in front of another's private one."""

    key: bytes
    identity_key: bytes
    identity_private: bytes

    def seals(self, to: Person) -> bytes:
        """An envelope with something in it that nobody can decrypt."""
        sealing = to.mailroom.state.own_sealing().key
        return seal(cast(Device, self), to.mailbox, sealing, InnerType.MESSAGE, os.urandom(300), os.urandom)


@attack(
    defence="the sender's identity key is in the key of the seal's second layer",
    without=Removal(
        "keys.seal._layer2_key",
        lambda original: lambda key1, shared, *public: original(key1, bytes(32), *public),
    ),
    fell="Bridgefy let anybody write as anybody (Albrecht et al., 2021)",
)
async def forge_sender(stage: Stage) -> Outcome:
    """Seal an envelope as a contact, from public keys alone, to have its session thrown away"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    device = alice.profile.device
    forged = Mask(device.key, device.identity_key, os.urandom(32)).seals(bob)
    await relay.inject(bob.mailbox, forged, os.urandom(16))
    return await stage.until(
        lambda: (
            gained(bob.says(REPAIRED, "", 1), "Bob throws his session with Alice away")
            or bob.says(IGNORED, "counted, and without any effect", 1)
        )
    )


def _by_device_key(engine: Engine, opened: Opened) -> Party | None:
    return engine._state.party(opened.device_key)


@attack(
    defence="device key and identity key in a seal must be those of one entry of a signed list",
    without=Removal("clients.engine.Engine._sealed_by", lambda original: _by_device_key),
    fell="Matrix clients named a sender other than whose session had decrypted (Albrecht et al., 2022)",
)
async def another_sender_inside(stage: Stage) -> Outcome:
    """Name a contact's device in a valid seal of one's own, to have that contact's session thrown away"""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    mallory = await stage.person("mallory", relay)
    hers = mallory.profile.device
    forged = Mask(alice.mailbox, hers.identity_key, hers.identity_private).seals(bob)
    await relay.inject(bob.mailbox, forged, os.urandom(16))
    return await stage.until(
        lambda: (
            gained(bob.says(REPAIRED, "", 1), "Bob throws his session with Alice away")
            or bob.says(IGNORED, "counted, and without any effect", 1)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (replay_first_message, forge_sender, another_sender_inside)
