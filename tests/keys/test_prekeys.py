"""keys.prekeys: signed with kind, device, id and time; bundles that a relay cannot mix or age."""

from dataclasses import replace
from typing import Any

import pytest

from keys.errors import VerificationError
from keys.prekeys import generate_prekey, verify_age, verify_bundle, verify_prekey
from keys.primitives import dh_key, kem_key
from tests.keys.parties import ALICE, BOB, DAY, NOW, Seeded, flipped
from wire.limits import CLOCK_SKEW, SIGNED_PREKEY_MAX_AGE
from wire.prekeys import DeviceBundle, Prekey, PrekeyKind, decode_prekey


def made(kind: PrekeyKind, id: int = 50, now: int = NOW) -> Prekey:
    return generate_prekey(BOB.device, kind, id, now, Seeded(f"{kind}{id}{now}")).public


@pytest.mark.parametrize("kind", PrekeyKind)
def test_a_prekey_of_every_kind_holds_and_has_its_private_half(kind: PrekeyKind) -> None:
    both = BOB.private(kind)
    verify_prekey(decode_prekey(both.public.encode()), BOB.device.key)
    assert both.public.key == (kem_key if "KEM" in kind.name else dh_key)(both.private)


@pytest.mark.parametrize("kind", PrekeyKind)
def test_a_prekey_cannot_be_presented_as_one_of_another_kind(kind: PrekeyKind) -> None:
    for other in PrekeyKind:
        if other is not kind:
            with pytest.raises(VerificationError):
                verify_prekey(replace(made(kind), kind=other), BOB.device.key)


def test_a_prekey_of_another_device_is_refused() -> None:
    with pytest.raises(VerificationError):
        verify_prekey(made(PrekeyKind.SIGNED), ALICE.device.key)


def test_no_field_of_a_prekey_can_change() -> None:
    prekey = made(PrekeyKind.SIGNED)
    for other in (
        replace(prekey, id=51),
        replace(prekey, created=NOW + 1),
        *(replace(prekey, key=flipped(prekey.key, at)) for at in range(32)),
        *(replace(prekey, signature=flipped(prekey.signature, at)) for at in range(64)),
    ):
        with pytest.raises(VerificationError):
            verify_prekey(other, BOB.device.key)


def test_a_signed_prekey_is_accepted_for_exactly_ninety_days() -> None:
    prekey = made(PrekeyKind.SIGNED)
    verify_age(prekey, NOW + SIGNED_PREKEY_MAX_AGE)
    with pytest.raises(VerificationError, match="90 days"):
        verify_age(prekey, NOW + SIGNED_PREKEY_MAX_AGE + 1)


def test_a_signed_prekey_may_be_a_day_ahead_of_the_clock_and_no_more() -> None:
    prekey = made(PrekeyKind.SIGNED)
    verify_age(prekey, NOW - CLOCK_SKEW)
    with pytest.raises(VerificationError, match="future"):
        verify_age(prekey, NOW - CLOCK_SKEW - 1)


@pytest.mark.parametrize("one_time", [True, False])
@pytest.mark.parametrize("one_time_kem", [True, False])
def test_a_bundle_as_published_holds(one_time: bool, one_time_kem: bool) -> None:
    verify_bundle(BOB.bundle(one_time=one_time, one_time_kem=one_time_kem), BOB.entry, NOW)


def test_a_bundle_of_another_device_is_refused() -> None:
    for one, other in ((ALICE, BOB), (BOB, ALICE)):
        with pytest.raises(VerificationError, match="another device"):
            verify_bundle(one.bundle(), other.entry, NOW)
    with pytest.raises(VerificationError, match="signature"):
        verify_bundle(replace(ALICE.bundle(), device_key=BOB.device.key), BOB.entry, NOW)


def swap(field: str, prekey: Prekey) -> DeviceBundle:
    changes: dict[str, Any] = {field: prekey}
    return replace(BOB.bundle(), **changes)


def test_every_prekey_of_a_bundle_is_checked() -> None:
    alices = ALICE.bundle()
    for field in ("signed", "sealing", "kem", "one_time"):
        with pytest.raises(VerificationError, match="signature"):
            verify_bundle(swap(field, getattr(alices, field)), BOB.entry, NOW)


@pytest.mark.parametrize(
    ("field", "kind"),
    [("signed", PrekeyKind.SIGNED), ("sealing", PrekeyKind.SEALING), ("kem", PrekeyKind.LAST_RESORT_KEM)],
)
@pytest.mark.parametrize("days", [-91, 2])
def test_lasting_prekeys_too_old_or_from_the_future_are_refused(
    field: str, kind: PrekeyKind, days: int
) -> None:
    with pytest.raises(VerificationError, match=r"90 days|future"):
        verify_bundle(swap(field, made(kind, now=NOW + days * DAY)), BOB.entry, NOW)


@pytest.mark.parametrize(
    ("field", "kind"), [("kem", PrekeyKind.ONE_TIME_KEM), ("one_time", PrekeyKind.ONE_TIME)]
)
def test_one_time_prekeys_do_not_age(field: str, kind: PrekeyKind) -> None:
    verify_bundle(swap(field, made(kind, now=NOW - 400 * DAY)), BOB.entry, NOW)


def test_a_signed_prekey_older_than_the_newest_seen_is_refused() -> None:
    bundle = BOB.bundle()
    verify_bundle(bundle, BOB.entry, NOW, newest_seen=bundle.signed.id)
    with pytest.raises(VerificationError, match="rollback"):
        verify_bundle(bundle, BOB.entry, NOW, newest_seen=bundle.signed.id + 1)
