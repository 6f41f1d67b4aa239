"""A conversation: everything that two contacts can tell each other, with the receipts for it."""

import asyncio
import base64
import os
from typing import Final

from clients.audit.driving.command_line import Json
from clients.audit.driving.people import is_handed_over
from clients.audit.driving.scenes.cast import Cast, expect, insisting, mended, together
from clients.audit.tap.loss import Loss
from clients.store.repairs import Fault
from keys.content import Kind
from wire.frames import DELIVER_HEADER
from wire.limits import TEXT_MAX

LOST: Final = 16 * 1024  # bytes of an envelope that nothing else has meanwhile
# Letters of two, three and four bytes in UTF-8.
SCRIPTS: Final = {
    "Greek": "αβγδεζηθικλμνξοπρστυφχψω",
    "Arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "Chinese": "".join(map(chr, range(0x4E00, 0x5E00))),
    "emoji": "".join(map(chr, range(0x1F400, 0x1F4C0))),
}


async def conversation(cast: Cast) -> None:
    """Alice and Bob, both there."""
    stage, alice, bob = cast.stage, cast.alice, cast.bob
    name = stage.canary("set_name.display_name", "Alice {}")
    await alice.call("set_name", display_name=name)
    hello = stage.canary("send.text", "hello {}")
    first = await cast.tell(alice, bob, hello)
    await cast.comes(alice, first, "delivered")
    stage.carried |= {Kind.TEXT, Kind.RECEIPT}
    stage.plant("id of a message", bytes.fromhex(first))
    stage.did("a short text, delivered, with the receipt that says so")
    await bob.event(lambda event: event["event"] == "contact" and event["contact"]["display_name"] == name)
    stage.carried.add(Kind.PROFILE)
    stage.did("a display name, shown to a contact")
    answer = await cast.tell(bob, alice, stage.canary("send.text", "an answer {}"), reply_to=first)
    expect((await _latest(cast, answer))["reply_to"] == first, "an answer does not name what it answers")
    stage.did("an answer to a message")
    await together(_scripts(cast), _large(cast), _bytes(cast), _once(cast), _control_characters(cast))
    await _search(cast, hello)


async def _latest(cast: Cast, message: str) -> Json:
    event = await cast.alice.event(lambda event: is_handed_over(event) and event["message"]["id"] == message)
    return dict(event["message"])


async def _scripts(cast: Cast) -> None:
    texts = [cast.stage.canary("send.text", letters=letters) for letters in SCRIPTS.values()]
    sent = [await cast.tell(cast.bob, cast.alice, text) for text in texts]
    await cast.comes(cast.bob, sent[-1], "delivered")
    cast.stage.did(f"texts in {', '.join(SCRIPTS)}, delivered")


async def _large(cast: Cast) -> None:
    mark = cast.stage.canary("send.text")
    text = (mark + " ") * (TEXT_MAX // (len(mark) + 1))
    text += "." * (TEXT_MAX - len(text))
    await cast.comes(cast.alice, await cast.tell(cast.alice, cast.bob, text), "delivered")
    cast.stage.did(f"a text of {TEXT_MAX:,} bytes, delivered")


async def _bytes(cast: Cast) -> None:
    body = cast.stage.plant("send.data", os.urandom(24))
    data = base64.b64encode(body).decode()
    sent = await cast.alice.call("send", to=cast.names[cast.alice, cast.bob], data=data)
    await cast.bob.event(lambda event: is_handed_over(event) and event["message"].get("data") == data)
    await cast.comes(cast.alice, sent["id"], "delivered")
    cast.stage.carried.add(Kind.DATA)
    cast.stage.did("bytes that are no text, delivered")


async def _once(cast: Cast) -> None:
    to, key = cast.names[cast.alice, cast.bob], cast.stage.canary("send.key")
    text = cast.stage.canary("send.text")
    ids = {(await cast.alice.call("send", to=to, text=text, key=key, timeout=5.0))["id"] for _ in range(2)}
    expect(len(ids) == 1, "a message was sent twice under one key")
    await cast.comes(cast.alice, ids.pop(), "delivered")
    cast.stage.did("a text under a key of the sender's, repeated and sent once")


async def _control_characters(cast: Cast) -> None:
    text = cast.stage.canary("send.text", "of lines\n\tand \x1b[31mcontrol characters\x00 {}")
    await cast.comes(cast.bob, await cast.tell(cast.bob, cast.alice, text), "delivered")
    cast.stage.did("a text with control characters, delivered")


async def _search(cast: Cast, text: str) -> None:
    name = cast.names[cast.alice, cast.bob]
    [found] = await cast.alice.call("history", name=name, search=text, limit=5, since_ms=0)
    before = await cast.alice.call("history", name=name, before=found["id"])
    expect(before == [], "there is something before the first message")
    words = cast.stage.canary("history.search", "hello {}")
    nothing = await cast.alice.call("history", name=name, search=words)
    expect(nothing == [], "a search found what is not there")
    cast.stage.did("the history, searched for words")


async def reads(cast: Cast) -> None:
    """A person reads what no program has dealt with yet; nobody else writes to Bob meanwhile."""
    alice, bob = cast.alice, cast.bob
    bob.dawdles = True
    sent = await cast.tell(alice, bob, cast.stage.canary("send.text"))
    cast.stage.plant("id of a message", bytes.fromhex(sent))
    await bob.call("read", name=cast.names[bob, alice], through=sent)
    bob.go_on()
    await cast.comes(alice, sent, "read")
    cast.stage.carried.add(Kind.READ)
    cast.stage.did("a receipt for a text that was read")


async def near(cast: Cast) -> None:
    """Presence, and that somebody types: it is told to whoever is known to be there."""
    alice, bob = cast.alice, cast.bob
    await asyncio.gather(*(person.call("flush", timeout=10.0) for person in (alice, bob)))
    bobs = cast.names[alice, bob]
    await alice.call("watch", name=bobs, messages=True)
    await alice.event(
        lambda event: (
            event["event"] == "contact"
            and event["contact"]["name"] == bobs
            and event["contact"]["online"] is True
        )
    )
    cast.stage.did("presence: a contact is seen to be there")
    await alice.call("flush", timeout=10.0)

    async def type_on() -> None:
        await alice.call("typing", name=bobs, on=True)

    await type_on()
    typing = bob.event(lambda event: event["event"] == "contact" and event["contact"]["typing"])
    await insisting(typing, type_on)  # it is not told while something else is on its way
    cast.stage.carried.add(Kind.TYPING)
    await alice.call("typing", name=bobs, on=False)
    cast.stage.did("that somebody types, seen by a contact")


async def loses_one(cast: Cast) -> None:
    """A frame is lost on its way: Bob's client sees a gap, asks for what is missing, and has all in order."""
    alice, bob, name = cast.alice, cast.bob, cast.names[cast.alice, cast.bob]
    lost, behind = (cast.stage.canary("send.text") for _ in range(2))
    cast.stage.tap.loss = loss = Loss(DELIVER_HEADER + LOST)
    await alice.call("send", to=name, text=lost + "." * (LOST * 3 // 4))
    await alice.call("send", to=name, text=behind)
    heard = [await bob.hears(text) for text in (lost, behind)]
    cast.stage.tap.loss = None
    order = [event["message"]["id"] for event in bob.heard if is_handed_over(event)]
    expect(order[-2:] == [message["id"] for message in heard], "what was sent again came behind the next one")
    expect(loss.happened and Fault.GAP in await mended(bob), "no frame was lost, or none was asked for")
    cast.stage.carried.add(Kind.RESEND)
    cast.stage.did("a frame that was lost on its way, asked for and sent again, before what came behind it")
