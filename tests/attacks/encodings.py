"""Attacks with what has two encodings, or a signature that holds for everything."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack, gained
from tests.attacks.impostor import Impostor
from tests.attacks.offers import SECRET, UNSENT, is_sent, prekeys_of, show, strangers, with_prekeys
from tests.attacks.stage import Stage
from tests.relay.peers import dial
from wire.addresses import Address
from wire.control import Bundle, Error, Login, Welcome, decode_relay_message
from wire.errors import ErrorCode
from wire.login import Mode

NEUTRAL: Final = b"\x01" + bytes(31)  # the point that changes nothing, as an Ed25519 key
ORDER: Final = 2**252 + 27742317777372353535851937790883648493  # of the base point of Ed25519


def _as_openssl_does(original: object) -> Callable[[bytes, bytes, bytes], bool]:
    """Ed25519 as RFC 8032 leaves it open: keys of small order are keys."""

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    return verify


@attack(
    defence="Ed25519 keys of small order sign nothing",
    without=Removal("keys.identities.verify", _as_openssl_does),
    fell="Monero and its kin: a part of small order let money be spent again (found and mended in 2017)",
)
async def small_account_key(stage: Stage) -> Outcome:
    """Give an address whose key is of small order: one signature of everybody's holds for every list"""
    relay = await stage.relay()
    alice, impostor = await stage.person("alice", relay), Impostor()
    impostor.forge(NEUTRAL, seed=impostor.account.seed)
    impostor.devices = replace(impostor.devices, signature=NEUTRAL + bytes(32))
    impostor.state.own_lists[1] = impostor.devices
    bob = await stage.person("bob", relay)
    show(relay.meddler, lambda bundle: impostor.shown(bundle.ref))

    def on_hear(connection: object, message: Any) -> Any:
        is_fetch = getattr(message, "account_key", None) == NEUTRAL
        return message.model_copy(update={"account_key": bob.profile.account.key}) if is_fetch else message

    relay.meddler.on_hear = on_hear
    alice.contacts.add("everybody", Address(NEUTRAL, relay.url))
    await alice.send("everybody", SECRET)
    return await stage.until(
        lambda: (
            impostor.reads(relay.meddler.puts, SECRET)
            or alice.says("signature of the device list does not hold", UNSENT, 0)
        )
    )


@attack(
    defence="the relay's door to libsodium refuses such keys, too",
    without=Removal("relay.auth.is_signed", _as_openssl_does),
)
async def small_login_key(stage: Stage) -> Outcome:
    """Log in with a device key of small order: no private key is needed, and one signature answers all"""
    relay = await stage.relay()
    async with dial(relay.url.websocket) as peer:
        await peer.hello(Mode.DEVICE)
        await peer.send(Login(device_key=NEUTRAL, signature=NEUTRAL + bytes(32)))
        answer = decode_relay_message(str(await peer.websocket.recv()))
    if isinstance(answer, Welcome):
        return Succeeded("whoever likes is logged in as that device")
    assert isinstance(answer, Error)
    assert answer.code is ErrorCode.LOGIN_REFUSED
    return Caught("relay", f"refused: {answer.message}", 0)


def _reduced(original: Callable[[bytes, bytes, bytes], bool]) -> Callable[[bytes, bytes, bytes], bool]:
    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        s = int.from_bytes(signature[32:], "little") % ORDER
        return original(key, message, signature[:32] + s.to_bytes(32, "little"))

    return verify


@attack(
    defence="a signature has one encoding: s is below the order",
    without=Removal("keys.prekeys.verify", _reduced),
    fell="Bitcoin: whoever carried a transaction could give it another name (2014)",
)
async def second_signature(stage: Stage) -> Outcome:
    """Give a true signature on a prekey its second form, s plus the order"""
    alice, bob, meddler = await strangers(stage)

    def altered(bundle: Bundle) -> Bundle:
        true = prekeys_of(bundle)
        first = true.signed.signature
        s = int.from_bytes(first[32:], "little") + ORDER
        signed = replace(true.signed, signature=first[:32] + s.to_bytes(32, "little"))
        return with_prekeys(bundle, replace(true, signed=signed).prekeys())

    show(meddler, altered)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            is_sent(bob, meddler, "one prekey has two signatures that hold")
            or alice.says("the signature of a prekey does not hold", UNSENT, 0)
        )
    )


def _of_points(original: Callable[..., Any]) -> Callable[..., Any]:
    """A seal that works on the point and forgets how it was written."""

    def opened(envelope: bytes, *others: Any) -> Any:
        return original(envelope[:32] + bytes([envelope[32] & 0x7F]) + envelope[33:], *others)

    return opened


@attack(
    defence="the bytes of an ephemeral key, not its point, go into the keys of the seal",
    without=Removal("keys.seal._open", _of_points),
)
async def second_encoding(stage: Stage) -> Outcome:
    """Set the bit of an envelope's key that X25519 ignores, so that a replay has another hash"""
    relay = await stage.relay()
    _, bob = await stage.pair(relay)
    put = next(each for each in relay.meddler.puts if each.mailbox == bob.mailbox)
    envelope = put.envelope
    other = envelope[:32] + bytes([envelope[32] | 0x80]) + envelope[33:]
    await relay.inject(bob.mailbox, other, os.urandom(16))
    return await stage.until(
        lambda: (
            gained(bob.says("The session is made anew", "", 1), "Bob throws his session away over a replay")
            or bob.says("could not be opened", "counted, and without any effect", 1)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (small_account_key, small_login_key, second_signature, second_encoding)
