"""Accounts in every condition that a stranger could want to know of, at a running relay.

`HELD_BY_FULL` is as many frames as a mailbox of that relay is to hold, for one of them to be full.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.relay.devices import HELD, Account, Device, envelope
from tests.relay.peers import Peer, logged_in, submitting
from wire import control
from wire.capabilities import presence_capability
from wire.prekeys import PrekeyKind

HELD_BY_FULL = 8
AWAY, ONLINE, INVISIBLE = b"presence of away", b"presence, online", b"presence, hidden"
ONE_TIME = {"away": 9, "connected": 9, "one prekey left": 1}  # of each kind; the others have none


@dataclass
class Conditions:
    """`accounts` by how they are; `gone` is a device that was dropped from the list of one that is away."""

    accounts: dict[str, Account] = field(default_factory=dict)
    gone: Device = field(default_factory=Device)
    nobody: bytes = field(default_factory=lambda: os.urandom(32))

    def mailboxes(self) -> dict[str, bytes]:
        """Every mailbox that is, one that is gone, and one that never was."""
        keys = {name: account.device.key for name, account in self.accounts.items()}
        return keys | {"gone": self.gone.key, "nobody": self.nobody}


@asynccontextmanager
async def unread(connecting: AbstractAsyncContextManager[Peer]) -> AsyncIterator[Peer]:
    """A connection that is cut in the end, because a good-bye would wait behind what nobody has read."""
    async with connecting as peer:
        try:
            yield peer
        finally:
            peer.websocket.transport.abort()


async def _publish(peer: Peer, name: str, device: Device) -> None:
    one_time = range(1, ONE_TIME.get(name, 0) + 1)
    kinds = (PrekeyKind.ONE_TIME, PrekeyKind.ONE_TIME_KEM)
    prekeys = [*device.lasting(), *(device.prekey(kind, id) for kind in kinds for id in one_time)]
    for at in range(0, len(prekeys), 20):
        page = [prekey.encode() for prekey in prekeys[at : at + 20]]
        await peer.send(control.Publish(ref=7, prekeys=page))
        await peer.next(control.Published)


@asynccontextmanager
async def conditions(url: str) -> AsyncIterator[Conditions]:
    """For as long as this lasts, two of them are connected: one is seen by its contacts, one is not."""
    found = Conditions()
    names = (
        "away",
        "connected",
        "invisible",
        "full",
        "blocks",
        "no prekeys",
        "one prekey left",
        "unpublished",
    )
    async with AsyncExitStack() as lasting:
        for name in names:
            account = found.accounts[name] = Account()
            if name == "away":
                account.devices.append(found.gone)
            first = account.list()
            async with logged_in(url, account, pull=False) as device:
                if name != "unpublished":
                    await _publish(device, name, account.device)
                if name == "away":
                    account.devices.remove(found.gone)
                    await device.send(control.Register(ref=9, device_list=account.successor(first).encode()))
                    await device.next(control.Registered)
                    await device.send(control.Appear(secrets=[AWAY]))
                elif name == "blocks":
                    await device.allow()
                elif name == "full":
                    async with submitting(url) as contact:
                        for _ in range(HELD_BY_FULL):
                            await contact.put(account.device.key, envelope())
                            await contact.next(control.Accepted)
        for name, secrets in (("connected", [ONLINE]), ("invisible", [])):
            connecting = unread(logged_in(url, found.accounts[name]))
            device = await lasting.enter_async_context(connecting)
            await device.send(control.Appear(secrets=secrets))
            await device.allow(control.AllowedToken(hash=HELD))  # its answer: what was said before was heard
        yield found


WATCHED = {  # whose capability it is, and whether the relay may say so
    "away": (presence_capability(AWAY), False),
    "connected": (presence_capability(ONLINE), True),
    "invisible": (presence_capability(INVISIBLE), False),
    "nobody": (os.urandom(32), False),
}
