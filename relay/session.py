"""One connection as a protocol sees it: messages in, actions out.

Owns what each message does in each state. Knows no socket, store, clock or event loop: the time, the nonce
and whoever signs and verifies are handed in, and results of actions come back through the methods that
`relay.actions` names.
"""

from collections.abc import Collection, Sequence
from typing import Final

from relay.actions import (
    Acknowledge,
    Action,
    Allow,
    Appear,
    Close,
    Delete,
    Export,
    Fetch,
    Greeted,
    KeepCheckpoint,
    LogIn,
    Publish,
    Register,
    Say,
    Send,
    SendFrames,
    StartDelivery,
    Watch,
)
from relay.answers import (
    CLOSE_CODES,
    UNKNOWN_URL,
    error_message,
    frame_id_of,
    outcome_messages,
    ref_of,
    stock_message,
    verdicts_of,
)
from relay.attachments import Attachments
from relay.endings import Ending
from relay.firewall import Split
from relay.lanes import Batch, Kept, Lanes, Later, Outcome, Verdict
from relay.metrics import Drop
from relay.patience import Patience
from relay.rates import Pace
from relay.roles import Authority
from relay.states import BEFORE_LOGIN, TRANSITIONS, State
from relay.store.base import DeviceStatus, NewFrame, PutResult, StoredFrame, Token
from relay.window import Window
from wire import control
from wire.capabilities import presence_capability
from wire.device_lists import decode_device_list
from wire.errors import CloseCode, ErrorCode, WireError
from wire.frames import FLAG_REQUEST, encode_deliver, split_put
from wire.invites import invite_hash
from wire.limits import PROTOCOL_VERSION
from wire.login import Greeting
from wire.prekeys import decode_prekey
from wire.shortcuts import read_acknowledge, write_accepted

ERRORS_BEFORE_CLOSE: Final = 20


class Session:
    """The relay's side of one connection. `nonce`: 32 fresh random bytes; `origins`: the `public_urls`."""

    def __init__(
        self, authority: Authority, origins: Collection[str], nonce: bytes, pace: Pace, put: Split = split_put
    ) -> None:
        self._authority = authority
        self._origins = origins
        self._nonce = nonce
        self._pace = pace
        self._split = put
        self._greeting: Greeting | None = None
        self._device_key = b""
        self._login_signature = self._login_hash = b""
        self.registered = False
        self._errors = 0
        self._lanes = Lanes()
        self._patience = Patience()
        self._attachments = Attachments()
        self._window = Window()
        self.state = State.NEW

    # --- input -------------------------------------------------------------------------------------

    def receive_text(self, text: str, now: int) -> list[Action]:
        """A control message; `now` in Unix seconds."""
        if self.state is State.CLOSED:
            return []
        if self.state is State.DELIVERING and (through := read_acknowledge(text)) is not None:
            try:
                return self._acknowledge(through)
            except WireError as error:
                return self._broken(error, None)
        try:
            message = control.decode_client_message(text)
        except WireError as error:
            return self._broken(error, ref_of(text))
        try:
            return self._take(message, now)
        except WireError as error:
            return self._broken(error, getattr(message, "ref", None))

    def receive_binary(self, data: bytes) -> list[Action]:
        """A binary frame."""
        if self.state is State.CLOSED:
            return []
        try:
            if self.state is not State.SUBMIT:
                self._move("put")
            mailbox, frame_id, envelope = self._split(data)
        except WireError as error:
            return self._broken(error, None, frame_id_of(data) if self.state is State.SUBMIT else None)
        frame, token_hash = NewFrame(frame_id, envelope), self._attachments.token_hash_for(mailbox)
        refused = self._lanes.offer(mailbox, frame, token_hash)
        return [] if refused is None else self._tell([refused])

    @property
    def has_puts(self) -> bool:
        """Whether frames came that `read` has not been told of."""
        return self._lanes.has_offers

    def read(self) -> list[Batch]:
        """For now that was all the peer has said: its frames go on together."""
        return self._lanes.batches()

    def _move(self, event: str) -> None:
        next_state = TRANSITIONS[self.state].get(event)
        if next_state is None:
            why = "this may not be said now, or not on this kind of connection"
            raise WireError(ErrorCode.OUT_OF_TURN, why)
        self.state = next_state

    def _move_registered(self, event: str) -> None:
        if not self.registered and self.state is State.DEVICE:
            raise WireError(ErrorCode.NOT_REGISTERED, f"{event}: register this device first")
        self._move(event)

    def _take(self, message: control.ClientMessage, now: int) -> list[Action]:
        match message:
            case control.Hello():
                return self._hello(message, now)
            case control.Login():
                return self._login(message)
            case control.Register():
                self._move("register")
                self._pace.device(self._device_key)
                if not self.registered:  # keys are free: only the address tells who goes on making them
                    self._pace.newcomer()
                device_list = decode_device_list(message.device_list)
                if device_list.entry(self._device_key) is None:
                    why = "device list: this device is not in it"
                    raise WireError(ErrorCode.REGISTRATION_REFUSED, why, "device_list")
                self._authority.check_device_list(device_list)
                if self.registered:  # after the signature, or anybody could use up anybody's rate
                    self._pace.device_list(device_list.account_key)
                invite = None if message.invite is None else invite_hash(message.invite)
                return [Register(message.ref, device_list, invite)]
            case control.Publish():
                self._move_registered("publish")
                self._pace.device(self._device_key)
                prekeys = tuple(decode_prekey(item) for item in message.prekeys)
                self._authority.check_prekeys(self._device_key, prekeys)
                return [Publish(message.ref, prekeys, bool(message.anew))]
            case control.Fetch():
                self._move("fetch")
                self._pace.fetch()
                return [Fetch(message.ref, message.account_key, message.take, message.since)]
            case control.Attach():
                self._move("attach")
                self._attachments.attach(message.mailbox, message.token)
                return []
            case control.Watch():
                self._move("watch")
                self._pace.watch()
                self._attachments.watch(message.ref, message.capability)
                return [Watch(message.ref, message.capability)]
            case control.Allow():
                self._move_registered("allow")
                self._pace.device(self._device_key)
                if len({token.hash for token in message.tokens}) != len(message.tokens):
                    raise WireError(ErrorCode.BAD_REQUEST, "allow: a token occurs twice", "tokens")
                return [Allow(message.ref, tuple(Token(item.hash, item.until) for item in message.tokens))]
            case control.Appear():
                self._move_registered("appear")
                self._pace.device(self._device_key)
                return [Appear(tuple(map(presence_capability, message.secrets)))]
            case control.Checkpoint():
                self._move_registered("checkpoint")
                self._pace.device(self._device_key)
                return [KeepCheckpoint(message.checkpoint)]
            case control.Export():
                self._move_registered("export")
                self._pace.device(self._device_key)
                return [Export(message.ref, message.place)]
            case control.Delete():
                self._move("delete")  # also when it is gone already: who lost the answer asks again
                self._pace.deletion(self._device_key, is_known=self.registered)
                self._authority.check_deletion(message.account_key, self._login_hash, message.signature)
                return [Delete(message.ref, message.account_key)]
            case control.Pull():
                self._move_registered("pull")
                return [StartDelivery()]
            case control.Acknowledge():
                self._move("acknowledge")
                return self._acknowledge(message.through)

    def _acknowledge(self, through: int) -> list[Action]:
        return [Acknowledge(through)] if self._window.acknowledge(through) else []

    # --- hello and login ---------------------------------------------------------------------------

    def _hello(self, message: control.Hello, now: int) -> list[Action]:
        self._move(f"hello {message.mode}")
        if message.version != PROTOCOL_VERSION:
            self.state = State.NEW
            why = f"this relay speaks version {PROTOCOL_VERSION}"
            raise WireError(ErrorCode.UNSUPPORTED_VERSION, why, "version")
        if message.origin not in self._origins:
            self.state = State.NEW
            raise WireError(ErrorCode.WRONG_ORIGIN, UNKNOWN_URL, "origin")
        greeting = Greeting(
            message.mode, message.origin, self._authority.public, self._nonce, message.nonce, now
        )
        self._greeting = greeting
        answer = control.RelayHello(
            version=PROTOCOL_VERSION,
            relay_key=greeting.relay_key,
            nonce=greeting.relay_nonce,
            time=now,
            signature=self._authority.sign(greeting.hello_bytes()),
        )
        return [Send(answer), Greeted(message.mode)]

    def _login(self, message: control.Login) -> list[Action]:
        self._move("login")
        assert self._greeting is not None
        try:
            self._authority.check_login(self._greeting, message.device_key, message.signature)
        except WireError:
            self.state = State.GREETED
            raise
        self._device_key, self._login_signature = message.device_key, message.signature
        return [LogIn(message.device_key)]

    def welcome(self, status: DeviceStatus) -> list[Action]:
        """Answer the login with what the store knows of the device."""
        assert self._greeting is not None
        self.registered = status.registered
        transcript = self._greeting.welcome_bytes(self._device_key, self._login_signature)
        welcome = control.Welcome(
            signature=self._authority.sign(transcript),
            registered=status.registered,
            expired=status.expired,
            stock=stock_message(status.stock),
            checkpoint=status.checkpoint,
            full_at=status.full_at,
        )
        self._login_hash = self._greeting.login_hash(self._device_key, self._login_signature)
        # Half a KiB that is of no further use.
        self._greeting, self._login_signature, self._nonce = None, b"", b""
        return [Send(welcome)]

    # --- answers -----------------------------------------------------------------------------------

    def enrolled(self, ref: int) -> list[Action]:
        """The list is stored."""
        self.registered = True
        return [Send(control.Registered(ref=ref))]

    def deleted(self, ref: int, *, wiped: bool) -> list[Action]:
        """The account is gone, and this connection with it."""
        self.state = State.CLOSED
        return [Send(control.Deleted(ref=ref, wiped=wiped)), Close(CloseCode.ACCOUNT_DELETED)]

    # --- puts --------------------------------------------------------------------------------------

    @property
    def saturated(self) -> bool:
        """Whether the peer is not to be read on until earlier puts have their answer."""
        return self._lanes.full

    def settle(self, batch: Batch, results: Sequence[PutResult | Later] | WireError) -> list[Action]:
        """The store's answer to a batch."""
        if not isinstance(results, WireError) and results.count(PutResult.STORED) == len(batch.frames):
            frame_ids, following = self._lanes.kept(batch.mailbox)
            self._patience.kept(len(frame_ids))
            said: list[Action] = [Say(write_accepted(frame_ids))]
            return said if following is None else [*said, following]
        if isinstance(results, WireError):
            # The first stands for all: the others were not tried.
            verdicts: list[Verdict] = [results.code, *[ErrorCode.GO_BACK] * (len(batch.frames) - 1)]
        else:
            verdicts = verdicts_of(results)
        outcomes, following = self._lanes.settle(batch.mailbox, verdicts)
        actions = self._tell(outcomes)
        if following is not None:
            actions.append(following)
        if self._lanes.overgrown:
            why = "more full mailboxes on one connection than are remembered"
            actions += self._end(WireError(ErrorCode.QUOTA, why), Drop.TOO_MANY_ERRORS)
        return actions

    def _tell(self, outcomes: Sequence[Outcome]) -> list[Action]:
        for outcome in outcomes:
            if isinstance(outcome.verdict, Kept):
                self._patience.kept()
            else:
                self._patience.refused()
        return [*map(Send, outcome_messages(outcomes)), *self._lose_patience()]

    def _lose_patience(self) -> list[Action]:
        if not self._patience.is_over:
            return []
        why = "too much was sent after a refusal; wait as long as retry_after says"
        return self._end(WireError(ErrorCode.RATE_LIMITED, why), Drop.IMPATIENT)

    # --- delivery ----------------------------------------------------------------------------------

    @property
    def delivered(self) -> int:
        """The last sequence delivered on this connection."""
        return self._window.delivered

    def room(self) -> tuple[int, int]:
        """How many more frames and bytes of envelopes may be delivered unacknowledged."""
        return self._window.room()

    def deliver(self, frames: Sequence[StoredFrame]) -> list[Action]:
        """Hand frames to the device, in order."""
        if self.state is not State.DELIVERING:
            return []
        key, window, sent = self._device_key, self._window, []
        for frame in frames:
            window.deliver(frame.sequence, len(frame.envelope))
            flags = FLAG_REQUEST if frame.is_request else 0
            sent.append(encode_deliver(frame.frame_id, key, frame.sequence, flags, frame.envelope))
        return [SendFrames(sent)]

    # --- ends --------------------------------------------------------------------------------------

    def _broken(self, error: WireError, ref: int | None, frame_id: bytes | None = None) -> list[Action]:
        """The peer broke the protocol: tell it, and close before a login or when it does not stop."""
        if self.state in BEFORE_LOGIN:
            return self._end(error, None)
        if error.code is ErrorCode.RATE_LIMITED:  # asked too often, which breaks nothing
            self._patience.refused()
            return [Send(error_message(error, ref)), *self._lose_patience()]
        self._errors += 1
        answer: control.ControlMessage = error_message(error, ref)
        if frame_id is not None:
            answer = control.Refused(frame=frame_id, code=error.code, message=str(error))
        if self._errors < ERRORS_BEFORE_CLOSE:
            return [Send(answer)]
        self.state = State.CLOSED
        return [Send(answer), Close(CloseCode.BAD_REQUEST, Drop.TOO_MANY_ERRORS)]

    def _end(self, error: WireError, drop: Drop | None) -> list[Action]:
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        return [Send(error_message(error)), Close(CLOSE_CODES.get(error.code, CloseCode.BAD_REQUEST), drop)]

    def time_out(self) -> list[Action]:
        """The deadline for a login passed, or for the registration after it."""
        if self.state in BEFORE_LOGIN:
            why = "no finished hello or login in time; connect again"
        elif self.state is State.DEVICE and not self.registered:
            # Else keys out of thin air would hold a connection each for as long as their maker likes.
            why = "logged in, but not registered in time; connect again and register this device"
        else:
            return []
        return self._end(WireError(ErrorCode.LOGIN_TIMEOUT, why), Drop.LOGIN_TIMEOUT)

    def idle(self) -> list[Action]:
        """Nobody used this submit connection for too long."""
        if self.state is not State.SUBMIT:
            return []
        self.state = State.CLOSED
        return [Close(CloseCode.GOING_AWAY, Drop.IDLE)]

    def end(self, why: Ending) -> list[Action]:
        """It ends for a reason that is not in what was said here."""
        return self._end(why.error, why.drop)

    def too_slow(self, drop: Drop = Drop.SLOW_READER) -> list[Action]:
        """The peer does not read its answers; the queue is full, so only the close code tells it."""
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        return [Close(CloseCode.SLOW_READER, drop)]
