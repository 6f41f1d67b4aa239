"""People who only send and people who only receive, each from an address of its own, at a real relay.

Owns who writes to whom, which is drawn at random, and in which order everything happens, which is drawn
apart: so whatever ties a sender to its recipient is the relay's doing. They speak the protocol by hand, and
each sender does on one submit connection all that a client does there.
"""

import asyncio
import json
import os
import random
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trustme
from websockets.asyncio.client import connect

from relay.config import Config
from tests.privacy import object_graph
from tests.relay.devices import Account, envelope
from tests.relay.peers import Peer
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess
from wire import control
from wire.capabilities import presence_capability, token_hash
from wire.control_values import encode_base64url
from wire.frames import Put
from wire.login import Mode

PAIRS: Final = 40
AT_ONCE: Final = 6
ROOT: Final = Path(__file__).parents[2]
# As relays have them: what remembers who came is a part of what is looked through.
RATES: Final = {name.value.replace("_", "-"): str(rate) for name, rate in Config().rates.items()}
RAISED: Final = {
    "http-rate": "1000000+1000000/s",  # the tests' own questions
    "register-rate": "120+600/min",  # else what it knows of an address would be waited for longest
}


@dataclass
class Person:
    """One account with one device; `address` is where it dials from."""

    address: str
    tls: ssl.SSLContext | None = None
    account: Account = field(default_factory=Account)
    token: bytes = field(default_factory=lambda: os.urandom(16))
    secret: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def keys(self) -> list[bytes]:
        return [self.account.key, self.account.device.key]

    @property
    def shown(self) -> list[bytes]:
        """What others use of it: hashes at the relay."""
        return [token_hash(self.token), self.token, presence_capability(self.secret)]

    @asynccontextmanager
    async def dial(self, url: str) -> AsyncIterator[Peer]:
        async with connect(
            url, ssl=self.tls, compression=None, proxy=None, max_size=None, local_addr=(self.address, 0)
        ) as websocket:
            yield Peer(websocket, url.removesuffix("/v1/ws"))

    async def log_in(self, peer: Peer) -> None:
        """What a client does at its first login, up to the prekeys."""
        await peer.log_in(self.account.device)
        await peer.register(self.account)
        await peer.allow(control.AllowedToken(hash=token_hash(self.token)))
        await peer.send(control.Appear(secrets=[self.secret]))
        await peer.publish(self.account.device, one_time=2)


@dataclass
class Scene:
    """All pairs at one relay: sender number n writes to recipient number n."""

    relay: RelayProcess
    place: str
    senders: list[Person]
    recipients: list[Person]
    envelopes: list[bytes] = field(default_factory=list)
    stay: AsyncExitStack = field(default_factory=AsyncExitStack)  # who is logged in
    open: AsyncExitStack = field(default_factory=AsyncExitStack)  # submit connections
    said: list[list[str]] = field(default_factory=list)  # what the relay answered to each sender

    @property
    def addresses(self) -> dict[str, list[bytes]]:
        """The address of each sender."""
        return {f"S{number}": [sender.address.encode()] for number, sender in enumerate(self.senders)}

    @property
    def keys(self) -> dict[str, list[bytes]]:
        """The device key of everybody."""
        return {
            f"{kind}{number}": [person.account.device.key]
            for kind, people in (("S", self.senders), ("R", self.recipients))
            for number, person in enumerate(people)
        }

    @property
    def names(self) -> dict[str, list[bytes]]:
        """What stands for each person."""
        return {
            f"{kind}{number}": [*person.keys, person.address.encode(), *(person.shown if kind == "R" else ())]
            for kind, people in (("S", self.senders), ("R", self.recipients))
            for number, person in enumerate(people)
        }

    async def everybody_logs_in(self) -> None:
        """In an order of their own. Half of them stay; of the recipients those read what comes."""
        half = len(self.senders) // 2
        # Not both or none of a pair: that would tie them as well.
        stay = [*random.sample(self.senders, half), *random.sample(self.recipients, half)]
        people = [*self.senders, *self.recipients]
        random.shuffle(people)
        await _some_at_a_time(self._log_in(person, any(person is each for each in stay)) for person in people)

    async def _log_in(self, person: Person, stays: bool) -> None:
        async with AsyncExitStack() as passing:
            stack = self.stay if stays else passing
            peer = await stack.enter_async_context(person.dial(self.relay.url))
            await person.log_in(peer)
            if stays and any(person is each for each in self.recipients):
                await peer.send(control.Pull())
                stack.push_async_callback(_end, asyncio.create_task(_acknowledge(peer)))

    async def everybody_sends(self) -> None:
        """Each on a submit connection of its own, which stays open."""
        self.said = [[] for _ in self.senders]
        numbers = list(range(len(self.senders)))
        random.shuffle(numbers)
        await _some_at_a_time(map(self._send, numbers))

    async def _send(self, number: int) -> None:
        """A bundle with prekeys, a watch, a stranger's frame, two of a contact, and three mistakes."""
        peer = await self.open.enter_async_context(self.senders[number].dial(self.relay.url))
        recipient, said = self.recipients[number], self.said[number]
        mailbox = recipient.account.device.key
        await peer.hello(Mode.SUBMIT)
        await peer.fetch(recipient.account.key, take=True)
        await peer.send(control.Watch(ref=1, capability=presence_capability(recipient.secret)))
        said.append((await peer.next(control.Presence)).type)
        put = Put(os.urandom(16), mailbox, envelope())
        await peer.websocket.send(put.encode())
        assert (await peer.next(control.QueuedAsRequest)).frames == [put.frame_id]
        await peer.send(control.Attach(mailbox=mailbox, token=recipient.token))
        for _ in range(2):
            put = Put(os.urandom(16), mailbox, envelope())
            await peer.websocket.send(put.encode())
            assert (await peer.next(control.Accepted)).frames == [put.frame_id]
        for wrong in ('{"type":"attach","mailbox":"' + mailbox.hex() + '"}', '{"type":"pull"}'):
            await peer.send_text(wrong)
            said.append((await peer.next(control.Error)).encode())
        put = Put(os.urandom(16), os.urandom(32), envelope())
        await peer.websocket.send(put.encode())
        said.append(
            (await peer.next(control.Refused)).encode().replace(encode_base64url(put.frame_id), "its id")
        )

    async def submit_connections_end(self) -> None:
        """In the order in which the stack has them, which the relay sees; returns when it has seen all."""
        await self.open.aclose()
        async with asyncio.timeout(20):
            while await metric(self.relay, 'blindpost_connections{mode="submit"}', self.senders[0].tls):
                pass

    async def look(self, names: dict[str, list[bytes]] | None = None) -> object_graph.Seen:
        """What the relay's objects tie together now, of all names that people have or of these."""
        return await asyncio.to_thread(self._look, self.names if names is None else names)

    def _look(self, looked_for: dict[str, list[bytes]]) -> object_graph.Seen:
        names = {who: [key.hex() for key in keys] for who, keys in looked_for.items()}
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(60)
            asking.connect(self.place)
            with asking.makefile("rw") as stream:
                stream.write(json.dumps({"names": names, "pairs": len(self.senders)}) + "\n")
                stream.flush()
                return object_graph.Seen(**json.loads(stream.readline()))


async def _some_at_a_time(work: Iterable[Coroutine[object, object, None]]) -> None:
    """A few at once, begun in this order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def do(one: Coroutine[object, object, None]) -> None:
        async with room:
            await one

    await asyncio.gather(*map(do, work))


async def _acknowledge(peer: Peer) -> None:
    while True:
        frame = await peer.next_frame()
        await peer.send(control.Acknowledge(through=frame.sequence))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _addresses(count: int) -> list[str]:
    """Loopback addresses, none a part of another one."""
    drawn = random.sample(range(100 * 100 * 100), count)
    return [f"127.{100 + n // 10_000}.{100 + n // 100 % 100}.{100 + n % 100}" for n in drawn]


@contextmanager
def scene(
    directory: Path, *leaks: str, pairs: int = PAIRS, tls: bool = False, **settings: object
) -> Iterator[Scene]:
    """Pairs at a relay in which these leaks are planted: see `tests.privacy.leaks`."""
    context = None
    if tls:
        authority, both = trustme.CA(), directory / "both.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(both)
        context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        settings |= {"tls_certificate": both, "tls_key": both}
    place = f"{directory}/w"
    addresses = _addresses(2 * pairs)
    given = {name.replace("_", "-"): value for name, value in settings.items()}
    with RelayProcess(
        directory,
        settings={"sockets-per-prefix": 200, "submit-per-prefix": 200, **RATES, **RAISED, **given},
        command=(sys.executable, "-m", "tests.privacy.watched_relay", place, ",".join(leaks)),
        cwd=ROOT,
    ) as relay:
        yield Scene(
            relay,
            place,
            [Person(address, context) for address in addresses[:pairs]],
            [Person(address, context) for address in addresses[pairs:]],
        )
