"""Mistakes: what no program should be asked, and bytes that no client would send to a relay."""

import asyncio
import contextlib
import json
import os
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from clients.audit.capture.relays import OwnRelay
from clients.audit.driving.people import PersonError
from clients.audit.driving.scenes.cast import Cast
from wire.addresses import RelayUrl
from wire.limits import TEXT_MAX

RELAY_ANSWERS_WITHIN: Final = 15.0  # seconds


async def wrong_calls(cast: Cast) -> None:
    """Calls that are refused, with a canary in what is wrong with each."""
    stage, bob, name = cast.stage, cast.bob, cast.names[cast.bob, cast.alice]

    async def refused(call: str, /, **arguments: Any) -> None:
        if "error" not in await bob.ask(call, **arguments):
            raise PersonError(f"{call} was done that should have been refused")

    too_large = stage.canary("send.text") + "x" * TEXT_MAX
    await refused("send", to=name, text=too_large)
    await refused("send", to=name, data=stage.canary("send.data", "no base64: {}"))
    await refused("send", to=stage.canary("send.to"), text="to nobody")
    await refused(stage.canary("a call that there is not"))
    await refused("me", **{stage.canary("a field that there is not"): stage.canary("its value")})
    await refused("add", name=stage.canary("add.name"), address=stage.canary("add.address", "bp1{}"))
    await refused("replace", name=name, address=stage.canary("replace.address", "bp1{}"))
    await refused("accept", name=stage.canary("accept.name"))
    await refused("backup", file=stage.canary("backup.file"), passphrase=stage.canary("backup.passphrase"))
    await bob.mumble(stage.canary("a line that is no call").encode())
    await bob.mumble(json.dumps({stage.canary("an object that is no call"): 1}).encode())
    stage.did("wrong calls: too large, unknown, malformed, to nobody; each refused")


async def hostile_bytes(cast: Cast) -> None:
    """What a stranger may say to a relay of the audit's own: random bytes and texts, half a conversation."""
    if not isinstance(cast.stage.relay, OwnRelay):
        return
    for said in (os.urandom(1500), os.urandom(70_000), os.urandom(8).hex(), "[" * 5000,
                 '{"type": "hello"}', '{"type": "nothing", "ref": 1}', b""):  # fmt: skip
        await _says(cast.stage.relay.url, said)
    cast.stage.did("random bytes, broken JSON and wrong messages to the relay itself; each refused")


async def _says(url: str, said: bytes | str) -> None:
    """Until the relay has closed the connection, as it does with whoever does not begin in order."""
    async with asyncio.timeout(RELAY_ANSWERS_WITHIN):
        async with connect(RelayUrl.parse(url).websocket, proxy=None, compression=None) as socket:
            with contextlib.suppress(ConnectionClosed):
                await socket.send(said)
                while True:
                    await socket.recv()
