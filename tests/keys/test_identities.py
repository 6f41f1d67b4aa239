"""keys.identities: who may speak for an account, and what a hostile relay cannot make of it."""

from dataclasses import replace

import pytest

from keys.errors import ForkError, MissingListsError, VerificationError
from keys.identities import (
    Account,
    Device,
    verify_chain,
    verify_device_list,
    verify_hello,
    verify_successor,
    verify_welcome,
)
from keys.primitives import sign
from tests.keys.parties import ALICE, BOB, MALLORY, NOW, Seeded, flipped
from wire.device_lists import NO_PREVIOUS, DeviceList, decode_device_list
from wire.errors import WireError
from wire.login import Greeting, Mode

SECOND = Device.generate(Seeded("alice's second device"), NOW)


def resigned(devices: DeviceList, account: Account = ALICE.account) -> DeviceList:
    return replace(devices, signature=sign(account.seed, devices.signed_bytes()))


def successor(*devices: Device, previous: DeviceList = ALICE.devices, now: int = NOW + 1) -> DeviceList:
    entries = tuple(device.entry(ALICE.account.key) for device in devices)
    return ALICE.account.sign_device_list(entries, now, previous)


def test_a_first_list_is_version_one_without_predecessor_and_holds() -> None:
    assert (ALICE.devices.version, ALICE.devices.previous) == (1, NO_PREVIOUS)
    verify_device_list(decode_device_list(ALICE.devices.encode()), ALICE.account.key)


def test_a_successor_counts_up_names_the_hash_before_and_is_in_order() -> None:
    after = successor(SECOND, ALICE.device)
    verify_device_list(decode_device_list(after.encode()), ALICE.account.key)
    assert (after.version, after.previous) == (2, ALICE.devices.hash())
    assert [entry.device_key for entry in after.devices] == sorted([SECOND.key, ALICE.device.key])


def test_a_list_of_another_account_is_refused() -> None:
    with pytest.raises(VerificationError, match="another account"):
        verify_device_list(BOB.devices, ALICE.account.key)


def test_a_list_under_the_accounts_name_but_anothers_signature_is_refused() -> None:
    stolen = replace(MALLORY.devices, account_key=ALICE.account.key)
    for forged in (stolen, resigned(stolen, MALLORY.account)):
        with pytest.raises(VerificationError, match="signature of the device list"):
            verify_device_list(forged, ALICE.account.key)


def test_no_bit_of_a_list_can_change() -> None:
    whole = ALICE.devices.encode()
    for at in range(33, len(whole)):  # from behind format and account key, which have their own tests
        if at == 81:  # the number of devices: the decoder's matter
            continue
        try:
            changed = decode_device_list(flipped(whole, at))
        except Exception as error:
            assert "version and previous" in str(error)
            continue
        with pytest.raises(VerificationError):
            verify_device_list(changed, ALICE.account.key)


def test_nobody_can_list_anothers_device() -> None:
    # Mallory signs a list of his own that names Bob's device; he lacks the signature of Bob's device key.
    theirs = BOB.device.entry(BOB.account.key)
    mine = MALLORY.device.entry(MALLORY.account.key)
    for entry in (theirs, replace(theirs, signature=mine.signature)):
        forged = MALLORY.account.sign_device_list((entry,), NOW)
        with pytest.raises(VerificationError, match="did not sign its entry"):
            verify_device_list(forged, MALLORY.account.key)


def test_nobody_can_put_another_identity_key_beside_anothers_device() -> None:
    entry = replace(ALICE.entry, identity_key=MALLORY.device.identity_key)
    with pytest.raises(VerificationError, match="did not sign its entry"):
        verify_device_list(resigned(replace(ALICE.devices, devices=(entry,))), ALICE.account.key)


def test_every_entry_is_checked_not_only_the_first() -> None:
    good = successor(ALICE.device, SECOND)
    for place in (0, 1):
        entries = list(good.devices)
        entries[place] = replace(entries[place], created=entries[place].created + 1)
        with pytest.raises(VerificationError, match="did not sign its entry"):
            verify_device_list(resigned(replace(good, devices=tuple(entries))), ALICE.account.key)


def test_the_list_already_known_changes_nothing() -> None:
    assert verify_successor(ALICE.devices, ALICE.devices) is False


def test_the_direct_successor_is_taken() -> None:
    assert verify_successor(ALICE.devices, successor(ALICE.device, SECOND)) is True


def test_a_rollback_is_refused() -> None:
    with pytest.raises(VerificationError, match="rollback"):
        verify_successor(successor(SECOND), ALICE.devices)


def test_a_split_view_is_refused() -> None:
    other_first = ALICE.account.sign_device_list((SECOND.entry(ALICE.account.key),), NOW)
    with pytest.raises(VerificationError, match="split view"):
        verify_successor(ALICE.devices, other_first)


def test_a_fork_is_refused() -> None:
    other_first = ALICE.account.sign_device_list((SECOND.entry(ALICE.account.key),), NOW)
    with pytest.raises(VerificationError, match="not the signed successor"):
        verify_successor(ALICE.devices, successor(ALICE.device, previous=other_first))


def test_a_jump_over_a_version_is_refused() -> None:
    second = successor(ALICE.device, SECOND)
    third = successor(SECOND, previous=second)
    with pytest.raises(MissingListsError, match="were not shown"):
        verify_successor(ALICE.devices, third)
    assert verify_successor(second, third)


def chain(length: int) -> list[DeviceList]:
    """Alice's lists from version 1 on."""
    lists = [ALICE.devices]
    while len(lists) < length:
        lists.append(
            successor(*((ALICE.device, SECOND) if len(lists) % 2 else (SECOND,)), previous=lists[-1])
        )
    return lists


def test_a_jump_is_taken_over_the_lists_between() -> None:
    lists = chain(9)
    assert verify_chain(lists[0], lists[1:8], lists[8])
    assert verify_chain(lists[0], lists, lists[8])  # more than was missed
    assert verify_chain(lists[3], lists[1:8], lists[8])
    assert verify_chain(lists[0], [], lists[1])
    assert not verify_chain(lists[8], lists, lists[8])


def test_lists_that_are_not_between_are_passed_over_whatever_they_are() -> None:
    lists = chain(4)
    others = [replace(each, signature=bytes(64)) for each in (lists[0], lists[1], lists[3])]
    assert verify_chain(lists[1], [*others, lists[2]], lists[3])


def test_lists_that_are_hidden_or_reordered_show_nothing() -> None:
    lists = chain(6)
    hidden = [lists[1:5][:at] + lists[1:5][at + 1 :] for at in range(4)]
    for between in ([], *hidden, lists[4:0:-1], [lists[2], lists[1], *lists[3:5]]):
        with pytest.raises(MissingListsError):
            verify_chain(lists[0], between, lists[5])


def test_a_fork_among_the_lists_between_is_one() -> None:
    lists = chain(5)
    other = successor(SECOND, ALICE.device, BOB.device, previous=lists[0])
    with pytest.raises(ForkError):
        verify_chain(lists[0], [other, *lists[2:4]], lists[4])
    with pytest.raises(ForkError):
        verify_chain(lists[1], [successor(SECOND, previous=other)], lists[4])


def test_a_list_between_of_another_account_or_without_a_signature_is_no_fork() -> None:
    lists = chain(4)
    foreign = BOB.account.sign_device_list((BOB.device.entry(BOB.account.key),), NOW, BOB.devices)
    for wrong in (foreign, replace(lists[1], signature=bytes(64)), replace(lists[1], created=NOW + 5)):
        with pytest.raises(VerificationError) as refused:
            verify_chain(lists[0], [wrong, lists[2]], lists[3])
        assert not isinstance(refused.value, ForkError)


def test_a_successor_of_another_account_is_refused() -> None:
    with pytest.raises(VerificationError, match="another account"):
        verify_successor(ALICE.devices, BOB.devices)


def test_keys_have_one_purpose_each() -> None:
    public = {ALICE.account.key, ALICE.device.key, ALICE.device.identity_key}
    secret = {ALICE.account.seed, ALICE.device.seed, ALICE.device.identity_private}
    assert len(public) == len(secret) == 3


def test_a_device_comes_back_from_its_record() -> None:
    record = ALICE.device.to_record()
    assert record == b"\x01" + ALICE.device.seed + ALICE.device.identity_private + NOW.to_bytes(8, "big")
    assert Device.from_record(record) == ALICE.device
    for version in (b"\x00", b"\x02"):
        with pytest.raises(ValueError, match="unknown version"):
            Device.from_record(version + record[1:])
    with pytest.raises(WireError, match="trailing"):
        Device.from_record(record + b"\0")


GREETING = Greeting(Mode.DEVICE, "wss://example.org", MALLORY.device.key, b"r" * 32, b"c" * 32, NOW)
OTHERS = (
    replace(GREETING, origin="wss://example.com"),
    replace(GREETING, relay_key=BOB.device.key),
    replace(GREETING, relay_nonce=b"R" * 32),
    replace(GREETING, client_nonce=b"C" * 32),
    replace(GREETING, time=NOW + 1),
)


def test_a_relays_hello_holds_for_its_greeting_only() -> None:
    signature = sign(MALLORY.device.seed, GREETING.hello_bytes())
    assert verify_hello(GREETING, signature)
    for other in (*OTHERS, replace(GREETING, mode=Mode.SUBMIT)):
        assert not verify_hello(other, signature)
    assert not verify_hello(GREETING, flipped(signature, 0))


def test_a_welcome_holds_for_its_login_only() -> None:
    login = ALICE.device.sign_login(GREETING)
    signature = sign(MALLORY.device.seed, GREETING.welcome_bytes(ALICE.device.key, login))
    assert verify_welcome(GREETING, ALICE.device.key, login, signature)
    assert not verify_welcome(GREETING, BOB.device.key, login, signature)
    assert not verify_welcome(GREETING, ALICE.device.key, flipped(login, 0), signature)
    for other in OTHERS:
        assert not verify_welcome(other, ALICE.device.key, login, signature)


def test_one_signature_is_of_no_use_for_another_purpose() -> None:
    hello = sign(MALLORY.device.seed, GREETING.hello_bytes())
    login = ALICE.device.sign_login(GREETING)
    assert not verify_welcome(GREETING, ALICE.device.key, login, hello)
    assert not verify_hello(replace(GREETING, relay_key=ALICE.device.key), login)
