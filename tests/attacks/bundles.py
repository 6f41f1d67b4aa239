"""Attacks with keys that a relay hands out: another's, old ones, the same one twice."""

from collections.abc import Callable
from typing import Final

from tests.attacks.attack import Attack, Outcome, Succeeded, attack, silenced
from tests.attacks.evil_relay import EvilConnection, Meddler
from tests.attacks.impostor import Impostor
from tests.attacks.stage import Person, Stage
from wire.control import Bundle, ControlMessage

SECRET: Final = "for Bob's eyes only"
DAY: Final = 86_400


def show(meddler: Meddler, altered: Callable[[Bundle], Bundle]) -> None:
    """Answer each fetch with what is made of the true answer."""

    def on_say(connection: EvilConnection, message: ControlMessage) -> tuple[ControlMessage]:
        return (altered(message) if isinstance(message, Bundle) else message,)

    meddler.on_say = on_say


def seen_for(person: Person, meddler: Meddler, what: str) -> Succeeded | None:
    """Whether a frame was put into that person's mailbox."""
    return Succeeded(what) if any(put.mailbox == person.mailbox for put in meddler.puts) else None


@attack(
    defence="the account key, which is the address, signs the device list",
    without=silenced("clients.mailroom.verify_device_list"),
    fell="iMessage takes a contact's keys from its directory, unless both have switched key verification on "
    "(there since 2023)",
)
async def swap_device_list(stage: Stage) -> Outcome:
    """Answer a fetch with a device list of the relay's own under the victim's account."""
    relay = await stage.relay()
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    impostor = Impostor.of(bob.profile.account.key)
    show(relay.meddler, lambda bundle: impostor.shown(bundle.ref))
    alice.contacts.add("bob", bob.address)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            impostor.reads(relay.meddler.puts, SECRET)
            or alice.says("signature of the device list does not hold", "refused before anything is sent", 0)
        )
    )


@attack(
    defence="the account key signs every device that is added",
    without=silenced("clients.mailroom.verify_device_list"),
    fell="Matrix: a homeserver could add devices to its users (Albrecht et al., 2022)",
)
async def ghost_device(stage: Stage) -> Outcome:
    """Add a device of the relay's own to the list of a contact of long standing."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    genuine = bob.profile.device_list
    ghost = Impostor.of(genuine.account_key, *genuine.devices, after=genuine)
    show(relay.meddler, lambda bundle: ghost.shown(bundle.ref, *bundle.devices))
    alice.mailroom.mark_stale(alice.contact(bob).id)  # as after a frame for a mailbox that is gone
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            ghost.reads(relay.meddler.puts, SECRET)
            or alice.says("signature of the device list does not hold", "refused before anything is sent", 0)
        )
    )


@attack(
    defence="a signed prekey is believed for 90 days",
    without=silenced("keys.prekeys.verify_age"),
)
async def aged_signed_prekey(stage: Stage) -> Outcome:
    """Keep a bundle back and serve it after 91 days, when its private halves may have leaked."""
    relay = await stage.relay()
    alice, bob = await stage.person("alice", relay), await stage.person("bob", relay)
    alice.contacts.add("bob", bob.address)
    stage.later(91 * DAY)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            seen_for(bob, relay.meddler, "Alice writes with a key of 91 days ago")
            or alice.says("a signed prekey is over 90 days old", "refused before anything is sent", 0)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (swap_device_list, ghost_device, aged_signed_prekey)
