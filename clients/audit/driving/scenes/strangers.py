"""A stranger writes: a request, and what becomes of it."""

from clients.audit.driving.command_line import Json
from clients.audit.driving.people import Person
from clients.audit.driving.scenes.cast import Cast, expect
from keys.content import Kind
from wire.limits import TEXT_MAX


async def strangers(cast: Cast) -> None:
    """Carol knows Alice's address without its token; Alice accepts her."""
    stage, alice, carol = cast.stage, cast.alice, cast.carol
    name = cast.names[carol, alice] = stage.canary("add.name")
    await carol.call("delay", longest=0.2)
    await carol.call("add", name=name, address=cast.bare(alice))
    text = stage.canary("send.text", "you do not know me {}")
    sent = await carol.call("send", to=name, text=text)
    await cast.comes(carol, sent["id"], "requested")
    request = await request_to(cast, alice)
    stage.did("a stranger's text, which waits as a request")
    mark = stage.canary("send.text")
    large = mark + "." * (TEXT_MAX - len(mark))
    unanswered = await carol.call("send", to=name, text=large)
    await cast.comes(carol, unanswered["id"], "requested")
    await alice.event(lambda event: _has(event, large))
    one, other = await alice.call("history", name=request)
    expect((one["text"], other["text"]) == (text, large), "a request shows other texts than were sent")
    # The handshake does not fit beside a text so large: it goes ahead, in a content of its own.
    expect(other["sequence"] == one["sequence"] + 2, "nothing went ahead of a large text to a stranger")
    stage.carried.add(Kind.OPEN)
    known_as = cast.names[alice, carol] = stage.canary("accept.as")
    await alice.call("accept", name=request, **{"as": known_as})
    await alice.hears(large)
    await cast.comes(carol, unanswered["id"], "delivered")
    stage.did("a request, accepted under another name")
    await cast.tell(alice, carol, stage.canary("send.text"))


def _has(event: Json, text: str) -> bool:
    return event["event"] == "message" and bool(event["message"].get("text") == text)


async def request_to(cast: Cast, person: Person) -> str:
    """What the first request to somebody is called there."""

    def is_request(event: Json) -> bool:
        return event["event"] == "contact" and bool(event["contact"]["status"] == "request")

    return str((await person.event(is_request))["contact"]["name"])
