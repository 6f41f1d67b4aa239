"""The key file and every signature check."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from relay.auth import (
    KeyUnusableError,
    RelayKey,
    check_device_list,
    check_login,
    check_prekeys,
    is_signed,
)
from tests.relay.devices import Account, Device
from wire.device_lists import DeviceEntry, DeviceList
from wire.errors import ErrorCode, WireError
from wire.login import Greeting, Mode
from wire.prekeys import PrekeyKind


def test_a_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "relay.key"
    key = RelayKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert RelayKey.load_or_create(path).public == key.public
    assert [item.name for item in tmp_path.iterdir()] == ["relay.key"]
    VerifyKey(key.public).verify(b"message", key.sign(b"message"))


def test_what_a_crash_left_half_made_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "relay.key.new").write_bytes(b"half")
    assert len(RelayKey.load_or_create(tmp_path / "relay.key").public) == 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_key_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "relay.key"
    RelayKey.load_or_create(path)
    path.chmod(mode)
    with pytest.raises(KeyUnusableError, match="chmod 600"):
        RelayKey.load_or_create(path)


def test_a_key_prints_no_bytes() -> None:
    assert repr(RelayKey(b"s" * 32)) == "RelayKey(...)"
    with pytest.raises(ValueError, match="32 bytes"):
        RelayKey(bytes(31))


def test_every_field_of_a_login_is_under_the_signature() -> None:
    device = Device()
    greeting = Greeting(Mode.DEVICE, "ws://relay", bytes(32), bytes(32), bytes(32), 1)
    signature = device.sign(greeting.login_bytes(device.key))
    check_login(greeting, device.key, signature)
    other = b"\1" + bytes(31)
    for changed in (
        replace(greeting, origin="ws://relax"),
        replace(greeting, relay_key=other),
        replace(greeting, relay_nonce=other),
        replace(greeting, client_nonce=other),
        replace(greeting, time=2),
    ):
        with pytest.raises(WireError) as raised:
            check_login(changed, device.key, signature)
        assert raised.value.code is ErrorCode.LOGIN_REFUSED


def test_a_list_needs_the_account_and_every_device() -> None:
    account = Account(devices=[Device(), Device()])
    good = account.list()
    check_device_list(good)
    spoiled = replace(good.devices[1], signature=good.devices[0].signature)
    for wrong in (
        replace(good, signature=bytes(64)),
        replace(good, created=good.created + 1),
        _signed_again(account, devices=(good.devices[0], spoiled)),
    ):
        with pytest.raises(WireError) as raised:
            check_device_list(wrong)
        assert raised.value.code is ErrorCode.REGISTRATION_REFUSED


def _signed_again(account: Account, devices: tuple[DeviceEntry, ...]) -> DeviceList:
    changed = replace(account.list(), devices=devices)
    return replace(changed, signature=account.signing.sign(changed.signed_bytes()).signature)


def test_a_prekey_is_bound_to_its_kind_id_and_device() -> None:
    device = Device()
    good = device.prekey(PrekeyKind.SIGNED, 1)
    check_prekeys(device.key, [good])
    for wrong in (replace(good, kind=PrekeyKind.ONE_TIME), replace(good, id=2), replace(good, created=0)):
        with pytest.raises(WireError) as raised:
            check_prekeys(device.key, [good, wrong])
        assert raised.value.code is ErrorCode.BAD_PREKEY
    with pytest.raises(WireError):
        check_prekeys(Device().key, [good])


def test_a_key_of_small_order_signs_nothing() -> None:
    # Encodings of points of small order: a verifier that takes them takes one signature for many messages.
    for point in (bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"):
        assert not is_signed(point, b"anything", point + bytes(32))
