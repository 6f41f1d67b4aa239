"""What somebody decides about contacts and about herself, by calls."""

from clients.audit.driving.people import PersonError
from clients.audit.driving.scenes.cast import Cast, expect


async def decisions(cast: Cast) -> None:
    """Alice decides about people whom no relay knows, and about what others may learn of her."""
    stage, alice = cast.stage, cast.alice
    name, renamed = stage.canary("add.name"), stage.canary("rename.to")
    await alice.call("add", name=name, address=cast.nobody())
    await alice.call("rename", name=name, to=renamed)
    await alice.call("replace", name=renamed, address=cast.nobody())
    await alice.call("block", name=renamed)
    await alice.call("unblock", name=renamed)
    await alice.call("share", name=renamed, presence=False, typing=False, read=False)
    expect((await alice.call("contact", name=renamed))["name"] == renamed, "a contact is not there")
    after = await alice.call("contacts", after=renamed)
    expect(renamed not in [contact["name"] for contact in after], "a list begins too early")
    await alice.call("send", to=renamed, text=stage.canary("send.text"))
    await cast.hears_of_a_problem(alice, renamed)
    stage.did("a text to an account that no relay knows: said to the sender")
    await alice.call("remove", name=renamed, force=True)
    stage.did("a contact added, renamed, replaced, blocked, unblocked and removed with its history")
    await alice.call("share", presence=True, typing=True, read=True)
    await alice.call("delay", longest=0.2)
    before = (await alice.call("me", settle=5.0))["address"]
    expect((await alice.call("renew_address"))["address"] != before, "an address line was not renewed")
    await alice.call("trust_relay", relay="wss://another.example")
    stage.did("sharing, the delay of receipts, a new address line, and a relay's new key")


async def verified(cast: Cast) -> None:
    """Alice and Bob compare their safety number, rightly and wrongly."""
    alice, bob, name = cast.alice, cast.bob, cast.names[cast.alice, cast.bob]
    shown = (await bob.call("safety_number", name=cast.names[bob, alice]))["safety_number"]
    expect((await alice.call("verify", name=name, text=shown))["verified"], "a right number does not verify")
    wrong = await alice.ask("verify", name=name, text=f"{(int(shown[0]) + 1) % 10}{shown[1:]}")
    none = await alice.ask("verify", name=name, text=cast.stage.canary("verify.text"))
    if "error" not in wrong or "error" not in none:
        raise PersonError("a wrong safety number verifies")
    await alice.call("verify", name=name, text=shown)
    cast.stage.did("a safety number, compared rightly, wrongly and with what is none")
