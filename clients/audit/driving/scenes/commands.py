"""The command line, as people use it: each command that takes words, a file or a passphrase.

Dave has nothing but Bob's address at first, and no process that serves; Bob's commands go through the process
that has his profile open.
"""

import base64
import json
import os
from pathlib import Path

from clients.audit.driving.people import Person
from clients.audit.driving.scenes.cast import Cast, expect
from clients.audit.driving.scenes.strangers import request_to
from clients.config import INVITE_VARIABLE


async def begin(cast: Cast, person: Person) -> None:
    """A profile is made, and registered at the relay."""
    name = cast.stage.canary("init --name", "It is {}")
    made = await person.run("init", *cast.stage.init(), "--name", name, "--no-qr")
    cast.lines[person] = str(made[0]["address"])


async def dave_writes(cast: Cast) -> None:
    """His first message makes his profile; Bob accepts him, and they talk by commands alone."""
    stage, bob, dave = cast.stage, cast.bob, cast.dave
    if stage.options or stage.invites:
        await begin(cast, dave)  # a first message alone does not get in there
    name = cast.names[dave, bob] = stage.canary("send --as")
    text = stage.canary("send TEXT")
    await dave.run("send", cast.bare(bob), text, "--as", name, "--id", stage.canary("send --id"))
    request = await request_to(cast, bob)
    known_as = stage.canary("contact accept NAME")
    await bob.run("contact", "accept", request, known_as)
    heard = await bob.hears(text)
    stage.did("`send` to an address: a profile and a contact made by the way; `contact accept`")
    cast.names[bob, dave] = known_as
    answer = stage.canary("send TEXT", "from Bob to Dave {}")
    await bob.run("send", known_as, answer, "--reply-to", _planted_id(cast, heard["id"]))
    said = await dave.run("listen", "--count", "1", "--idle", "30")
    expect([message["text"] for message in said] == [answer], "`listen` printed something else")
    stage.did("`listen`")
    await _through_pipes(cast)
    await _past(cast)
    await _blocked(cast)


async def _blocked(cast: Cast) -> None:
    """Dave had Bob's token, which ends as Bob blocks him; what he writes then is read by nobody."""
    stage, bob, dave = cast.stage, cast.bob, cast.dave
    name, known_as = cast.names[dave, bob], cast.names[bob, dave]
    await bob.call("block", name=known_as)
    unheard = stage.canary("send TEXT", "to somebody who does not listen {}")
    await dave.run("send", name, unheard)
    await cast.tell(cast.alice, bob, stage.canary("send.text"))  # comes behind it
    await bob.call("unblock", name=known_as)
    kept = await bob.call("history", name=known_as, search=unheard)
    expect(kept == [], "a text of somebody who is blocked was kept")
    stage.did("a contact blocked: its token ends, and what it writes is kept by nobody; and unblocked")


def _planted_id(cast: Cast, message: str) -> str:
    """The id of a message, which is a canary from now on."""
    cast.stage.plant("id of a message", bytes.fromhex(message))
    return message


async def _through_pipes(cast: Cast) -> None:
    stage, bob, dave, name = cast.stage, cast.bob, cast.dave, cast.names[cast.dave, cast.bob]
    piped = stage.canary("send stdin")
    await dave.run("send", name, "-", "--wait", "accepted", "--timeout", "20", stdin=piped.encode())
    body = stage.plant("send --ndjson data", os.urandom(24))
    lines = [
        {"text": stage.canary("send --ndjson text"), "id": stage.canary("send --ndjson id")},
        {"data": base64.b64encode(body).decode()},
    ]
    lines.append({"text": "", "reply_to": (await bob.hears(piped))["id"]})
    _planted_id(cast, str(lines[2]["reply_to"]))
    ndjson = "".join(json.dumps(line) + "\n" for line in lines)
    await dave.run("send", name, "--ndjson", stdin=ndjson.encode())
    await bob.hears(lines[0]["text"])
    chatted = stage.canary("chat stdin")
    await dave.said("chat", name, "--plain", "--timeout", "20", stdin=chatted.encode() + b"\n")
    await bob.hears(chatted)
    chatted, known_as = stage.canary("chat stdin"), stage.canary("chat --as")
    await dave.said("chat", cast.bare(cast.alice), "--as", known_as, stdin=chatted.encode() + b"\n")
    stage.did("`send` from stdin and of many lines, and `chat`, through pipes")


async def _past(cast: Cast) -> None:
    stage, bob, dave, name = cast.stage, cast.bob, cast.dave, cast.names[cast.dave, cast.bob]
    mark = stage.planted["send TEXT"][0].value.decode()
    found = await dave.run("history", name, "--search", mark, "--limit", "5")
    expect(len(found) == 1, "`history --search` did not find what is there")
    for suffix in (".html", ".ndjson"):
        page = stage.directory / stage.canary("history --export", "{}" + suffix)
        await dave.run("history", name, "--export", str(page))
    secret = _file(cast, "--passphrase-file", str(bob.passphrase))
    listed = await bob.run("history", cast.names[bob, dave], "--passphrase-file", str(secret))
    expect(len(listed) >= 5, "a history is too short")
    stage.did("`history`, searched and exported")


async def bob_decides(cast: Cast) -> None:
    """Bob's contacts, by commands."""
    stage, bob = cast.stage, cast.bob
    name, new = stage.canary("contact add NAME"), stage.canary("contact rename NEW")
    await bob.run("contact", "add", name, cast.nobody())
    await bob.run("contact", "verify", name, "--no-qr")
    wrong = " ".join(["12345"] * 12)
    number, code = stage.canary("contact verify NUMBER"), stage.canary("contact verify --compare")
    await bob.run("contact", "verify", name, number, "--compare", code, codes=(2,))
    await bob.run("contact", "verify", name, wrong, codes=(6,))
    await bob.run("contact", "rename", name, new)
    await bob.run("contact", "replace", new, cast.nobody(), "--yes")
    await bob.run("contact", "sharing", new, "--read", "off", "--typing", "on", "--presence", "default")
    await bob.run("contact", "block", new)
    await bob.run("contact", "unblock", new)
    await bob.run("contact", "remove", new, "--yes")
    stage.did("`contact add`, verify, rename, replace, sharing, block, unblock and remove")


async def bob_looks_around(cast: Cast) -> None:
    """The rest of what Bob can ask for by a command, and two addresses that are none."""
    stage, bob = cast.stage, cast.bob
    broken = stage.canary("contact replace ADDRESS", "bp1{}")
    await bob.run("contact", "replace", cast.names[bob, cast.alice], broken, "--yes", codes=(2,))
    broken = stage.canary("contact add ADDRESS", "bp1{}")
    await bob.run("contact", "add", stage.canary("contact add NAME"), broken, codes=(2,))
    await bob.run("settings", "--name", stage.canary("settings --name"), "--receipt-delay", "0.2",
                  "--presence", "on", "--typing", "on", "--read", "on")  # fmt: skip
    listed = await bob.run("contact", "list", "--addresses")
    expect(any(row["name"] == cast.names[bob, cast.alice] for row in listed), "`contact list` lacks somebody")
    await bob.run("contact", "requests")
    await bob.run("address", "--bare", "--renew", "--qr")
    await bob.run("trust-relay", "wss://another.example")
    await bob.run("completion", "bash")
    stage.did("`settings`, `contact list` and requests, `address`, `trust-relay` and `completion`")


async def mistakes_on_the_command_line(cast: Cast) -> None:
    """Words that mean nothing, where each command takes some; no relay is asked for any of it."""
    stage, erin = cast.stage, cast.stage.person("erin")
    url = stage.relay.url
    invite = {INVITE_VARIABLE: stage.canary("$BLINDPOST_INVITE", "bpinvite1{}")}
    authority = _file(cast, "init --ca", stage.canary("init --ca"))
    await erin.run("init", "--relay", url, "--ca", str(authority), codes=(2,), variables=invite)
    await erin.run("doctor", "--relay", url, "--ca", str(authority), codes=(2,))
    broken = stage.canary("init --invite", "bpinvite1{}")
    await erin.run("init", "--relay", url, "--invite", broken, codes=(2,))
    await erin.run(stage.canary("a command that there is not"), codes=(2,))
    await erin.run("init", stage.canary("an option that there is not", "--{}"), codes=(2,))
    stage.did("mistakes on the command line: options, commands, an invite and a certificate that are none")


def _file(cast: Cast, field: str, content: str) -> Path:
    """A file with a canary in its name, too."""
    path = cast.stage.directory / cast.stage.canary(field, "{}.txt")
    path.write_text(content + "\n", encoding="utf-8")
    return path
