"""Device lists, what may follow them, and prekeys."""

from dataclasses import replace

from keys.identities import Device
from keys.prekeys import PrivatePrekey
from keys.primitives import sign
from scripts.make_vectors.people import ALICE, BOB, MALFORMED, NOW, UNVERIFIED, File, flipped, named, refused
from wire.device_lists import DeviceList
from wire.limits import MLKEM_PUBLIC_KEY
from wire.prekeys import Prekey, PrekeyKind, prekey_signed_bytes


def device_lists() -> File:
    """Version 1 with one device, version 2 with two, and lists that must not hold."""
    second = Device(named("alice second device"), named("alice second identity"), NOW + 5)
    first = ALICE.devices
    entries = tuple(device.entry(ALICE.account.key) for device in (ALICE.device, second))
    after = ALICE.account.sign_device_list(entries, NOW + 10, first)
    valid = [
        {
            "account_seed": ALICE.account.seed.hex(),
            "devices": [
                {
                    "seed": device.seed.hex(),
                    "identity_private": device.identity_private.hex(),
                    "created": device.created,
                }
                for device in devices
            ],
            "version": item.version,
            "previous": item.previous.hex(),
            "created": item.created,
            "encoded": item.encode().hex(),
            "hash": item.hash().hex(),
        }
        for item, devices in ((first, [ALICE.device]), (after, [ALICE.device, second]))
    ]
    unordered = replace(after, devices=after.devices[::-1])
    repeated = replace(after, devices=(after.devices[0], after.devices[0]))
    stolen = ALICE.account.sign_device_list(BOB.devices.devices, NOW)
    malformed = {
        "trailing byte": after.encode() + b"\0",
        "truncated": after.encode()[:-1],
        "devices out of order": unordered.encode(),
        "a device twice": repeated.encode(),
        "version 1 with a predecessor": replace(first, previous=named("previous")).encode(),
        "version 2 without a predecessor": replace(after, previous=bytes(32)).encode(),
    }
    not_holding = {
        "signature changed": flipped(first.encode(), len(first.encode()) - 1),
        "time changed": replace(first, created=NOW + 1).encode(),
        "another account's list": BOB.devices.encode(),
        "another account's device": stolen.encode(),
    }
    return {
        "valid": valid,
        "malformed": [refused(MALFORMED, why, encoded=item) for why, item in malformed.items()],
        "account_key": ALICE.account.key.hex(),
        "not_holding": [refused(UNVERIFIED, why, encoded=item) for why, item in not_holding.items()],
        "successions": successions(first, after),
    }


def successions(first: DeviceList, second: DeviceList) -> list[File]:
    """Who believes `known` is shown `offered`, and perhaps the lists between: what then is."""
    account = ALICE.account
    third = account.sign_device_list(first.devices, NOW + 20, second)
    other = account.sign_device_list(first.devices, NOW + 11, first)
    beyond = account.sign_device_list(first.devices, NOW + 20, other)
    shown: list[tuple[str, DeviceList, list[DeviceList], DeviceList, str]] = [
        ("the same list", first, [], first, "nothing new"),
        ("the next version", first, [], second, "successor"),
        ("two versions ahead, with the one between", first, [second], third, "successor"),
        ("two versions ahead, with one of before, too", first, [first, second], third, "successor"),
        ("two versions ahead", first, [], third, "missing lists"),
        ("two versions ahead, with another list between", first, [other], third, "fork"),
        ("an older version", second, [], first, "fork"),
        ("the same version, another list", second, [], other, "fork"),
        ("the next version, of another list", second, [], beyond, "fork"),
        ("another account's", first, [], BOB.devices, UNVERIFIED),
    ]
    return [
        {
            "why": why,
            "known": known.encode().hex(),
            "between": [item.encode().hex() for item in between],
            "offered": offered.encode().hex(),
            "result": result,
        }
        for why, known, between, offered, result in shown
    ]


def signed_anyway(kind: PrekeyKind, key: bytes) -> bytes:
    """A prekey that the device has signed, and that is no key."""
    signature = sign(BOB.device.seed, prekey_signed_bytes(kind, BOB.device.key, 7, NOW, key))
    return Prekey(kind, 7, NOW, key, signature).encode()


def prekeys() -> File:
    """One prekey of each kind, and what must not hold."""

    def described(prekey: PrivatePrekey) -> File:
        public = prekey.public
        return {
            "kind": int(public.kind),
            "id": public.id,
            "created": public.created,
            "private": prekey.private.hex(),
            "encoded": public.encode().hex(),
        }

    signed = BOB.prekeys[PrekeyKind.SIGNED].public
    encoded = signed.encode()
    malformed = {
        "unknown kind": b"\x06" + encoded[1:],
        "id zero": replace(signed, id=0).encode(),
        "trailing byte": encoded + b"\0",
        "truncated": encoded[:-1],
    }
    not_holding = {
        "another kind": replace(signed, kind=PrekeyKind.SEALING).encode(),
        "another id": replace(signed, id=signed.id + 1).encode(),
        "another time": replace(signed, created=NOW + 1).encode(),
        "another device's": ALICE.prekeys[PrekeyKind.SIGNED].public.encode(),
        "a key of small order, well signed": signed_anyway(PrekeyKind.SIGNED, bytes(32)),
        "no KEM key, well signed": signed_anyway(PrekeyKind.ONE_TIME_KEM, b"\xff" * MLKEM_PUBLIC_KEY),
    }
    return {
        "device_seed": BOB.device.seed.hex(),
        "valid": [described(prekey) for prekey in BOB.prekeys.values()],
        "malformed": [refused(MALFORMED, why, encoded=item) for why, item in malformed.items()],
        "not_holding": [refused(UNVERIFIED, why, encoded=item) for why, item in not_holding.items()],
    }
