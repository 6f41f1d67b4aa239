"""Two sides of one session, of which one is ours, and a network between them that does what networks do."""

import random as pseudorandom
from collections import Counter
from dataclasses import dataclass, field

import pytest
from doubleratchet import AuthenticationFailedException, DoSProtectionException, DuplicateMessageException

from keys.errors import DecryptError
from keys.primitives import dh_key
from keys.ratchet import Ratchet
from tests.keys.oracles.ratchet_of_others import AS_SPECIFIED, Other, Parts
from tests.keys.parties import NOW, Seeded, flipped

# When the previous chain was much longer theirs warns and goes on, where ours refuses; here that is an error.
REFUSED = (
    DecryptError,
    AuthenticationFailedException,
    DuplicateMessageException,
    DoSProtectionException,
    UserWarning,
)


class Ours:
    """keys.ratchet behind the same two verbs. Each state goes through its record, as it does in a store."""

    def __init__(self, state: Ratchet, seed: str) -> None:
        self.state = state
        self._random = Seeded(seed)

    async def encrypt(self, plaintext: bytes) -> bytes:
        state, message = self.state.encrypt(plaintext, self._random)
        self.state = Ratchet.from_record(state.to_record())
        return message

    async def decrypt(self, message: bytes) -> bytes:
        state, plaintext = self.state.decrypt(message, NOW)
        self.state = Ratchet.from_record(state.to_record())
        return plaintext


Side = Ours | Other


def sides(seed: str, *, we_initiate: bool, parts: Parts = AS_SPECIFIED) -> tuple[Side, Side]:
    """Initiator and acceptor of one session, of which one is ours."""
    random = Seeded(seed)
    root, associated, signed = random(32), random(32), random(32)
    remote = dh_key(signed)
    if we_initiate:
        ours = Ratchet.initiate(root, associated, remote)
        return Ours(ours, seed), Other(root, associated, signed_private=signed, parts=parts)
    ours = Ratchet.accept(root, associated, signed)
    return Other(root, associated, remote=remote, parts=parts), Ours(ours, seed)


@dataclass
class Way:
    """What travels in one direction, and what has arrived there."""

    writer: Side
    reader: Side
    travelling: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    opened: list[bytes] = field(default_factory=list)
    newest: int = 0


class Network:
    """Two sides that write by chance, and a network that keeps, swaps, loses, repeats and spoils."""

    def __init__(self, initiator: Side, acceptor: Side, seed: int) -> None:
        self.there, self.back = Way(initiator, acceptor), Way(acceptor, initiator)
        self.counts = Counter[str]()
        self.ratchet_keys: set[bytes] = set()
        self._chance = pseudorandom.Random(seed)

    async def write(self, way: Way) -> None:
        self.counts["written"] += 1
        text = f"message {self.counts['written']} ".encode() * self._chance.randrange(1, 4)
        message = await way.writer.encrypt(text)
        self.ratchet_keys.add(message[:32])
        way.travelling.append((self.counts["written"], message, text))

    async def arrive(self, way: Way) -> None:
        """A message arrives, perhaps behind a spoilt copy. It must open, with the text that was written."""
        # Mostly one of the oldest, so that the ratchet keeps turning; now and then any.
        among = len(way.travelling) if self._chance.random() < 0.2 else min(3, len(way.travelling))
        number, message, text = way.travelling.pop(self._chance.randrange(among))
        if self._chance.random() < 0.15:
            spoilt = flipped(message, self._chance.randrange(len(message)), self._chance.randrange(8))
            with pytest.raises(REFUSED):
                await way.reader.decrypt(spoilt)
            self.counts["spoilt"] += 1
        assert await way.reader.decrypt(message) == text
        self.counts["opened"] += 1
        self.counts["late"] += number < way.newest
        way.newest = max(way.newest, number)
        way.opened.append(message)

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            way, what = self._chance.choice((self.there, self.back)), self._chance.random()
            if what < 0.3 and (way is self.there or self.there.opened):
                for _ in range(self._chance.randrange(1, 4)):
                    await self.write(way)
            elif what < 0.9 and way.travelling:
                await self.arrive(way)
            elif what < 0.95 and way.travelling:
                way.travelling.pop(self._chance.randrange(len(way.travelling)))
                self.counts["lost"] += 1
            elif way.opened:
                with pytest.raises(REFUSED):
                    await way.reader.decrypt(self._chance.choice(way.opened))
                self.counts["repeated"] += 1
        for way in (self.there, self.back):
            while way.travelling:
                await self.arrive(way)
        assert self.counts["opened"] + self.counts["lost"] == self.counts["written"]
