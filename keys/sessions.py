"""Sessions with one device: which one sends, which ones still receive.

Owns the choice among up to five sessions (Sesame revision 2 keeps old ones for the same reason: messages
may be on their way). As in Sesame, the session that the other side is heard on becomes the one that sends;
when both sides initiate at once, the lower transcript hash sends until one is heard. Knows nothing of seals
or storage.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from keys.errors import DecryptError, ExpiredError
from keys.handshake import HEADER_SIZE, Agreement, HandshakeHeader
from keys.primitives import KEY, Random
from keys.ratchet import Ratchet
from keys.secrecy import Secret
from wire.binary import Reader, lp, u8, u64
from wire.device_lists import LIST_MAX, DeviceList
from wire.limits import ENVELOPE_MAX

MAX_SESSIONS: Final = 5
SIMULTANEOUS: Final = 60  # seconds within which two sessions count as begun at once
SILENT_KEEP: Final = 60 * 86_400  # a session that does not send and was not heard for so long is dropped
OPENING_MAX: Final = 4 + LIST_MAX + HEADER_SIZE
_RECORD: Final = 1


@dataclass(frozen=True, slots=True)
class Session(Secret):
    """One session. `opening` is repeated in front of every message until the first reply, then empty.

    `heard` is when it last received, or began: Unix seconds.
    """

    transcript: bytes
    ephemeral: bytes
    opening: bytes = field(repr=False)
    heard: int
    ratchet: Ratchet = field(repr=False)

    @classmethod
    def initiate(
        cls, own: DeviceList, header: HandshakeHeader, agreement: Agreement, signed_prekey: bytes, now: int
    ) -> "Session":
        """The initiator's session. `opening` = lp(own device list) || handshake header."""
        ratchet = Ratchet.initiate(agreement.root_key, agreement.associated, signed_prekey)
        return cls(agreement.transcript, header.ephemeral, lp(own.encode()) + header.encode(), now, ratchet)

    @classmethod
    def accept(
        cls, header: HandshakeHeader, agreement: Agreement, signed_private: bytes, now: int
    ) -> "Session":
        """The acceptor's session."""
        ratchet = Ratchet.accept(agreement.root_key, agreement.associated, signed_private)
        return cls(agreement.transcript, header.ephemeral, b"", now, ratchet)

    def encrypt(self, content: bytes, random: Random) -> tuple["Session", bytes]:
        """The next state and a ratchet message, without the opening."""
        ratchet, message = self.ratchet.encrypt(content, random)
        return replace(self, ratchet=ratchet), message

    def decrypt(self, message: bytes, now: int) -> tuple["Session", bytes]:
        """The next state and the content. A reply ends the opening. Raises DecryptError."""
        ratchet, content = self.ratchet.decrypt(message, now)
        return replace(self, ratchet=ratchet, opening=b"", heard=now), content

    def to_record(self) -> bytes:
        """The session as bytes, for an encrypted store. Secret."""
        head = u8(_RECORD) + self.transcript + self.ephemeral + lp(self.opening) + u64(self.heard)
        return head + self.ratchet.to_record()

    @classmethod
    def from_record(cls, record: bytes) -> "Session":
        """The session that `to_record` wrote."""
        reader = Reader(record, "session record")
        if reader.u8() != _RECORD:
            raise ValueError("session record of an unknown version")
        transcript, ephemeral, opening = reader.take(KEY), reader.take(KEY), reader.lp(OPENING_MAX)
        return cls(transcript, ephemeral, opening, reader.u64(), Ratchet.from_record(reader.rest()))


@dataclass(frozen=True, slots=True)
class Sessions(Secret):
    """All sessions with one device, at most five. The first one sends; all of them receive."""

    all: tuple[Session, ...] = ()

    def __iter__(self) -> Iterator[Session]:
        return iter(self.all)

    @property
    def sending(self) -> Session | None:
        """The session that sends, or None before the first handshake."""
        return self.all[0] if self.all else None

    def by_ephemeral(self, ephemeral: bytes) -> Session | None:
        """The session that a handshake with this ephemeral key made."""
        return next((session for session in self.all if session.ephemeral == ephemeral), None)

    def sent(self, session: Session) -> "Sessions":
        """With the state that `encrypt` left in the place of the earlier one."""
        return Sessions(tuple(session if s.transcript == session.transcript else s for s in self.all))

    def heard(self, session: Session) -> "Sessions":
        """With the state that `decrypt` left.

        It sends from now on if its receiving chain moved on: whoever was heard there can also be reached
        there, whatever a relay held back or sent late. A skipped key that was used says nothing new.
        """
        before = next(s for s in self.all if s.transcript == session.transcript)
        if session.ratchet.received == before.ratchet.received:
            return self.sent(session)
        return Sessions((session, *(s for s in self.all if s.transcript != session.transcript)))

    def preferring(self, ephemeral: bytes) -> "Sessions":
        """With the session of this handshake as the one that sends: the other side can read no other."""
        chosen = self.by_ephemeral(ephemeral)
        if chosen is None:
            return self
        return Sessions((chosen, *(s for s in self.all if s.transcript != chosen.transcript)))

    def initiated(self, session: Session) -> "Sessions":
        """With a new session of ours, which sends: there was a reason to begin it."""
        return Sessions((session, *self.all)[:MAX_SESSIONS])

    def accepted(self, session: Session) -> "Sessions":
        """With a new session of theirs, which sends unless one of ours is unanswered, young and lower.

        An unanswered one of ours that has stood for over a minute did not begin at the same time: perhaps
        it cannot be accepted at all.
        """
        first = self.sending
        is_rival = first is not None and first.opening and session.heard - first.heard <= SIMULTANEOUS
        if first is not None and is_rival and first.transcript < session.transcript:
            return Sessions((first, session, *self.all[1:])[:MAX_SESSIONS])
        return self.initiated(session)

    def tidied(self, now: int, since: int, signed: Collection[bytes]) -> "Sessions":
        """Without sessions that were silent for 60 days, except the one that sends, and without old keys.

        Nothing that was sealed before `since` can be opened any more. `signed` are the private halves of our
        signed prekeys: one that is gone from there does not go on in a session that was never answered.
        """
        kept = (
            s
            for at, s in enumerate(self.all)
            if (at == 0 or s.heard >= now - SILENT_KEEP)
            and ((private := s.ratchet.signed_private) is None or private in signed)
        )
        return Sessions(tuple(replace(s, ratchet=s.ratchet.pruned(now, since)) for s in kept))

    def decrypt(self, message: bytes, now: int) -> tuple["Sessions", bytes]:
        """Try each session. Returns the next state and the content. Raises DecryptError or ExpiredError."""
        failed = DecryptError()
        for session in self.all:
            try:
                after, content = session.decrypt(message, now)
            except ExpiredError as error:
                failed = error
            except DecryptError:
                continue
            else:
                return self.heard(after), content
        raise failed

    def to_record(self) -> bytes:
        """All sessions as bytes, for an encrypted store. Secret."""
        return u8(_RECORD) + u8(len(self.all)) + b"".join(lp(s.to_record()) for s in self.all)

    @classmethod
    def from_record(cls, record: bytes) -> "Sessions":
        """The sessions that `to_record` wrote."""
        reader = Reader(record, "sessions record")
        if reader.u8() != _RECORD:
            raise ValueError("sessions record of an unknown version")
        sessions = tuple(Session.from_record(reader.lp(ENVELOPE_MAX * 16)) for _ in range(reader.u8()))
        reader.end()
        return cls(sessions)
