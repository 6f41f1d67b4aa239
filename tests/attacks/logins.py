"""Attacks where client and relay meet: another's challenge, chosen bytes, another key, an old version."""

import asyncio
from typing import Final

from keys.primitives import verify
from relay.auth import Authority, RelayKey
from tests.attacks.attack import (
    Attack,
    Caught,
    Outcome,
    Removal,
    Succeeded,
    answering,
    attack,
    gained,
    valued,
)
from tests.attacks.evil_relay import EvilConnection
from tests.attacks.stage import Stage
from tests.relay.peers import dial
from wire.control import ClientMessage, ControlMessage, Hello, Login, RelayHello, Welcome
from wire.login import Greeting, Mode

UNPROVED: Final = "does not prove that it holds its key"
REFUSED: Final = "refused before the login"
CHOSEN: Final = b"I, this device, owe Mallory 100."


def _without_origin(greeting: Greeting) -> bytes:
    return greeting.relay_key + greeting.relay_nonce + greeting.client_nonce


@attack(
    defence="what relay and device sign names the origin as the client dialled it",
    without=Removal("wire.login.Greeting._fields", lambda original: _without_origin),
    fell="NTLM: a server could pass a login on to another one (SMB relay, 2001)",
)
async def forward_challenge(stage: Stage) -> Outcome:
    """Pass another relay's challenge on to a client, and its answer back, to be logged in there"""
    honest, evil = await stage.relay("honest"), await stage.relay("evil")
    logins, welcomes = asyncio.Queue[Login](), list[Welcome]()

    async def forward(connection: EvilConnection, hello: Hello) -> None:
        async with dial(honest.url.websocket) as peer:
            await peer.send(hello.model_copy(update={"origin": honest.url.origin}))
            connection.say(await peer.next(RelayHello))
            await peer.send(await logins.get())
            welcomes.append(await peer.next(Welcome))
            stage.bell.ring()
            await asyncio.Event().wait()

    def on_hear(connection: EvilConnection, message: ClientMessage) -> ClientMessage | None:
        if isinstance(message, Hello) and message.mode is Mode.DEVICE:
            stage.runs(forward(connection, message))
            return None
        if isinstance(message, Login):
            logins.put_nowait(message)
            return None
        return message

    evil.meddler.on_hear = on_hear
    bob = await stage.opened("bob", evil)
    return await stage.until(
        lambda: (
            gained(welcomes, "the evil relay is logged in as Bob at another one")
            or bob.says(UNPROVED, REFUSED, 0)
        )
    )


def _as_asked(greeting: Greeting, device_key: bytes) -> bytes:
    return greeting.relay_nonce


@attack(
    defence="what a device signs begins with a label, and has the client's own nonce in it",
    without=Removal("wire.login.Greeting.login_bytes", lambda original: _as_asked),
    fell="Threema's registration sealed what the server asked for, which could be a message to somebody "
    "(Paterson et al., 2023)",
)
async def sign_chosen_bytes(stage: Stage) -> Outcome:
    """Ask for a login with a nonce that is no nonce, to get the device's signature over those bytes"""
    relay = await stage.relay()
    greetings, signatures, nonces = list[Greeting](), list[Login](), list[bytes]()

    def on_hear(connection: EvilConnection, message: ClientMessage) -> ClientMessage:
        if isinstance(message, Hello):
            nonces.append(message.nonce)
        if isinstance(message, Login):
            signatures.append(message)
        return message

    def on_say(connection: EvilConnection, message: ControlMessage) -> tuple[ControlMessage]:
        if not isinstance(message, RelayHello):
            return (message,)
        greeting = Greeting(
            Mode.DEVICE, relay.url.origin, message.relay_key, CHOSEN, nonces[-1], message.time
        )
        greetings.append(greeting)
        signature = relay.relay.authority.sign(greeting.hello_bytes())
        return (message.model_copy(update={"nonce": CHOSEN, "signature": signature}),)

    relay.meddler.on_hear, relay.meddler.on_say = on_hear, on_say
    bob = await stage.opened("bob", relay)
    login = await stage.until(lambda: signatures[-1] if signatures else None)
    if verify(bob.mailbox, CHOSEN, login.signature):
        return Succeeded("the relay has Bob's signature over bytes of its choice")
    assert verify(bob.mailbox, greetings[0].login_bytes(bob.mailbox), login.signature)
    return Caught("bob", "signs its own transcript, which is of no use elsewhere", 0)


@attack(
    defence="the relay's key is pinned at the first meeting",
    without=(answering("clients.connection.equal", True), answering("clients.store.pins.equal", True)),
)
async def take_the_relays_place(stage: Stage) -> Outcome:
    """Answer at the relay's address with a key of one's own, as whoever sits on a network without TLS can"""
    relay = await stage.relay()
    bob = await stage.person("bob", relay)
    await stage.leaves(bob)
    relay.relay.authority = Authority(RelayKey.generate())
    bob = await stage.opened("bob", relay)
    return await stage.until(
        lambda: (
            gained(bob.is_connected, "Bob logs in at another relay")
            or bob.says("has another key than before", REFUSED, 0)
        )
    )


@attack(
    defence="the relay signs its hello, with the client's nonce in it",
    without=answering("clients.connection.verify_hello", True),
)
async def unproved_hello(stage: Stage) -> Outcome:
    """Show the relay's public key without holding its private half"""
    relay = await stage.relay()
    bob = await stage.person("bob", relay)
    await stage.leaves(bob)

    def on_say(connection: EvilConnection, message: ControlMessage) -> tuple[ControlMessage]:
        is_hello = isinstance(message, RelayHello)
        return (message.model_copy(update={"signature": bytes(64)}) if is_hello else message,)

    relay.meddler.on_say = on_say
    bob = await stage.opened("bob", relay)
    return await stage.until(
        lambda: (
            gained(bob.is_connected, "Bob logs in at whoever knows the relay's key")
            or bob.says(UNPROVED, REFUSED, 0)
        )
    )


class _AnyVersion(int):
    """A version that differs from no other."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


@attack(
    defence="a relay that answers with another version is refused; both signatures name the version",
    without=valued("clients.connection.PROTOCOL_VERSION", _AnyVersion(1)),
    fell="TLS clients that tried again with SSL 3.0 (POODLE, 2014)",
)
async def downgrade_version(stage: Stage) -> Outcome:
    """Answer with an older version of the protocol"""
    relay = await stage.relay()

    def on_say(connection: EvilConnection, message: ControlMessage) -> tuple[ControlMessage]:
        is_hello = isinstance(message, RelayHello)
        return (message.model_copy(update={"version": 0}) if is_hello else message,)

    relay.meddler.on_say = on_say
    bob = await stage.opened("bob", relay)
    return await stage.until(
        lambda: (
            gained(bob.is_connected, "Bob goes on under a version that he does not speak")
            or bob.says(UNPROVED, REFUSED, 0)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (
    forward_challenge,
    sign_chosen_bytes,
    take_the_relays_place,
    unproved_hello,
    downgrade_version,
)
