"""Attacks with the one thing that a relay says about a frame: whether it came with a token that holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from clients.model import ContactStatus, MessageStatus
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.stage import Stage
from wire.frames import FLAG_REQUEST, Deliver

SOON: Final = 0.3  # seconds in which a message would be handed to the application


def _flagged(flags: int) -> Callable[[EvilConnection, Deliver], tuple[Deliver]]:
    """Whoever sent it, a frame is handed over so."""
    return lambda _, frame: (replace(frame, flags=flags),)


def _by_the_flag(original: Callable[..., None]) -> Callable[..., None]:
    """Who is a contact is the relay's to say."""

    def keep(room: Any, received: Any, now: int, *, is_request: bool) -> None:
        status = ContactStatus.REQUEST if is_request else ContactStatus.APPROVED
        account = received.sender.devices.account_key
        room._store.db.execute(
            "UPDATE contacts SET status = ? WHERE account_key = ?", (status.value, account)
        )
        original(room, received, now, is_request=is_request)

    return keep


OURS: Final = "who is a contact is in the client's own store, and no frame says otherwise"
THEIRS: Final = Removal("clients.mailroom.Mailroom._keep", _by_the_flag)


@attack(defence=OURS, without=THEIRS)
async def call_a_contact_a_stranger(stage: Stage) -> Outcome:
    """Mark what a contact sends as a stranger's, so that it is put aside among the requests."""
    relay = await stage.relay()
    alice, bob = await stage.pair(relay)
    while await bob.receive(0.01) is not None:
        pass
    relay.meddler.on_deliver = _flagged(FLAG_REQUEST)
    await alice.send("bob", "are you there?")
    await stage.until(lambda: "are you there?" in bob.texts(alice) or None)
    message = await bob.receive(SOON)
    if message is None:
        return Succeeded("bob does not see what his contact writes")
    return Caught("bob", "hears his contact, and tells it his token once more")


@attack(defence=OURS, without=THEIRS)
async def call_a_stranger_a_contact(stage: Stage) -> Outcome:
    """Take the mark from what a stranger sends, so that it is heard, receipted and answered as a contact."""
    relay = await stage.relay()
    bob, mallory = await stage.person("bob", relay), await stage.person("mallory", relay)
    mallory.contacts.add("bob", bob.bare_address)
    relay.meddler.on_deliver = _flagged(0)
    said = await mallory.send("bob", "buy this")
    await stage.until(lambda: bob.contacts.all() or None)
    message = await bob.receive(SOON)
    await bob.flushed(SOON)
    if message is not None:
        return Succeeded("bob hears a stranger as if he had asked for it")
    assert [each.status for each in bob.contacts.all()] == [ContactStatus.REQUEST]
    assert mallory.status(said)[0] is MessageStatus.REQUESTED
    return Caught("bob", "a request, as it is; no receipt")


ATTACKS: Final[tuple[Attack, ...]] = (call_a_contact_a_stranger, call_a_stranger_a_contact)
