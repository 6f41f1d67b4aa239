"""The short drive: two people get to know each other and talk, in a few seconds.

Owns what is said. A control plays it before a leaky relay or with leaky clients; that all of it works is part
of it: a leak in a conversation that breaks off shows nothing. The full drive is in `drive`.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from clients.audit.driving.people import Person, PersonError
from clients.audit.driving.scenes.cast import together
from clients.audit.driving.stage import Stage
from clients.config import ClientConfig
from clients.errors import ClientError
from clients.parsing import parse_relay
from clients.profile import Profile

WITHIN: Final = 50.0  # seconds, for whatever a busy machine takes long to do


async def talk(stage: Stage, *, is_quick: bool = False) -> None:
    """Names, texts both ways with receipts, and one for somebody who is away. Raises PersonError.

    Looks when both have everything, and again while a text lies in the relay's store. `is_quick`: without a
    passphrase, and profiles are made here: a process for each `init` would be most of what a control costs.
    """
    alice = stage.person("alice", None if is_quick else stage.canary("passphrase"))
    bob = stage.person("bob")
    make = _make_here if is_quick else _make
    await together(*(_begin(stage, person, make) for person in (alice, bob)))
    for_alice, for_bob = stage.canary("add.name"), stage.canary("add.name")
    await alice.call("add", name=for_bob, address=(await bob.call("me"))["address"])
    await bob.call("add", name=for_alice, address=(await alice.call("me"))["address"])
    await _says(stage, alice, for_bob, bob)
    await _says(stage, bob, for_alice, alice)
    stage.did("two people talked, each under a name")
    await stage.look("both have what was said, and receipts for it")
    await bob.stop()
    sent = await alice.call("send", to=for_bob, text=stage.canary("send.text", "Are you there? {}"))
    await _reaches(alice, sent, "accepted")
    await stage.look("a text waits for its recipient")


async def leave(stage: Stage) -> None:
    """Both delete their accounts. Raises PersonError."""
    for person in stage.people.values():
        if not person.is_running:
            await person.start()
        await person.call("delete_account")
    stage.did("both accounts deleted")


async def _begin(stage: Stage, person: Person, make: Callable[[Stage, Person], Awaitable[None]]) -> None:
    """An account with a name, until it is registered. Its receipts do not wait for anything to hide among."""
    await make(stage, person)
    await person.start()
    await person.call("delay", longest=0.0)
    await person.call("set_name", display_name=stage.canary("set_name.display_name"))
    me = await person.call("me", settle=WITHIN)
    if not me["connected"]:
        raise PersonError(f"the relay does not take a new account: {' '.join(me['problems'])}")


async def _make(stage: Stage, person: Person) -> None:
    await person.run("init", *stage.init())


async def _make_here(stage: Stage, person: Person) -> None:
    """A profile, as `init` makes it, for a relay that takes anybody."""
    config = ClientConfig(person.profile, person.passphrase)
    try:
        Profile.create(config, parse_relay(stage.relay.url), int(time.time())).close()
    except ClientError as error:
        raise PersonError(str(error)) from None


async def _says(stage: Stage, person: Person, to: str, other: Person) -> None:
    """A text, until it is there and its sender knows."""
    text = stage.canary("send.text", "Hello! {}")
    sent = await person.call("send", to=to, text=text)
    if (await other.message())["text"] != text:
        raise PersonError("another text came than was sent")
    await _reaches(person, sent, "delivered")


async def _reaches(person: Person, sent: dict[str, Any], status: str) -> None:
    now = await person.call("status", id=sent["id"], wait=status, timeout=WITHIN)
    if now["status"] != status:
        raise PersonError(f"a text is {now['status']} after {WITHIN:.0f} s, and not {status}")
