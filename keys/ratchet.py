"""The Double Ratchet between two devices, as one immutable value.

Owns Double Ratchet revision 4, section 3, with a plain header: the seal around it hides the header from
the relay. `decrypt` computes a new value and returns it only after the message has authenticated; the old
value is never touched. Knows nothing of handshakes, contents or storage.

One departure: the sending side of a DH step is taken at the next `encrypt`, not on receipt, so that
receiving needs no randomness. The chains are the same ones.

| offset | size | ratchet message                                       |
|-------:|-----:|-------------------------------------------------------|
|      0 |   32 | ratchet key (X25519)                                  |
|     32 |    4 | length of the previous sending chain                  |
|     36 |    4 | number in this chain                                  |
|     40 |   16 | fresh randomness                                      |
|     56 |   32 | key commitment                                        |
|     88 |    - | ciphertext and 16-byte tag; AD = session AD || header |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from keys.chain import OVERHEAD, ChainKey, MessageKey, RootKey
from keys.errors import DecryptError, ExpiredError
from keys.primitives import KEY, Random, dh, dh_key
from keys.secrecy import Secret
from wire.binary import Reader, u8, u32, u64

HEADER: Final = 40
MESSAGE_OVERHEAD: Final = HEADER + OVERHEAD
MAX_JUMP: Final = 1000  # message keys skipped in one chain; checked before any is derived
MAX_SKIPPED: Final = 2000  # stored in all; the oldest go first
SKIPPED_KEEP: Final = 30 * 86_400  # the mailbox TTL: nothing older can still arrive
_RECORD: Final = 1
_NONE: Final = bytes(KEY)

# (ratchet key, number) -> (key, stored at). None in the place of a key that has been dropped for its age.
Skipped = Mapping[tuple[bytes, int], tuple[MessageKey | None, int]]
_Places = dict[tuple[bytes, int], tuple[MessageKey | None, int]]


@dataclass(frozen=True, slots=True)
class Ratchet(Secret):
    """State of one session. `remote` is None only for the acceptor before the first message."""

    root: RootKey = field(repr=False)
    associated: bytes = field(repr=False)
    own_private: bytes = field(repr=False)
    remote: bytes | None
    sending: ChainKey | None = field(repr=False)
    receiving: ChainKey | None = field(repr=False)
    previous_length: int
    skipped: Skipped = field(repr=False)
    # The public half of `own_private`, once it was needed: it is in every header of a sending chain.
    own_key: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def initiate(cls, root_key: bytes, associated: bytes, remote: bytes) -> "Ratchet":
        """The initiator's first state: `remote` is the acceptor's signed prekey (section 3.3)."""
        return cls(RootKey(root_key), associated, _NONE, remote, None, None, 0, MappingProxyType({}))

    @classmethod
    def accept(cls, root_key: bytes, associated: bytes, own_private: bytes) -> "Ratchet":
        """The acceptor's first state: `own_private` belongs to its signed prekey (section 3.3)."""
        return cls(RootKey(root_key), associated, own_private, None, None, None, 0, MappingProxyType({}))

    def encrypt(self, plaintext: bytes, random: Random) -> tuple["Ratchet", bytes]:
        """RatchetEncrypt (section 3.4): the next state and the ratchet message."""
        state = self if self.sending is not None else self._step_sending(random)
        assert state.sending is not None
        if state.sending.number >= 2**32 - 1:
            raise ValueError("sending chain is exhausted")
        sending, message_key = state.sending.advance()
        own_key = state.own_key or dh_key(state.own_private)
        header = own_key + u32(state.previous_length) + u32(state.sending.number)
        body = message_key.encrypt(plaintext, self.associated + header, random)
        return replace(state, sending=sending, own_key=own_key), header + body

    def _step_sending(self, random: Random) -> "Ratchet":
        if self.remote is None:
            raise ValueError("nothing has been received on this session yet")
        private = random(KEY)
        root, sending = self.root.advance(dh(private, self.remote))
        return replace(self, root=root, own_private=private, own_key=None, sending=sending)

    def decrypt(self, message: bytes, now: int) -> tuple["Ratchet", bytes]:
        """RatchetDecrypt (section 3.5): the next state and the plaintext.

        Raises DecryptError, which is ExpiredError for a skipped message whose key has been dropped.
        """
        if len(message) < MESSAGE_OVERHEAD:
            raise DecryptError
        header, body = message[:HEADER], message[HEADER:]
        remote = header[:KEY]
        previous_length = int.from_bytes(header[KEY : KEY + 4], "big")
        number = int.from_bytes(header[KEY + 4 :], "big")

        stored = self.skipped.get((remote, number))
        if stored is not None:
            message_key, at = stored
            if message_key is None or at < now - SKIPPED_KEEP:
                raise ExpiredError
            plaintext = message_key.decrypt(body, self.associated + header)
            rest = {place: key for place, key in self.skipped.items() if place != (remote, number)}
            return replace(self, skipped=MappingProxyType(_pruned(rest, now))), plaintext

        is_step = remote != self.remote
        done = self.receiving.number if self.receiving is not None else 0
        jump, closing = (number, previous_length - done) if is_step else (number - done, 0)
        if not 0 <= jump <= MAX_JUMP or closing > MAX_JUMP or number >= 2**32 - 1:
            raise DecryptError
        if not is_step and self.receiving is None:
            raise DecryptError
        state = self._step_receiving(remote) if is_step else self
        assert state.receiving is not None
        passed, chain = state.receiving.to(number)
        receiving, message_key = chain.advance()
        plaintext = message_key.decrypt(body, self.associated + header)
        # Only now: for a forged message no more is derived than what shows that it is.
        skipped = dict(self.skipped)
        if is_step and self.receiving is not None:
            self._skip(skipped, self.receiving.to(previous_length)[0], now)
        state._skip(skipped, passed, now)
        kept = MappingProxyType(_pruned(skipped, now))
        return replace(state, receiving=receiving, skipped=kept), plaintext

    @property
    def received(self) -> tuple[bytes | None, int]:
        """How far the receiving side has come: the other side's ratchet key, and the next number."""
        return self.remote, self.receiving.number if self.receiving is not None else 0

    @property
    def signed_private(self) -> bytes | None:
        """The private half of our signed prekey, which the acceptor holds until it answers."""
        is_kept = self.own_private != _NONE and self.sending is None and self.previous_length == 0
        return self.own_private if is_kept else None

    @property
    def unanswered(self) -> int:
        """How many messages the sending chain has given since the last reply."""
        return self.sending.number if self.sending is not None else 0

    def pruned(self, now: int, since: int) -> "Ratchet":
        """Without the skipped keys that are over 30 days old, nor the places of those before `since`."""
        kept = {place: key for place, key in _pruned(dict(self.skipped), now).items() if key[1] >= since}
        return replace(self, skipped=MappingProxyType(kept))

    def _step_receiving(self, remote: bytes) -> "Ratchet":
        root, receiving = self.root.advance(dh(self.own_private, remote))
        length = self.sending.number if self.sending is not None else self.previous_length
        return replace(
            self, root=root, remote=remote, receiving=receiving, sending=None, previous_length=length
        )

    def _skip(self, skipped: _Places, passed: list[ChainKey], now: int) -> None:
        """Store the message keys of chain keys that were passed; the caller has bounded how many."""
        assert self.remote is not None
        for chain in passed:
            skipped[(self.remote, chain.number)] = (chain.message_key(), now)

    def to_record(self) -> bytes:
        """The state as bytes, for an encrypted store. Secret."""
        fixed = self.root.value + self.associated + self.own_private + (self.remote or _NONE)
        chains = _chain_record(self.sending) + _chain_record(self.receiving) + u32(self.previous_length)
        keys = b"".join(
            place[0] + u32(place[1]) + (_NONE if key is None else key.value) + u64(at)
            for place, (key, at) in self.skipped.items()
        )
        return u8(_RECORD) + fixed + chains + u32(len(self.skipped)) + keys

    @classmethod
    def from_record(cls, record: bytes) -> "Ratchet":
        """The state that `to_record` wrote."""
        reader = Reader(record, "ratchet record")
        if reader.u8() != _RECORD:
            raise ValueError("ratchet record of an unknown version")
        root, associated, own = RootKey(reader.take(KEY)), reader.take(KEY), reader.take(KEY)
        remote = reader.take(KEY)
        sending, receiving, length = _read_chain(reader), _read_chain(reader), reader.u32()
        skipped = {
            (reader.take(KEY), reader.u32()): (_read_skipped(reader.take(KEY)), reader.u64())
            for _ in range(reader.u32())
        }
        reader.end()
        peer = None if remote == _NONE else remote
        return cls(root, associated, own, peer, sending, receiving, length, MappingProxyType(skipped))


def _pruned(skipped: _Places, now: int) -> _Places:
    """With only the places of keys that are too old, and without the oldest of what is too much.

    A place tells that its message came late, from one that shows a session to be broken. (Dicts keep their
    order.)
    """
    kept = {place: (key if at >= now - SKIPPED_KEEP else None, at) for place, (key, at) in skipped.items()}
    excess = len(kept) - MAX_SKIPPED
    return dict(list(kept.items())[excess:]) if excess > 0 else kept


def _read_skipped(value: bytes) -> MessageKey | None:
    return None if value == _NONE else MessageKey(value)


def _chain_record(chain: ChainKey | None) -> bytes:
    return bytes(KEY + 5) if chain is None else b"\x01" + chain.value + u32(chain.number)


def _read_chain(reader: Reader) -> ChainKey | None:
    present, value, number = reader.u8(), reader.take(KEY), reader.u32()
    return ChainKey(value, number) if present else None
