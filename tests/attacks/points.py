"""Attacks with published keys of small order: whatever is multiplied with one of them, the result is zeros.

What rests on zeros, everybody can compute.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from clients import clock
from keys.errors import DecryptError
from keys.identities import Device
from keys.primitives import aead_decrypt, sign, unpad
from keys.seal import _LAYER1, _layer1_key, _layer2_key
from tests.attacks.attack import Attack, Outcome, Removal, Succeeded, attack, gained
from tests.attacks.offers import SECRET, UNSENT, is_sent, prekeys_of, show, strangers, with_prekeys
from tests.attacks.stage import Stage
from wire.control import Bundle
from wire.prekeys import Prekey, prekey_signed_bytes

P: Final = 2**255 - 19
_EIGHT: Final = (  # both of order 8
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
# Each x-coordinate of small order, in every encoding: above the prime, and with the bit that X25519 ignores.
SMALL: Final = tuple(
    (value | high).to_bytes(32, "little")
    for value in (0, 1, *_EIGHT, P - 1, P, P + 1)
    for high in (0, 1 << 255)
)
ZEROS: Final = bytes(32)
NOT_OF_ITS_KIND: Final = "a prekey is not a key of its kind"


def _taking_all(original: Callable[[bytes, bytes], bytes]) -> Callable[[bytes, bytes], bytes]:
    """X25519 as it comes out of the formula, without a look at the result."""

    def agreed(private: bytes, public: bytes) -> bytes:
        try:
            return original(private, public)
        except DecryptError:
            return ZEROS

    return agreed


UNCHECKED: Final = tuple(
    Removal(f"keys.{module}.dh", _taking_all)
    for module in ("primitives", "seal", "statics", "handshake", "ratchet")
)
DEFENCE: Final = "X25519 refuses a result of zeros, in all places"


def signed_by(device: Device, prekey: Prekey, key: bytes) -> Prekey:
    """This key in the place of another one, signed as it should be."""
    fields = (prekey.kind, device.key, prekey.id, prekey.created, key)
    return replace(prekey, key=key, signature=sign(device.seed, prekey_signed_bytes(*fields)))


@attack(defence=DEFENCE, without=UNCHECKED)
async def small_sealing_key(stage: Stage) -> Outcome:
    """Publish a sealing key of small order: whoever carries the envelopes opens their seals"""
    alice, bob, meddler = await strangers(stage)
    small = SMALL[0]

    def altered(bundle: Bundle) -> Bundle:
        true = prekeys_of(bundle)
        return with_prekeys(
            bundle, replace(true, sealing=signed_by(bob.profile.device, true.sealing, small)).prekeys()
        )

    show(meddler, altered)
    await alice.send("bob", SECRET)

    def opened() -> Succeeded | None:
        for put in meddler.puts:
            head, layer1 = put.envelope[:33], put.envelope[33 : 33 + _LAYER1]
            names = head[1:] + small + put.mailbox
            key1, nonce1 = _layer1_key(ZEROS, names)
            assert aead_decrypt(key1, nonce1, layer1, head)[:32] == alice.mailbox
            key2, nonce2 = _layer2_key(key1, ZEROS, names, layer1)
            unpad(aead_decrypt(key2, nonce2, put.envelope[33 + _LAYER1 :], head + layer1))
        return gained(meddler.puts, "the relay opens the seal without a key")

    return await stage.until(lambda: opened() or alice.says(NOT_OF_ITS_KIND, UNSENT, 0))


@attack(defence=DEFENCE, without=UNCHECKED)
async def small_prekeys(stage: Stage) -> Outcome:
    """Publish signed and one-time prekeys of small order: what rests on them, everybody can compute"""
    alice, bob, meddler = await strangers(stage)

    def altered(bundle: Bundle) -> Bundle:
        true, device = prekeys_of(bundle), bob.profile.device
        assert true.one_time is not None
        signed, one_time = (signed_by(device, each, SMALL[2]) for each in (true.signed, true.one_time))
        return with_prekeys(bundle, replace(true, signed=signed, one_time=one_time).prekeys())

    show(meddler, altered)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            is_sent(bob, meddler, "Alice agrees on zeros three times")
            or alice.says(NOT_OF_ITS_KIND, UNSENT, 0)
        )
    )


@attack(defence=DEFENCE, without=UNCHECKED)
async def small_identity_key(stage: Stage) -> Outcome:
    """List a device whose identity key is of small order"""
    alice, bob, meddler = await strangers(stage)
    profile = bob.profile
    small = replace(profile.device.entry(profile.account.key), identity_key=SMALL[4])
    signature = sign(profile.device.seed, small.signed_bytes(profile.account.key))
    entry = replace(small, signature=signature)
    listed = profile.account.sign_device_list((entry,), clock.now_seconds())
    show(meddler, lambda bundle: bundle.model_copy(update={"device_list": listed.encode()}))
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            is_sent(bob, meddler, "Alice agrees on zeros with the identity key")
            or alice.says("The keys that the relay gave for 'bob' do not hold", UNSENT, 0)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (small_sealing_key, small_prekeys, small_identity_key)
