"""Rates in the session alone: what is refused, in which words, and that order holds behind it."""

from dataclasses import replace

import pytest

from relay.actions import Close, Send
from relay.auth import Authority
from relay.lanes import Later
from relay.metrics import Drop
from relay.patience import KEPT_COUNTS, REFUSED_MAX
from relay.session import ERRORS_BEFORE_CLOSE, Session
from relay.states import State
from relay.store.base import DeviceStatus, PutResult
from tests.relay.devices import Account, Device
from tests.relay.paces import Slow
from tests.relay.sessions import (
    KEY,
    MESSAGES,
    NONCE,
    ORIGIN,
    batch_of,
    closes,
    device_session,
    error_of,
    errors,
    hello,
    login,
    put,
    say,
    submit_session,
)
from tests.relay.test_session_tokens import BOX, OTHER, told
from wire import control
from wire.errors import CloseCode, ErrorCode
from wire.login import Mode


def slow_session(slow: Slow, mode: Mode, account: Account | None = None) -> Session:
    session = Session(Authority(KEY), {ORIGIN}, NONCE, slow.pace())
    say(session, hello(mode))
    if account is not None:
        say(session, login(account.device))
        session.welcome(DeviceStatus(registered=True))
    return session


def test_after_a_rate_refusal_order_holds() -> None:
    session = submit_session()
    first = batch_of(put(session, BOX, b"a"))
    for frame in (b"b", b"c", b"d"):
        put(session, BOX, frame)
    second = batch_of(session.settle(first, [PutResult.STORED]))
    put(session, BOX, b"e")
    refused = session.settle(second, [PutResult.STORED, Later(7), PutResult.UNTRIED])
    assert told(refused) == ["accepted b", "RATE_LIMITED c", "GO_BACK d", "GO_BACK e"]
    (refusal,) = [
        action.message
        for action in refused
        if isinstance(action, Send)
        and isinstance(action.message, control.Refused)
        and action.message.code is ErrorCode.RATE_LIMITED
    ]
    assert (refusal.retry_after, refusal.message) == (7, "too many frames for now; go on in 7 s")
    # Nothing to this mailbox goes before c; other mailboxes go on.
    assert told(put(session, BOX, b"d")) == ["GO_BACK d"]
    assert batch_of(put(session, OTHER, b"x")).mailbox == OTHER
    again = batch_of(put(session, BOX, b"c"))
    put(session, BOX, b"d")
    then = session.settle(again, [PutResult.STORED])
    assert told(then) == ["accepted c"]
    assert [frame.frame_id[:1] for frame in batch_of(then).frames] == [b"d"]


def test_a_fetch_too_many_is_refused_by_its_ref_and_breaks_nothing() -> None:
    session = slow_session(slow := Slow(fetch_rate="1+6/min"), Mode.SUBMIT)
    fetch = control.Fetch(ref=3, account_key=bytes(32), take=True)
    assert errors(say(session, fetch)) == []
    for _ in range(2 * ERRORS_BEFORE_CLOSE):
        error = error_of(say(session, fetch))
        assert (error.code, error.ref, error.retry_after) == (ErrorCode.RATE_LIMITED, 3, 10)
    slow.clock.pass_seconds(10)
    assert errors(say(session, fetch)) == []


def test_a_watch_begun_again_and_again_is_refused() -> None:
    session = slow_session(Slow(watch_rate="2+6/min"), Mode.SUBMIT)
    watch = control.Watch(ref=5, capability=bytes(32))
    assert [errors(say(session, watch)) for _ in range(3)] == [[], [], [ErrorCode.RATE_LIMITED]]


@pytest.mark.parametrize("event", ["register", "publish", "allow", "appear", "checkpoint"])
def test_a_device_changes_so_much_and_no_more(event: str) -> None:
    account = Account()
    messages = {
        **MESSAGES,
        "register": control.Register(ref=1, device_list=account.list().encode()),
        "publish": control.Publish(ref=2, prekeys=[account.device.lasting()[0].encode()]),
    }
    slow = Slow(device_rate="1+6/min")
    session = slow_session(slow, Mode.DEVICE, account)
    assert errors(say(session, messages[event])) == []
    error = error_of(say(session, messages[event]))
    assert (error.code, error.retry_after) == (ErrorCode.RATE_LIMITED, 10)
    assert error.ref == getattr(messages[event], "ref", None)
    # A new connection does not begin anew, another device does.
    assert errors(say(slow_session(slow, Mode.DEVICE, account), messages[event])) == [ErrorCode.RATE_LIMITED]
    other = slow_session(slow, Mode.DEVICE, Account())
    assert errors(say(other, control.Appear(secrets=[]))) == []


def test_a_signature_is_not_checked_for_whom_the_rate_refuses() -> None:
    account = Account()
    session = slow_session(Slow(device_rate="1+6/min"), Mode.DEVICE, account)
    forged = control.Publish(ref=2, prekeys=[Account().device.lasting()[0].encode()])
    assert errors(say(session, forged)) == [ErrorCode.BAD_PREKEY]
    assert errors(say(session, forged)) == [ErrorCode.RATE_LIMITED]


def test_no_signature_is_checked_for_who_is_not_registered() -> None:
    forged = control.Publish(ref=2, prekeys=[Account().device.lasting()[0].encode()])
    session = device_session(Account().device, registered=False)
    assert errors(say(session, forged)) == [ErrorCode.NOT_REGISTERED]
    for _ in range(ERRORS_BEFORE_CLOSE - 2):
        assert closes(say(session, forged)) == []
    assert closes(say(session, forged)) == [CloseCode.BAD_REQUEST]


def listing(account: Account) -> control.Register:
    return control.Register(ref=1, device_list=account.list().encode())


def unregistered(slow: Slow, account: Account, prefix: str) -> Session:
    session = Session(Authority(KEY), {ORIGIN}, NONCE, slow.pace(prefix))
    say(session, hello(Mode.DEVICE))
    say(session, login(account.device))
    session.welcome(DeviceStatus())
    return session


def test_keys_out_of_thin_air_bring_so_many_lists_from_an_address() -> None:
    slow, forged = Slow(register_rate="2+6/min"), Account()
    for code in (ErrorCode.REGISTRATION_REFUSED, None, ErrorCode.RATE_LIMITED):
        account = Account()
        listed = replace(account.list(), signature=forged.list().signature) if code else account.list()
        register = control.Register(ref=1, device_list=listed.encode())
        expected = [] if code is None else [code]
        assert errors(say(unregistered(slow, account, "192.0.2.7/32"), register)) == expected
    # The rate is the address's: no signature was checked for the third.
    account = Account()
    here, there = unregistered(slow, account, "192.0.2.7/32"), unregistered(slow, account, "192.0.2.8/32")
    error = error_of(say(here, listing(account)))
    assert (error.code, error.ref, error.retry_after) == (ErrorCode.RATE_LIMITED, 1, 10)
    assert errors(say(there, listing(account))) == []


def test_an_account_changes_its_list_so_often_on_all_its_devices() -> None:
    slow = Slow(list_rate="2+6/h", register_rate="1+1/h")
    account = Account(devices=[Device(), Device()])
    for device in account.devices:
        session = slow_session(slow, Mode.DEVICE, Account(account.signing, [device]))
        assert errors(say(session, listing(account))) == []
    error = error_of(say(slow_session(slow, Mode.DEVICE, account), listing(account)))
    assert (error.code, error.retry_after) == (ErrorCode.RATE_LIMITED, 600)
    other = Account()
    assert errors(say(slow_session(slow, Mode.DEVICE, other), listing(other))) == []


def test_nobody_uses_up_the_rate_of_an_account_without_its_key() -> None:
    slow, bob, mallory = Slow(list_rate="1+6/h"), Account(), Account()
    session = slow_session(slow, Mode.DEVICE, mallory)
    forged = Account(bob.signing, [bob.device, mallory.device]).list()
    forged = replace(forged, signature=mallory.list().signature)
    for _ in range(3):
        refused = say(session, control.Register(ref=1, device_list=forged.encode()))
        assert errors(refused) == [ErrorCode.REGISTRATION_REFUSED]
    assert errors(say(slow_session(slow, Mode.DEVICE, bob), listing(bob))) == []


def blocked_session() -> Session:
    """A session that waits for frame "a" of a mailbox to be tried again."""
    session = submit_session()
    session.settle(batch_of(put(session, BOX, b"a")), [Later(1)])
    return session


def test_whoever_does_not_wait_is_heard_for_so_long() -> None:
    session = blocked_session()
    for _ in range(REFUSED_MAX - 2):
        assert closes(put(session, BOX, b"z")) == []
    actions = put(session, BOX, b"z")
    assert errors(actions) == [ErrorCode.GO_BACK, ErrorCode.RATE_LIMITED]
    assert actions[-1] == Close(CloseCode.BAD_REQUEST, Drop.IMPATIENT)
    assert session.state is State.CLOSED
    assert put(session, BOX, b"a") == []


def test_frames_that_are_kept_make_up_for_refusals() -> None:
    session = blocked_session()
    for _ in range(3 * REFUSED_MAX // KEPT_COUNTS):
        for _ in range(KEPT_COUNTS):
            put(session, BOX, b"z")
        action = batch_of(put(session, OTHER, b"x"))
        assert closes(session.settle(action, [PutResult.STORED])) == []
