"""Attacks by strangers on an honest relay: guessing what lets one in, and learning who is there.

The relay is the real one with nobody in it; the strangers speak the protocol by hand.
"""

import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations
from typing import Any, Final
from unittest.mock import patch

from relay.store.beside import beside
from relay.store.invites import Invite, add
from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, answering, attack, valued
from tests.attacks.stage import Stage
from tests.relay.conditions import HELD_BY_FULL, conditions, unread
from tests.relay.devices import HELD, TOKEN, Account, envelope
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.relay.test_equal_answers import MEDIAN
from wire.capabilities import presence_capability, token_hash
from wire.control import (
    Accepted,
    AllowedToken,
    Appear,
    Attach,
    ControlMessage,
    Error,
    Presence,
    QueuedAsRequest,
    Refused,
    Register,
    Registered,
    Watch,
    decode_relay_message,
)
from wire.frames import Put
from wire.invites import invite_hash
from wire.limits import INVITE

ROUNDS: Final = 40
ALWAYS: Final = 0.75  # how often one is answered behind the other to be told from it; by chance 0.5 ± 0.08
SECRET: Final = b"presence of Bob."


@contextmanager
def settings(**settings: object) -> Iterator[None]:
    """What an operator has set, for the relays that begin meanwhile."""
    named = {f"BLINDPOST_RELAY_{name.upper()}": str(value) for name, value in settings.items()}
    with patch.dict(os.environ, named):
        yield


async def _answer(peer: Peer) -> ControlMessage:
    said = await peer.websocket.recv()
    assert isinstance(said, str)
    return decode_relay_message(said)


async def _guess(peer: Peer, mailbox: bytes, token: bytes) -> None:
    await peer.send(Attach(mailbox=mailbox, token=token))
    await peer.put(mailbox, envelope(), as_stranger=True)


@attack(
    defence="a frame counts as a contact's only with a token that the mailbox's own device has named",
    without=answering("relay.store.tables._holds", True),
)
async def guess_a_token(stage: Stage) -> Outcome:
    """As a stranger, try tokens: near misses, dead ones, and the hashes that a relay has on its disk."""
    dead = b"a token of old.."
    near = [(int.from_bytes(TOKEN, "big") ^ 1 << bit).to_bytes(16, "big") for bit in range(128)]
    guesses = [*near, bytes(16), HELD[:16], HELD[16:], dead, TOKEN[::-1]]
    with (
        settings(request_rate="1000+1000/s", request_frames=1000),
        patch("relay.intake.STRANGERS_WAIT", 0.0),
    ):
        url = (await stage.relay()).url.websocket
        bob = Account()
        async with logged_in(url, bob, pull=False) as device, submitting(url) as stranger:
            gone = AllowedToken(hash=token_hash(dead), until=1)
            await device.allow(AllowedToken(hash=HELD), gone)
            for guess in guesses:
                await _guess(stranger, bob.device.key, guess)
            taken = 0
            while taken < len(guesses):
                answer = await _answer(stranger)
                if isinstance(answer, Accepted):
                    return Succeeded("a guess lets a stranger in as a contact")
                assert isinstance(answer, QueuedAsRequest)
                taken += len(answer.frames)
            await _guess(stranger, bob.device.key, TOKEN)
            assert isinstance(await _answer(stranger), Accepted)  # the one that holds
    return Caught("the relay", "a stranger's requests, each of them", len(guesses))


def _lets_anybody_in(connection: object, terms: object) -> None:
    """In place of the look at the table of invites."""


@attack(
    defence="a new account comes in only with an invite that is stored, by its hash, not spent and not ended",
    without=Removal("relay.store.invites.spend", lambda _: _lets_anybody_in),
)
async def guess_an_invite(stage: Stage) -> Outcome:
    """Without an invite, try near misses, one that is spent or has ended, and the hashes on the disk"""
    good, spent, ended = (os.urandom(INVITE) for _ in range(3))
    near = [(int.from_bytes(good, "big") ^ 1 << bit).to_bytes(INVITE, "big") for bit in range(8 * INVITE)]
    stored = [invite_hash(each) for each in (good, spent, ended)]
    guesses = [
        *near,
        bytes(INVITE),
        spent,
        ended,
        *(each[at : at + INVITE] for each in stored for at in (0, 16)),
    ]
    ample = {"register_rate": "1000+1000/s", "device_rate": "1000+1000/s"}
    with settings(registration="invite", **ample):
        relay = await stage.relay()
    with beside(relay.directory / "relay.db") as connection:
        far = int(time.time()) + 3600
        add(connection, [Invite(stored[0], 1, far), Invite(stored[1], 0, far), Invite(stored[2], 5, 1)])
    stranger, answers = Account(), set[str]()
    async with dial(relay.url.websocket) as peer:
        await peer.log_in(stranger.device)
        for guess in guesses:
            await peer.send(Register(ref=1, device_list=stranger.list().encode(), invite=guess))
            answer = await _answer(peer)
            if isinstance(answer, Registered):
                return Succeeded("a guess lets a stranger in")
            assert isinstance(answer, Error)
            answers.add(answer.encode())
        await peer.send(Register(ref=1, device_list=stranger.list().encode(), invite=good))
        assert isinstance(await _answer(peer), Registered)
    assert len(answers) == 1
    return Caught("the relay", "one answer to each: the invite does not hold, or no longer", len(guesses))


class _Endless:
    """As much room as anybody asks for."""

    count = 10**6

    def give_back(self, count: int) -> None:
        """Nothing was taken."""


@attack(
    defence="strangers at one address put 20 frames to a mailbox, then 6 a minute",
    without=Removal("relay.rates.Pace.request", lambda _: lambda pace, mailbox, count: _Endless()),
)
async def guess_often(stage: Stage) -> Outcome:
    """As a stranger, try tokens as fast as a relay tells whether they hold."""
    tries, most = 60, 20
    with patch("relay.intake.STRANGERS_WAIT", 0.0):
        url = (await stage.relay()).url.websocket
        bob = Account()
        async with logged_in(url, bob, pull=False), submitting(url) as stranger:
            for _ in range(tries):
                await _guess(stranger, bob.device.key, os.urandom(16))
            told = heard = 0
            while heard < tries:
                answer = await _answer(stranger)
                kept = len(answer.frames) if isinstance(answer, QueuedAsRequest) else 0
                told, heard = told + kept, heard + (kept or 1)
    if told > most:
        return Succeeded(f"{told} guesses are judged at once, and as many as one likes")
    return Caught("the relay", f"{told} of {tries} guesses judged; the next in 10 s", tries)


def _shown_to_all(original: Callable[..., Any]) -> Callable[..., Any]:
    """A device appears under its own key, too."""

    def appear(presence: object, device_key: bytes, capabilities: Any) -> None:
        original(presence, device_key, [*capabilities, device_key] if capabilities else capabilities)

    return appear


@attack(
    defence="a device appears under capabilities that it has given away itself, and under nothing else",
    without=Removal("relay.presence.Presence.appear", _shown_to_all),
)
async def guess_presence(stage: Stage) -> Outcome:
    """Watch a device by everything about it that is public."""
    relay = await stage.relay()
    url, bob = relay.url.websocket, Account()
    public = [bob.key, bob.device.key, *(sha256(key).digest() for key in (bob.key, bob.device.key))]
    public += [presence_capability(key[at : at + 16]) for key in public[:2] for at in (0, 16)]
    public += [bytes(32), HELD]
    async with logged_in(url, bob) as device, submitting(url) as stranger:
        await device.send(Appear(secrets=[SECRET]))
        await device.allow(AllowedToken(hash=HELD))  # its answer: what was said before has been heard
        seen = []
        for capability in (*public, presence_capability(SECRET)):
            await stranger.send(Watch(ref=1, capability=capability))
            seen.append((await stranger.next(Presence)).online)
    assert seen.pop()  # the one that was given away
    if any(seen):
        return Succeeded("a stranger sees when bob is there")
    return Caught("the relay", "each is told what is told of nobody", len(public))


# --- time and size -------------------------------------------------------------------------------------


@dataclass
class _Probe:
    """A stranger before one mailbox: how long each answer took, and what it was but for the frame in it."""

    peer: Peer
    mailbox: bytes
    is_refused: bool = False
    times: list[float] = field(default_factory=list)
    answers: set[tuple[int, str]] = field(default_factory=set)

    async def put(self) -> None:
        """Put a frame, and note what comes of it."""
        # One that is refused is put again: others behind it would be refused for that.
        frame = Put(bytes(16) if self.is_refused else os.urandom(16), self.mailbox, envelope()).encode()
        began = time.perf_counter()
        await self.peer.websocket.send(frame)
        said = await self.peer.websocket.recv()
        self.times.append(time.perf_counter() - began)
        assert isinstance(said, str)
        message = decode_relay_message(said)
        assert isinstance(message, Refused) == self.is_refused
        self.answers.add((len(said), message.type))


def _told_apart(probes: dict[str, _Probe]) -> str | None:
    """Which two can be told apart by who is answered first of those who ask side by side, and how well."""
    for one, other in combinations(probes, 2):
        later = [mine - yours for mine, yours in zip(probes[one].times, probes[other].times, strict=True)]
        share, apart = sum(each > 0 for each in later) / len(later), abs(statistics.median(later))
        if max(share, 1 - share) > ALWAYS and apart > MEDIAN:
            return f"{one} from {other} by {apart * 1000:.1f} ms, right in {max(share, 1 - share):.0%}"
    return None


@attack(
    defence="what is not accepted is answered 50 ms after it came, whoever is there",
    without=valued("relay.intake.STRANGERS_WAIT", 0.0),
    fell="WhatsApp and Signal: the time that a silent message took told whether a phone was in use (Careless "
    "Whisper, 2024)",
)
async def time_answers(stage: Stage) -> Outcome:
    """As a stranger, tell by the answers' time or size who is away, connected, full, gone, or blocks one."""
    ample = {"request_rate": "100000+100000/s", "request_frames": 100_000, "request_bytes": 2**30}
    with settings(**ample, mailbox_frames=HELD_BY_FULL):
        relay = await stage.relay()
    async with AsyncExitStack() as open_:
        keys = (await open_.enter_async_context(conditions(relay.url.websocket))).mailboxes()
        probes = dict[str, _Probe]()
        for name, key in keys.items():
            peer = await open_.enter_async_context(unread(submitting(relay.url.websocket)))
            probes[name] = _Probe(peer, key, is_refused=name in ("gone", "nobody"))
        await probes["blocks"].peer.send(Attach(mailbox=keys["blocks"], token=TOKEN))
        contact = await open_.enter_async_context(unread(submitting(relay.url.websocket)))
        dice, found = random.Random(7), None
        for _ in range(2):  # twice as many before it counts: the machine may have been busy
            for _ in range(ROUNDS):
                await contact.put(keys["connected"], envelope())  # as its owner talks to somebody meanwhile
                order = dice.sample(list(probes.values()), len(probes))
                await asyncio.gather(*(probe.put() for probe in order))
            found = _told_apart(probes)
            if found is None:
                break
    answers = {answer for probe in probes.values() for answer in probe.answers}
    if found is not None or len(answers) != 2:
        return Succeeded(f"a stranger tells {found or f'them apart by {len(answers)} answers'}")
    how = "one answer for all mailboxes that are, one for all that are not, in one time"
    return Caught("the relay", how, ROUNDS * len(probes))


ATTACKS: Final[tuple[Attack, ...]] = (
    guess_a_token,
    guess_an_invite,
    guess_often,
    guess_presence,
    time_answers,
)
