"""Attacks with cards: what contacts tell each other of their names, relays and tokens."""

from collections.abc import Callable
from typing import Any, Final

from clients.clock import now_seconds
from keys.content import Extension
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, answering, attack
from tests.attacks.neighbours import neighbours
from tests.attacks.stage import Stage
from tests.support.homes import NOWHERE, Home
from wire.frames import Put


def _named(home: Home, other: Home, name: str) -> list[Put]:
    """The frames by which a home tells another what it calls itself now."""
    home.mailroom.cards.set_display_name(name, now_seconds())
    home.mailroom.notes.card_changed()
    assert home.mailroom.write_owed()
    return home.send(other)


@attack(
    defence="of the cards of one stream the one with the highest sequence stands",
    without=answering("clients.store.outbox.Outbox.is_newest_card", True),
)
async def old_card(stage: Stage) -> Outcome:
    """Hold a contact's card back and deliver it behind the next, to have its former token used again."""
    with neighbours(stage.directory, "alice", "bob") as (alice, bob):
        held = _named(bob, alice, "Bob")
        bob.mailroom.cards.rotate_token(now_seconds(), revoke=True)
        alice.take_in(*_named(bob, alice, "Robert"))
        token = alice.contact(bob).token
        alice.take_in(*held)
        row = alice.contact(bob)
        if (row.display_name, row.token) != ("Robert", token):
            return Succeeded(f"alice knows him as {row.display_name} again, by a token that is dead")
        return Caught("alice", "the newer card stands", len(held))


def _follows(original: Callable[..., None]) -> Callable[..., None]:
    """Whoever writes says where it is to be answered."""

    def take(notes: Any, contact: Any, device_key: bytes, content: Any) -> None:
        original(notes, contact, device_key, content)
        notes._learn_relay(contact, content.extension(Extension.RELAY) or b"")

    return take


@attack(
    defence="where a contact is dialled is what the user has pasted",
    without=Removal("clients.notes.Notes._take_card", _follows),
)
async def lead_elsewhere(stage: Stage) -> Outcome:
    """As a contact, name a door inside the victim's own network as the relay at which one is to be found."""
    with neighbours(stage.directory, "alice", "mallory") as (alice, mallory):
        doors = (b"127.0.0.1:22", b"192.168.0.1:80/admin", b"relay.example")
        for count, door in enumerate(doors):
            mallory.mailroom.notes._relay = door
            alice.take_in(*_named(mallory, alice, f"Mallory {count}"))
            assert alice.contact(mallory).display_name == f"Mallory {count}"
            if alice.contact(mallory).relay != NOWHERE:
                return Succeeded(f"alice's client would dial {alice.contact(mallory).relay}")
        return Caught("alice", "goes on dialling the relay of the address", len(doors))


ATTACKS: Final[tuple[Attack, ...]] = (old_card, lead_elsewhere)
