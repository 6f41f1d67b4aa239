"""wire.login: every signed byte string names its purpose, its place and both sides' randomness."""

from dataclasses import replace
from hashlib import sha256

import pytest

from wire.login import Greeting, Mode, deletion_bytes

RELAY, RELAY_NONCE, NONCE, DEVICE = b"R" * 32, b"r" * 32, b"c" * 32, b"D" * 32
GREETING = Greeting(Mode.DEVICE, "wss://example.org/x", RELAY, RELAY_NONCE, NONCE, 1000)
FIELDS = b"\0\0\0\x13" + b"wss://example.org/x" + RELAY + RELAY_NONCE + NONCE
TAIL = b"\0" * 6 + b"\x03\xe8" + b"\x01"


def test_the_relays_hello_is_the_documented_layout() -> None:
    assert GREETING.hello_bytes() == b"blindpost/v1/hello\0" + b"\x01" + FIELDS + TAIL
    submit = replace(GREETING, mode=Mode.SUBMIT)
    assert submit.hello_bytes() == b"blindpost/v1/hello\0" + b"\x02" + FIELDS + TAIL


def test_the_login_is_the_documented_layout() -> None:
    assert GREETING.login_bytes(DEVICE) == b"blindpost/v1/login\0" + FIELDS + DEVICE + TAIL


def test_the_welcome_covers_the_login_and_its_signature() -> None:
    covered = sha256(GREETING.login_bytes(DEVICE) + b"S" * 64).digest()
    assert GREETING.welcome_bytes(DEVICE, b"S" * 64) == b"blindpost/v1/login-ack\0" + covered


def test_a_deletion_covers_the_account_and_this_login() -> None:
    login_hash = GREETING.login_hash(DEVICE, b"S" * 64)
    assert login_hash == sha256(GREETING.login_bytes(DEVICE) + b"S" * 64).digest()
    assert (
        deletion_bytes(b"A" * 32, login_hash) == b"blindpost/v1/account-deletion\0" + b"A" * 32 + login_hash
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(GREETING, origin="wss://example.org/y"),
        replace(GREETING, relay_key=b"Q" * 32),
        replace(GREETING, relay_nonce=b"q" * 32),
        replace(GREETING, client_nonce=b"q" * 32),
        replace(GREETING, time=1001),
    ],
)
def test_no_field_can_change_without_changing_what_is_signed(other: Greeting) -> None:
    assert other.hello_bytes() != GREETING.hello_bytes()
    assert other.login_bytes(DEVICE) != GREETING.login_bytes(DEVICE)
    assert other.welcome_bytes(DEVICE, b"S" * 64) != GREETING.welcome_bytes(DEVICE, b"S" * 64)
    assert other.login_hash(DEVICE, b"S" * 64) != GREETING.login_hash(DEVICE, b"S" * 64)


def test_device_and_signature_are_covered() -> None:
    assert GREETING.login_bytes(b"E" * 32) != GREETING.login_bytes(DEVICE)
    assert GREETING.welcome_bytes(b"E" * 32, b"S" * 64) != GREETING.welcome_bytes(DEVICE, b"S" * 64)
    assert GREETING.welcome_bytes(DEVICE, b"T" * 64) != GREETING.welcome_bytes(DEVICE, b"S" * 64)


def test_no_part_can_move_over_the_border_of_origin_and_key() -> None:
    longer = replace(GREETING, origin=GREETING.origin + "R", relay_key=b"R" * 31 + b"r")
    assert longer.login_bytes(DEVICE) != GREETING.login_bytes(DEVICE)
