"""Attacks on the post-quantum part of the handshake: its key replaced, left out, or one of another kind."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from clients import clock
from keys.prekeys import PrivatePrekey
from keys.primitives import dh, dh_key, kem_key
from tests.attacks.attack import Attack, Outcome, Removal, answering, attack, valued
from tests.attacks.offers import (
    FORGED,
    SECRET,
    UNSENT,
    Offered,
    held_by,
    made_for,
    prekeys_of,
    reads_first,
    show,
    strangers,
    with_prekeys,
)
from tests.attacks.stage import Stage
from wire.control import Bundle
from wire.prekeys import DeviceBundle, Prekey, PrekeyKind, decode_prekey

NOBODYS: Final = bytes(64)  # a KEM key that everybody has the private half of


@attack(
    defence="each device signs its prekeys, the ML-KEM keys too",
    without=answering("keys.prekeys.verify", True),
)
async def swap_kem_key(stage: Stage) -> Outcome:
    """Put the relay's own ML-KEM key into a true bundle, and wait for a quantum computer to do the rest"""
    alice, bob, meddler = await strangers(stage)
    held: list[Offered] = []

    def swapped(bundle: Bundle) -> Bundle:
        true, kem = prekeys_of(bundle), made_for(bob, prekeys_of(bundle).kem)
        signed, _, one_time = held_by(bob, true)  # which that computer will find from the public ones
        held.append((signed, kem, one_time))
        return with_prekeys(bundle, replace(true, kem=kem.public).prekeys())

    show(meddler, swapped)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            (held and reads_first(meddler, bob, held[0], "a quantum computer"))
            or alice.says(FORGED, UNSENT, 0)
        )
    )


def _classical(original: Callable[[bytes, list[bytes]], DeviceBundle]) -> Callable[..., DeviceBundle]:
    """A client that does without ML-KEM where there is no key for it."""

    def decoded(device_key: bytes, encoded: list[bytes]) -> DeviceBundle:
        prekeys = [decode_prekey(each) for each in encoded]
        if any(prekey.kind in (PrekeyKind.LAST_RESORT_KEM, PrekeyKind.ONE_TIME_KEM) for prekey in prekeys):
            return original(device_key, encoded)
        signed, sealing, *rest = prekeys
        none = Prekey(PrekeyKind.LAST_RESORT_KEM, 1, clock.now_seconds(), kem_key(NOBODYS), b"")
        return DeviceBundle(device_key, signed, sealing, none, rest[0] if rest else None)

    return decoded


@attack(
    defence="a bundle has an ML-KEM key, or is none: there is no handshake without",
    without=(
        Removal("clients.mailroom.decode_device_bundle", _classical),
        Removal(
            "keys.prekeys.verify_prekey",
            lambda original: lambda prekey, key: original(prekey, key) if prekey.signature else None,
        ),
    ),
    fell="Signal's clients took bundles without one while PQXDH was introduced (from 2023)",
)
async def strip_kem_key(stage: Stage) -> Outcome:
    """Leave the ML-KEM key out of a bundle, and wait for a quantum computer"""
    alice, bob, meddler = await strangers(stage)
    held: list[Offered] = []

    def stripped(bundle: Bundle) -> Bundle:
        true = prekeys_of(bundle)
        assert true.one_time is not None
        signed, _, one_time = held_by(bob, true)
        none = Prekey(PrekeyKind.LAST_RESORT_KEM, 1, 0, kem_key(NOBODYS), b"")
        held.append((signed, PrivatePrekey(NOBODYS, none), one_time))
        return with_prekeys(bundle, [true.signed, true.sealing, true.one_time])

    show(meddler, stripped)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            (held and reads_first(meddler, bob, held[0], "a quantum computer"))
            or alice.says("prekeys of the wrong kind", UNSENT, 0)
        )
    )


def _any_kind(device_key: bytes, encoded: list[bytes]) -> DeviceBundle:
    signed, sealing, kem, *rest = (decode_prekey(each) for each in encoded)
    return DeviceBundle(device_key, signed, sealing, kem, rest[0] if rest else None)


def _encapsulate_to_any(
    original: Callable[[bytes], tuple[bytes, bytes]],
) -> Callable[..., tuple[bytes, bytes]]:
    """A KEM interface that takes an X25519 key as well: an ephemeral key is the ciphertext."""

    def encapsulate(public: bytes) -> tuple[bytes, bytes]:
        if len(public) != 32:
            return original(public)
        private = os.urandom(32)
        return dh(private, public), dh_key(private) + bytes(1056)

    return encapsulate


@attack(
    defence="a key is used for what its signed kind says, and for nothing else",
    without=(
        Removal("clients.mailroom.decode_device_bundle", lambda original: _any_kind),
        Removal("keys.handshake.kem_encapsulate", _encapsulate_to_any),
        Removal(
            "keys.handshake.kem_decapsulate",
            lambda original: lambda key, sent: dh(key, sent[:32]) if len(key) == 32 else original(key, sent),
        ),
        valued("keys.handshake.KEM_KINDS", tuple(PrekeyKind)),
    ),
    fell="the first revision of PQXDH did not rule it out (Bhargavan et al., 2024)",
)
async def x25519_as_kem(stage: Stage) -> Outcome:
    """Hand the victim's signed X25519 prekey out in the place of its ML-KEM key"""
    alice, bob, meddler = await strangers(stage)
    held: list[Offered] = []

    def confused(bundle: Bundle) -> Bundle:
        true = prekeys_of(bundle)
        signed, _, one_time = held_by(bob, true)
        held.append((signed, signed, one_time))
        return with_prekeys(bundle, replace(true, kem=true.signed).prekeys())

    show(meddler, confused)
    await alice.send("bob", SECRET)
    return await stage.until(
        lambda: (
            (held and reads_first(meddler, bob, held[0], "a quantum computer"))
            or alice.says("prekeys of the wrong kind", UNSENT, 0)
        )
    )


ATTACKS: Final[tuple[Attack, ...]] = (swap_kem_key, strip_kem_key, x25519_as_kem)
