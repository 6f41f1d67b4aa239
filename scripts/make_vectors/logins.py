"""Logins with true signatures, and the checkpoint that a device gets back at one."""

from dataclasses import asdict, replace

from keys.checkpoint import Checkpoint, _key, open_checkpoint, seal_checkpoint
from keys.primitives import sign, signing_key
from scripts.make_vectors.people import (
    ALICE,
    BOB,
    NOW,
    UNDECRYPTABLE,
    UNVERIFIED,
    Draws,
    File,
    flipped,
    named,
    refused,
)
from wire.login import Greeting, Mode, deletion_bytes

RELAY_SEED = named("relay")
GREETING = Greeting(
    Mode.DEVICE,
    "wss://relay.example/post",
    signing_key(RELAY_SEED),
    named("relay nonce"),
    named("nonce"),
    NOW,
)


def shown(values: dict[str, object]) -> File:
    """Binary values as hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def logins() -> File:
    """A login, the hello of a submit connection, and each thing that makes a signature worthless."""
    submit = replace(GREETING, mode=Mode.SUBMIT, origin="ws://127.0.0.1:8760")
    login = ALICE.device.sign_login(GREETING)
    welcome_bytes = GREETING.welcome_bytes(ALICE.device.key, login)
    login_hash = GREETING.login_hash(ALICE.device.key, login)
    changes: list[File] = [
        {"origin": "wss://relay.example"},
        {"relay_key": signing_key(named("another relay"))},
        {"relay_nonce": flipped(GREETING.relay_nonce, 31)},
        {"client_nonce": flipped(GREETING.client_nonce, 31)},
        {"time": NOW + 1},
    ]
    return {
        "relay_seed": RELAY_SEED.hex(),
        "device_seed": ALICE.device.seed.hex(),
        "deletion": {
            "account_seed": ALICE.account.seed.hex(),
            "login_hash": login_hash.hex(),
            "bytes": deletion_bytes(ALICE.account.key, login_hash).hex(),
            "signature": ALICE.account.sign_deletion(login_hash).hex(),
        },
        "device": {
            **shown(asdict(GREETING)),
            "device_key": ALICE.device.key.hex(),
            "hello_bytes": GREETING.hello_bytes().hex(),
            "hello_signature": sign(RELAY_SEED, GREETING.hello_bytes()).hex(),
            "login_bytes": GREETING.login_bytes(ALICE.device.key).hex(),
            "login_signature": login.hex(),
            "welcome_bytes": welcome_bytes.hex(),
            "welcome_signature": sign(RELAY_SEED, welcome_bytes).hex(),
        },
        "submit": {
            **shown(asdict(submit)),
            "hello_bytes": submit.hello_bytes().hex(),
            "hello_signature": sign(RELAY_SEED, submit.hello_bytes()).hex(),
        },
        "not_holding": [
            {**refused(UNVERIFIED, f"another {name}"), "change": shown({name: value})}
            for change in changes
            for name, value in change.items()
        ],
    }


def checkpoints() -> File:
    """One checkpoint with its key, and what must not open."""
    draws = Draws("checkpoint")
    checkpoint = Checkpoint(100, named("checkpoint id", 16), (3, 4, 140, 5, 151))
    sealed = seal_checkpoint(ALICE.device, checkpoint, draws)
    assert open_checkpoint(ALICE.device, sealed) == checkpoint
    key, associated = _key(ALICE.device)
    broken = {
        "nonce changed": flipped(sealed, 0),
        "ciphertext changed": flipped(sealed, 24),
        "tag changed": flipped(sealed, 84),
        "truncated": sealed[:-1],
        "trailing byte": sealed + b"\0",
        "another device's": seal_checkpoint(BOB.device, checkpoint, Draws("checkpoint")),
    }
    return {
        "device_seed": ALICE.device.seed.hex(),
        "number": checkpoint.number,
        "id": checkpoint.id.hex(),
        "next_prekeys": list(checkpoint.next_prekeys),
        "random": draws.drawn.hex(),
        "key": key.hex(),
        "associated": associated.hex(),
        "sealed": sealed.hex(),
        "refused": [refused(UNDECRYPTABLE, why, sealed=item) for why, item in broken.items()],
    }
