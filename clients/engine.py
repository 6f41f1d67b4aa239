"""The engine: plaintext in, envelopes out, and back.

Owns the order of steps on both sides: content, ratchet, seal; open, verify, decrypt. Touches no socket, file
or clock; what it must remember goes through `State`, inside a transaction that its caller opened. Until
an envelope has authenticated, nothing in the state changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from clients.engine_state import State
from clients.past import is_past, place_of
from keys.content import (
    MESSAGE_ID,
    Content,
    Extension,
    Kind,
    decode_content,
    list_extension,
    read_list_extension,
)
from keys.errors import DecryptError, ExpiredError, MissingListsError, VerificationError
from keys.handshake import HEADER_SIZE, HandshakeHeader, Party, accept, decode_header, initiate
from keys.identities import Device, verify_device_list, verify_successor
from keys.prekeys import verify_age, verify_bundle, verify_prekey
from keys.primitives import Random, sha256
from keys.seal import INNER_MAX, InnerType, Opened, open_envelope, seal
from keys.sessions import SILENT_KEEP, Session, Sessions
from keys.statics import Statics
from wire.binary import Reader
from wire.device_lists import LIST_MAX, DeviceList, decode_device_list
from wire.errors import WireError
from wire.prekeys import DeviceBundle, PrekeyKind, decode_prekey


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be said, before it has a place in a stream."""

    kind: Kind
    message_id: bytes
    body: bytes = field(repr=False)
    sent_ms: int
    extensions: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    sequence: int | None = None  # one that it had before; None for the next one


@dataclass(slots=True, repr=False)
class _Pen:
    """What is the same for all that is written to a device in one go, and how far it has come."""

    session: Session
    sealing: bytes
    stream: bytes
    claim: tuple[int, bytes]  # about our own device list
    next_sequence: int
    is_told: bool = False  # whether the device has our newest sealing key, or gets it now

    def number(self) -> int:
        """The next of the sequences that were reserved."""
        self.next_sequence += 1
        return self.next_sequence - 1


@dataclass(frozen=True, slots=True)
class Written:
    """A draft as it goes out to one device: its sequence, and one envelope, or two with an opening first."""

    sequence: int
    envelopes: tuple[bytes, ...] = field(repr=False)


class Undecryptable(DecryptError):
    """A known device has sealed this envelope, and what is in it cannot be decrypted."""

    def __init__(self, device_key: bytes) -> None:
        super().__init__()
        self.device_key = device_key


class _Refused(DecryptError):
    """What is not taken from this sender, whether it could be decrypted or not."""


class Alarm(Exception):
    """An account showed a device list that is not the signed successor of the one believed so far."""

    def __init__(self, account_key: bytes, sentence: str) -> None:
        super().__init__(sentence)
        self.account_key = account_key


class Ahead(Exception):
    """An opening shows a device list whose predecessors are not known here: first they are to be learnt."""

    def __init__(self, account_key: bytes, version: int) -> None:
        super().__init__("the device list is more than one version ahead")
        self.account_key = account_key
        self.version = version


@dataclass(frozen=True, slots=True)
class Received:
    """An authentic content and who sent it.

    `newer_list` asks for a fetch: the version of a device list that the sender has, if it is newer than the
    pinned one.
    `has_new_list`: another device list is believed of this sender from now on. `alarm` is a sentence when
    the sender claims another list of the same version (split view). `is_overtaken`: a REPAIR that was
    written before another one which is here already.
    """

    sender: Party
    content: Content
    newer_list: int = 0
    has_new_list: bool = False
    is_overtaken: bool = False
    alarm: str | None = None


class Engine:
    """One device's view of everybody else."""

    def __init__(self, device: Device, state: State, random: Random) -> None:
        self._device = device
        self._state = state
        self._random = random
        self._sealing, self._opening = Statics(), Statics()

    # --- sending --------------------------------------------------------------------------------------

    def learn_bundle(self, peer: Party, bundle: DeviceBundle, now: int) -> None:
        """Believe a fetched bundle's newer keys. Raises VerificationError."""
        device_key = peer.entry.device_key
        verify_bundle(bundle, peer.entry, now, self._state.newest_signed(device_key))
        self._state.learn_signed(device_key, bundle.signed.id)
        self._state.learn_sealing(device_key, bundle.sealing)

    def start_session(self, own: DeviceList, peer: Party, bundle: DeviceBundle, now: int) -> None:
        """Begin a session from a bundle that `learn_bundle` has believed. Raises DecryptError."""
        device_key = peer.entry.device_key
        header, agreement = initiate(self._device, self._party(own), peer, bundle, self._random)
        session = Session.initiate(own, header, agreement, bundle.signed.key, now)
        self._state.save_sessions(device_key, self._state.sessions(device_key).initiated(session))

    def has_session(self, device_key: bytes, now: int) -> bool:
        """Whether something can be written to this device at once.

        Not after 30 days in which the session was not heard: the other side may have dropped it by then.
        Not after 850 messages without a reply: should all of them be lost, the next could soon not be read,
        because it would jump too far. A new session begins there instead.
        """
        session = self._state.sessions(device_key).sending
        known = self._state.sealing_key(device_key) is not None
        if session is None or not known or session.heard < now - RENEW_SILENT:
            return False
        return session.ratchet.unanswered < RENEW_AFTER

    def write(self, own: DeviceList, device_key: bytes, drafts: Sequence[Draft]) -> list[Written]:
        """Encrypt and seal drafts for one device, in this order.

        Raises ValueError without a session or over the limit.
        """
        sessions = self._state.sessions(device_key)
        session, sealing = sessions.sending, self._state.sealing_key(device_key)
        if session is None or sealing is None:
            raise ValueError("no session with this device")
        # A text this large does not fit beside the handshake, so the handshake goes ahead of it.
        room = INNER_MAX - len(session.opening) - _ROOM if session.opening else INNER_MAX
        opened = [bool(session.opening) and len(draft.body) > room for draft in drafts]
        unnumbered = sum(draft.sequence is None for draft in drafts) + sum(opened)
        pen = _Pen(
            session, sealing, self._state.stream, list_extension(own.version, own.hash()),
            self._state.next_sequence(device_key, unnumbered) if unnumbered else 0,
        )  # fmt: skip
        written = []
        for draft, is_opened in zip(drafts, opened, strict=True):
            envelopes = []
            if is_opened:
                opening = Draft(Kind.OPEN, self._random(MESSAGE_ID), b"", draft.sent_ms)
                envelopes.append(self._write_one(device_key, pen, opening, pen.number(), opens=True))
            sequence = pen.number() if draft.sequence is None else draft.sequence
            opens = bool(session.opening) and not is_opened
            envelopes.append(self._write_one(device_key, pen, draft, sequence, opens=opens))
            written.append(Written(sequence, tuple(envelopes)))
        self._state.save_sessions(device_key, sessions.sent(pen.session))
        return written

    def _write_one(
        self, device_key: bytes, pen: "_Pen", draft: Draft, sequence: int, *, opens: bool
    ) -> bytes:
        extensions = [*draft.extensions, pen.claim]
        news = None
        if opens:
            news = self._state.own_sealing()
        elif not pen.is_told:
            news, pen.is_told = self._state.sealing_news(device_key), True
        if news is not None:
            extensions.append((Extension.SEALING_KEY, news.encode()))
        content = Content(
            draft.kind, draft.message_id, pen.stream, sequence, draft.sent_ms, draft.body, tuple(extensions)
        )
        opening = pen.session.opening
        pen.session, message = pen.session.encrypt(content.encode(), self._random)
        type = InnerType.OPENING if opens else InnerType.MESSAGE
        inner = opening + message if opens else message
        return seal(self._device, device_key, pen.sealing, type, inner, self._random, self._sealing)

    # --- receiving ------------------------------------------------------------------------------------

    def open(self, envelope: bytes, now: int) -> Received:
        """Open an envelope and advance the state.

        Raises DecryptError, which is Undecryptable if a device that is known has sealed it, Alarm when an
        authentic sender's device list contradicts the pinned one, Ahead when it may follow it, and that
        cannot be seen yet. The caller then rolls its transaction back.
        """
        opened = self._opened(envelope)
        sessions, known = self._state.sessions(opened.device_key), self._sealed_by(opened)
        before, has_new_list = sessions.sending, False
        try:
            if opened.type is InnerType.OPENING:
                sender, plaintext, has_new_list = self._open_opening(opened, sessions, now)
            elif known is None:
                raise DecryptError
            else:
                after, plaintext = sessions.decrypt(opened.inner, now)
                self._state.save_sessions(opened.device_key, after)
                sender = known
        except (_Refused, ExpiredError):
            raise
        except DecryptError:
            if known is None:
                raise
            raise Undecryptable(opened.device_key) from None
        content = decode_content(plaintext)
        is_repair = content.kind == Kind.REPAIR
        is_old = is_past(content, self._state.last_repair(opened.device_key), now)
        if is_old and before is not None:
            self._prefer(opened.device_key, before.ephemeral)
        elif is_repair and opened.type is InnerType.OPENING:
            _, header, _ = _split_opening(opened.inner)
            self._prefer(opened.device_key, header.ephemeral)
            self._state.save_repair(opened.device_key, place_of(content, now))
        offered = content.extension(Extension.SEALING_KEY)
        if offered is not None:
            # Whatever was newer is lost to who repairs, as its session was.
            is_only = is_repair and not is_old
            self._learn_sealing(sender.entry.device_key, offered, now, is_only=is_only)
        received = self._compare_lists(sender, content)
        return replace(received, has_new_list=has_new_list, is_overtaken=is_repair and is_old)

    def _prefer(self, device_key: bytes, ephemeral: bytes) -> None:
        sessions = self._state.sessions(device_key)
        self._state.save_sessions(device_key, sessions.preferring(ephemeral))

    def sender_of(self, envelope: bytes) -> Party | None:
        """The known device that has sealed an envelope, if one has; nothing in it is decrypted."""
        try:
            return self._sealed_by(self._opened(envelope))
        except DecryptError:
            return None

    def _opened(self, envelope: bytes) -> Opened:
        privates = self._state.sealing_privates()
        self._opening.keep(privates)
        return open_envelope(envelope, self._device.key, privates, self._opening)

    def _sealed_by(self, opened: Opened) -> Party | None:
        sender = self._state.party(opened.device_key)
        is_same = sender is not None and sender.entry.identity_key == opened.identity_key
        return sender if is_same else None

    def _open_opening(self, opened: Opened, sessions: Sessions, now: int) -> tuple[Party, bytes, bool]:
        devices, header, message = _split_opening(opened.inner)
        entry = devices.entry(opened.device_key)
        if entry is None or entry.identity_key != opened.identity_key:
            raise DecryptError
        try:
            verify_device_list(devices, devices.account_key)
        except VerificationError:
            raise DecryptError from None
        sender = Party(devices, entry)
        session = sessions.by_ephemeral(header.ephemeral)
        if session is not None:
            after, plaintext = session.decrypt(message, now)
            known = self._sealed_by(opened)
            if known is None:
                raise DecryptError  # removed from its list since, or sealed with another identity key
            self._state.save_sessions(opened.device_key, sessions.heard(after))
            return known, plaintext, False
        plaintext, has_new_list = self._accept(sender, header, message, sessions, now)
        return sender, plaintext, has_new_list

    def _accept(
        self, sender: Party, header: HandshakeHeader, message: bytes, sessions: Sessions, now: int
    ) -> tuple[bytes, bool]:
        """What was in the opening of a new session, and whether its list is news.

        One-time keys die in the transaction that keeps it (PQXDH section 3.4).
        """
        # A device that speaks for two accounts could get through one what the other was refused.
        if self._state.owner(sender.entry.device_key) not in (None, sender.devices.account_key):
            raise _Refused
        pinned = self._state.pinned(sender.devices.account_key)
        changed = self._judge_list(sender, pinned)
        own = self._state.own_list(header.list_version)
        if own is None or own.hash() != header.list_hash:
            raise DecryptError
        signed = self._state.private_prekey(PrekeyKind.SIGNED, header.signed_id)
        kem = self._state.private_prekey(header.kem_kind, header.kem_id)
        one_time = None
        if header.one_time_id:
            one_time = self._state.private_prekey(PrekeyKind.ONE_TIME, header.one_time_id)
            if one_time is None:
                raise DecryptError
        if signed is None or kem is None:
            raise DecryptError
        agreement = accept(self._device, self._party(own), sender, header, signed, kem, one_time)
        session, plaintext = Session.accept(header, agreement, signed.private, now).decrypt(message, now)
        if not self._state.spend_handshake(sha256(sender.entry.device_key + header.ephemeral)):
            raise DecryptError
        if one_time is not None:
            self._state.spend_prekey(PrekeyKind.ONE_TIME, header.one_time_id)
        if header.kem_kind is PrekeyKind.ONE_TIME_KEM:
            self._state.spend_prekey(PrekeyKind.ONE_TIME_KEM, header.kem_id)
        if changed:
            self._state.pin(sender.devices)
        self._state.save_sessions(sender.entry.device_key, sessions.accepted(session))
        return plaintext, changed

    def _judge_list(self, sender: Party, pinned: DeviceList | None) -> bool:
        """Whether the list in an opening is news. Raises Alarm if it contradicts the pinned one, or Ahead.

        An opening may have been on its way since before the last change of the list: that is no reason for
        an alarm, as long as its device is still in the list. A device that was removed is not heard.
        """
        if pinned is None:
            return True
        if sender.devices.version < pinned.version:
            if pinned.entry(sender.entry.device_key) != sender.entry:
                raise DecryptError
            return False
        try:
            return verify_successor(pinned, sender.devices)
        except MissingListsError:
            raise Ahead(sender.devices.account_key, sender.devices.version) from None
        except VerificationError as error:
            raise Alarm(sender.devices.account_key, str(error)) from None

    def _compare_lists(self, sender: Party, content: Content) -> Received:
        """Hold the sender's claim about its own list against the pinned one (device-list gossip).

        An older version is only a message from before; the same version with another hash is a split view.
        """
        claim = content.extension(Extension.DEVICE_LIST)
        pinned = self._state.pinned(sender.devices.account_key)
        if claim is None or pinned is None:
            return Received(sender, content)
        version, list_hash = read_list_extension(claim)
        if version == pinned.version and list_hash != pinned.hash():
            return Received(sender, content, alarm="this contact and the relay show different device lists")
        return Received(sender, content, newer_list=version if version > pinned.version else 0)

    def _learn_sealing(self, device_key: bytes, encoded: bytes, now: int, *, is_only: bool) -> None:
        try:
            prekey = decode_prekey(encoded)
            verify_prekey(prekey, device_key)
            verify_age(prekey, now)
        except (WireError, VerificationError):
            return  # an authentic sender with a broken sealing key harms nobody but itself
        if prekey.kind is PrekeyKind.SEALING:
            self._state.learn_sealing(device_key, prekey, is_only=is_only)

    def _party(self, own: DeviceList) -> Party:
        entry = own.entry(self._device.key)
        if entry is None:
            raise ValueError("this device is not in its own list")
        return Party(own, entry)


RENEW_AFTER = 850  # below MAX_JUMP of the ratchet by more than one batch, each with an opening ahead
RENEW_SILENT = SILENT_KEEP // 2
_ROOM = 1024  # content header, extensions and ratchet overhead beside the body, rounded up


def _split_opening(inner: bytes) -> tuple[DeviceList, HandshakeHeader, bytes]:
    """lp(device list) || handshake header || ratchet message."""
    reader = Reader(inner, "opening")
    try:
        devices = decode_device_list(reader.lp(LIST_MAX))
        return devices, decode_header(reader.take(HEADER_SIZE)), reader.rest()
    except WireError:
        raise DecryptError from None
