"""Nothing secret is printed: repr(), str() and format() of every value of keys/ hold no secret byte."""

import base64
import copy
import dataclasses
import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import keys
from keys.auditors import Auditor
from keys.backups import BackupLock, Parameters
from keys.chain import ChainKey, MessageKey, RootKey
from keys.checkpoint import Checkpoint
from keys.content import Content, ReadMark, Receipt
from keys.handshake import Agreement, HandshakeHeader, Party
from keys.identities import Account, Device
from keys.prekeys import PrivatePrekey
from keys.ratchet import Ratchet
from keys.seal import InnerType, Opened
from keys.sessions import Session, Sessions
from tests.keys.parties import ALICE, BOB, NOW, Seeded, agree, ratchets
from wire.prekeys import PrekeyKind

# Fields that may be shown, all public: whatever bytes a field of another name holds must not appear.
PUBLIC = {
    "HandshakeHeader": {"list_hash", "ephemeral"},
    "Agreement": {"transcript"},
    "Session": {"transcript", "ephemeral", "opening"},
    "Ratchet": {"remote", "own_key"},
    "Device": {"key", "identity_key"},
    "Opened": {"device_key", "identity_key"},
    "Content": {"message_id"},
    "Receipt": {"stream_id"},
    "ReadMark": {"stream_id"},
    "Parameters": {"salt"},
    "BackupLock": {"head"},
    "Prekey": set(),
    "DeviceList": {"account_key", "previous"},
    "DeviceEntry": {"device_key", "identity_key"},
}


def busy_ratchet() -> Ratchet:
    """With both chains and skipped keys."""
    (alice, bob), random = ratchets(), Seeded("busy")
    alice, _ = alice.encrypt(b"lost", random)
    alice, message = alice.encrypt(b"read", random)
    bob, _ = bob.decrypt(message, NOW)
    bob, _ = bob.encrypt(b"back", random)
    assert bob.skipped
    assert bob.sending
    assert bob.receiving
    return bob


def examples() -> list[object]:
    header, agreement, _ = agree(ALICE, BOB)
    session = Session.initiate(
        ALICE.devices, header, agreement, BOB.private(PrekeyKind.SIGNED).public.key, NOW
    )
    session = dataclasses.replace(session, ratchet=busy_ratchet())
    random = Seeded("examples")
    return [
        ALICE.account, ALICE.device, BOB.private(PrekeyKind.SIGNED), BOB.private(PrekeyKind.ONE_TIME_KEM),
        header, ALICE.party, agreement, session, Sessions((session,)), busy_ratchet(),
        MessageKey(random(32)), ChainKey(random(32), 3), RootKey(random(32)),
        Opened(ALICE.device.key, ALICE.device.identity_key, InnerType.MESSAGE, random(50)),
        Content(1, random(16), random(16), 4, 5, random(40), ((2, random(32)),)),
        Receipt(random(16), ((1, 2),)), ReadMark(random(16), 7),
        Checkpoint(1, random(16), (4, 5, 6, 7, 8)), Parameters(random(16)),
        BackupLock(random(81), random(32)), Auditor(random(32)),
    ]  # fmt: skip


def every_dataclass() -> set[type]:
    found = set()
    for module in pkgutil.iter_modules(keys.__path__, "keys."):
        for value in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(value, type)
                and dataclasses.is_dataclass(value)
                and value.__module__ == module.name
            ):
                found.add(value)
    return found


def secrets(value: object) -> Iterator[bytes]:
    """Every byte string inside `value` that is not declared public above."""
    if isinstance(value, bytes):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = PUBLIC.get(type(value).__name__, set())
        for field in dataclasses.fields(value):
            if field.name not in shown:
                yield from secrets(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from secrets(item)
    elif hasattr(value, "items"):
        for key, item in value.items():
            yield from secrets(key[1:] if isinstance(key, tuple) else key)
            yield from secrets(item)


def forms(secret: bytes) -> Iterator[str]:
    """How eight bytes of a secret could show: hex, base64, integers, Python's own repr."""
    for at in range(0, len(secret) - 7, 8):
        part = secret[at : at + 8]
        yield part.hex()
        yield repr(part)[2:-1]
        yield ", ".join(str(byte) for byte in part)
    whole = base64.b64encode(secret).decode()
    yield from (whole[at : at + 12] for at in range(0, len(whole) - 16, 4))


def test_every_type_of_keys_is_looked_at() -> None:
    assert {type(example) for example in examples()} == every_dataclass()


@pytest.mark.parametrize("example", examples(), ids=lambda value: type(value).__name__)
def test_no_secret_byte_is_shown(example: object) -> None:
    hidden = [secret for secret in secrets(example) if any(secret)]
    if type(example) not in (Party, HandshakeHeader, Receipt, ReadMark, Parameters):
        assert hidden, "an example without secrets shows nothing"
    for text in (repr(example), str(example), f"{example}", f"{example!a}"):
        for secret in hidden:
            assert not [form for form in forms(secret) if form in text]


@pytest.mark.parametrize("example", examples(), ids=lambda value: type(value).__name__)
def test_what_holds_secrets_is_neither_pickled_nor_copied(example: object) -> None:
    if isinstance(example, Party | HandshakeHeader | Receipt | ReadMark | Parameters):
        assert copy.copy(example) == example, "public all through"
        return
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds secrets, and is not pickled"):
            way(example)


def test_the_search_would_find_each_form() -> None:
    secret = Seeded("search")(32)
    for text in (secret.hex(), repr(secret), str(list(secret)), base64.b64encode(secret).decode()):
        assert any(form in f"Thing(value={text})" for form in forms(secret))


def test_the_secrets_that_matter_are_among_those_searched_for() -> None:
    ratchet = busy_ratchet()
    assert ratchet.sending
    assert ratchet.receiving
    found = set(secrets(ratchet))
    stored = {key.value for key, _ in ratchet.skipped.values() if key is not None}
    wanted = {ratchet.root.value, ratchet.own_private, ratchet.sending.value, ratchet.receiving.value}
    assert wanted | stored <= found
    assert {ALICE.account.seed} == set(secrets(ALICE.account))
    assert {ALICE.device.seed, ALICE.device.identity_private} == set(secrets(ALICE.device))
    _, agreement, _ = agree(ALICE, BOB)
    assert {agreement.root_key, agreement.associated} == set(secrets(agreement))
    assert isinstance(agreement, Agreement)
    assert BOB.private(PrekeyKind.SIGNED).private in set(secrets(BOB.private(PrekeyKind.SIGNED)))
    assert {Account, Device, PrivatePrekey} <= every_dataclass()
