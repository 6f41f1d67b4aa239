"""control.json, frames.json, login.json and checkpoint.json: what travels between a client and its relay."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from keys.checkpoint import Checkpoint, open_checkpoint, seal_checkpoint
from keys.identities import Account, Device, verify_hello, verify_welcome
from keys.primitives import sign, signing_key, verify
from tests.vectors import independent
from tests.vectors.reading import NOW, Drawn, cases, fails, load, unhex
from wire.capabilities import presence_capability, token_hash
from wire.control import decode_client_message, decode_relay_message
from wire.frames import Deliver, Put, decode_deliver, decode_put
from wire.login import Greeting, Mode, deletion_bytes

CONTROL, FRAMES, LOGIN, CHECKPOINT = (load(name) for name in ("control", "frames", "login", "checkpoint"))


def test_control_messages() -> None:
    for text in CONTROL["client"]:
        assert decode_client_message(text).encode() == text
    for text in CONTROL["relay"]:
        assert decode_relay_message(text).encode() == text


@pytest.mark.parametrize("item", cases(CONTROL["refused_of_a_client"]))
def test_control_messages_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: decode_client_message(item["text"]))


def test_hashes_of_tokens_and_capabilities() -> None:
    for item in CONTROL["hashes"]:
        secret = unhex(item["secret"])
        assert token_hash(secret).hex() == item["token_hash"]
        assert presence_capability(secret).hex() == item["presence_capability"]
        assert independent.labelled_hash("token", secret).hex() == item["token_hash"]
        assert independent.labelled_hash("presence", secret).hex() == item["presence_capability"]


def test_frames() -> None:
    frame_id, mailbox, envelope = (unhex(FRAMES[name]) for name in ("frame_id", "mailbox", "envelope"))
    put = unhex(FRAMES["put"])
    assert decode_put(put) == Put(frame_id, mailbox, envelope)
    assert Put(frame_id, mailbox, envelope).encode() == put == b"\1\1" + frame_id + mailbox + envelope
    for item in FRAMES["deliver"]:
        frame = Deliver(frame_id, mailbox, item["sequence"], item["flags"], envelope)
        assert decode_deliver(unhex(item["encoded"])) == frame
        assert frame.encode().hex() == item["encoded"]
        middle = f"{item['sequence']:016x}{item['flags']:02x}"
        assert item["encoded"] == "0201" + frame_id.hex() + mailbox.hex() + middle + envelope.hex()


@pytest.mark.parametrize("item", cases(FRAMES["refused_put"]))
def test_puts_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: decode_put(unhex(item["encoded"])))


@pytest.mark.parametrize("item", cases(FRAMES["refused_deliver"]))
def test_delivers_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: decode_deliver(unhex(item["encoded"])))


def greeting_of(item: dict[str, Any]) -> Greeting:
    relay_key, relay_nonce, nonce = (
        unhex(item[name]) for name in ("relay_key", "relay_nonce", "client_nonce")
    )
    return Greeting(Mode(item["mode"]), item["origin"], relay_key, relay_nonce, nonce, item["time"])


@pytest.mark.parametrize("kind", ["device", "submit"])
def test_hellos(kind: str) -> None:
    item = LOGIN[kind]
    greeting, signature = greeting_of(item), unhex(item["hello_signature"])
    origin = item["origin"].encode()
    fields = len(origin).to_bytes(4, "big") + origin + greeting.relay_key
    fields += greeting.relay_nonce + greeting.client_nonce
    mode = {"device": b"\1", "submit": b"\2"}[kind]
    hello = b"blindpost/v1/hello\0" + mode + fields + item["time"].to_bytes(8, "big") + b"\x01"
    assert greeting.hello_bytes() == hello == unhex(item["hello_bytes"])
    assert greeting.relay_key == signing_key(unhex(LOGIN["relay_seed"]))
    assert verify_hello(greeting, signature)
    assert signature == independent.signature(unhex(LOGIN["relay_seed"]), hello)


def test_logins() -> None:
    item = LOGIN["device"]
    greeting, device = greeting_of(item), Device(unhex(LOGIN["device_seed"]), bytes(32), NOW)
    origin = item["origin"].encode()
    login = b"blindpost/v1/login\0" + len(origin).to_bytes(4, "big") + origin + greeting.relay_key
    login += greeting.relay_nonce + greeting.client_nonce + device.key
    login += item["time"].to_bytes(8, "big") + b"\x01"
    assert device.key.hex() == item["device_key"]
    assert greeting.login_bytes(device.key) == login == unhex(item["login_bytes"])
    signed = unhex(item["login_signature"])
    assert device.sign_login(greeting) == signed == independent.signature(device.seed, login)
    welcome = b"blindpost/v1/login-ack\0" + hashlib.sha256(login + signed).digest()
    assert greeting.welcome_bytes(device.key, signed) == welcome == unhex(item["welcome_bytes"])
    assert sign(unhex(LOGIN["relay_seed"]), welcome).hex() == item["welcome_signature"]
    assert verify_welcome(greeting, device.key, signed, unhex(item["welcome_signature"]))


def test_deletions() -> None:
    """On the connection of the login above."""
    item, account = LOGIN["deletion"], Account(unhex(LOGIN["deletion"]["account_seed"]))
    login = unhex(LOGIN["device"]["login_bytes"]) + unhex(LOGIN["device"]["login_signature"])
    login_hash = hashlib.sha256(login).digest()
    assert login_hash.hex() == item["login_hash"]
    wish = b"blindpost/v1/account-deletion\0" + account.key + login_hash
    assert deletion_bytes(account.key, login_hash) == wish == unhex(item["bytes"])
    signature = independent.signature(account.seed, wish)
    assert account.sign_deletion(login_hash) == signature == unhex(item["signature"])


@pytest.mark.parametrize("item", cases(LOGIN["not_holding"]))
def test_no_signature_of_a_login_holds_for_anything_else(item: dict[str, Any]) -> None:
    right = LOGIN["device"]
    other = greeting_of({**right, **item["change"]})
    key, signed = unhex(right["device_key"]), unhex(right["login_signature"])
    assert replace(other, mode=Mode.DEVICE) != greeting_of(right)
    assert not verify_hello(other, unhex(right["hello_signature"]))
    assert not verify(key, other.login_bytes(key), signed)
    assert not verify_welcome(other, key, signed, unhex(right["welcome_signature"]))
    assert not verify_hello(replace(greeting_of(right), mode=Mode.SUBMIT), unhex(right["hello_signature"]))


def test_checkpoints() -> None:
    device = Device(unhex(CHECKPOINT["device_seed"]), bytes(32), NOW)
    checkpoint = Checkpoint(CHECKPOINT["number"], unhex(CHECKPOINT["id"]), tuple(CHECKPOINT["next_prekeys"]))
    sealed = unhex(CHECKPOINT["sealed"])
    assert open_checkpoint(device, sealed) == checkpoint
    assert seal_checkpoint(device, checkpoint, Drawn(CHECKPOINT["random"])) == sealed
    again = independent.checkpoint(
        device.seed, checkpoint.number, checkpoint.id, checkpoint.next_prekeys, unhex(CHECKPOINT["random"])
    )
    assert again == (unhex(CHECKPOINT["key"]), unhex(CHECKPOINT["associated"]), sealed)


@pytest.mark.parametrize("item", cases(CHECKPOINT["refused"]))
def test_checkpoints_that_do_not_open(item: dict[str, str]) -> None:
    device = Device(unhex(CHECKPOINT["device_seed"]), bytes(32), NOW)
    fails(item, lambda: open_checkpoint(device, unhex(item["sealed"])))
