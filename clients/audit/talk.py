"""The short drive: two people get to know each other and talk, in a few seconds.

Owns what is said. A control plays it before a leaky relay or with leaky clients; that all of it works is part
of it: a leak in a conversation that breaks off shows nothing. The full drive is `clients.audit.drive`'s.
"""

import asyncio
from typing import Any

from clients.audit.people import Person, PersonError
from clients.audit.stage import Stage


async def talk(stage: Stage, *, has_passphrase: bool = True) -> None:
    """Names, texts both ways, one while its recipient is away, receipts. Raises PersonError.

    Looks twice: while a text lies in the relay's store, and at the end. A passphrase costs a second.
    """
    alice = stage.person("alice", stage.canary("passphrase") if has_passphrase else None)
    bob = stage.person("bob")
    address_of_alice, address_of_bob = await _made(stage, alice, bob)
    for_alice, for_bob = stage.canary("add.name"), stage.canary("add.name")
    await alice.start()
    await alice.call("add", name=for_alice, address=address_of_bob)
    first = stage.canary("send.text", "Bob, are you there? {}")
    waiting = await alice.call("send", to=for_alice, text=first)
    await _reaches(alice, waiting, "accepted")
    await stage.look("a text waits for its recipient")
    await bob.start()
    await bob.call("add", name=for_bob, address=address_of_alice)
    await _hears(bob, first)
    answer = stage.canary("send.text", "Yes. {}")
    sent = await bob.call("send", to=for_bob, text=answer)
    await _hears(alice, answer)
    await _reaches(alice, waiting, "delivered")
    await _reaches(bob, sent, "delivered")
    stage.did("two people talked, each under a name")
    await stage.look("both have what was said, and receipts for it")


async def leave(stage: Stage) -> None:
    """Both delete their accounts. Raises PersonError."""
    for person in stage.people.values():
        await person.call("delete_account")
    stage.did("both accounts deleted")


async def _made(stage: Stage, *people: Person) -> list[str]:
    """Their addresses, once they have profiles: at the same time, for that takes the longest."""
    try:
        async with asyncio.TaskGroup() as together:
            making = [
                together.create_task(person.run("init", *stage.init(), "--name", stage.canary("init --name")))
                for person in people
            ]
    except ExceptionGroup as failed:
        raise PersonError(str(failed.exceptions[0])) from None
    return [str(made.result()[0]["address"]) for made in making]


async def _reaches(person: Person, sent: dict[str, Any], status: str) -> None:
    now = await person.call("status", id=sent["id"], wait=status, timeout=20.0)
    if now["status"] != status:
        raise PersonError(f"a text is {now['status']} after 20 s, and not {status}")


async def _hears(person: Person, text: str) -> None:
    if (await person.message())["text"] != text:
        raise PersonError("another text came than was sent")
