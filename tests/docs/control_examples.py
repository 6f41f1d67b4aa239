"""The JSON lines that docs/protocol.md shows: one meeting of a device, and of a sender, with a relay.

    python -m tests.docs.control_examples     print them, to paste after a change

Everything comes from fixed seeds, every signature holds. Values of more than 88 characters are cut in the
document, first 16 and last 8 characters with an ellipsis between.
"""

import hashlib
import re
from typing import Final

from keys.identities import Account, Device
from keys.prekeys import generate_prekey
from keys.primitives import sign, signing_key
from wire import control
from wire.account_messages import (
    HeldAccount,
    HeldFrame,
    HeldMailbox,
    HeldPrekey,
    HeldPresence,
    HeldRates,
    HeldToken,
)
from wire.capabilities import presence_capability, token_hash
from wire.errors import ErrorCode
from wire.login import Greeting, Mode
from wire.prekeys import PrekeyKind

NOW: Final = 1_795_132_800  # 2026-11-20
ORIGIN: Final = "wss://relay.example"
SHOWN_WHOLE: Final = 88


def named(name: str, size: int = 32) -> bytes:
    """`size` bytes that depend on the name alone."""
    return hashlib.shake_256(b"blindpost protocol examples: " + name.encode()).digest(size)


def shortened(line: str) -> str:
    """The line as the document shows it."""
    pattern = rf'"([A-Za-z0-9_-]{{{SHOWN_WHOLE + 1},}})"'
    return re.sub(pattern, lambda found: f'"{found[1][:16]}…{found[1][-8:]}"', line)


def examples() -> list[control.ControlMessage]:
    """One of each message, in the order of the document."""
    account = Account(named("account"))
    device = Device(named("device"), named("identity"), NOW)
    devices = account.sign_device_list((device.entry(account.key),), NOW).encode()
    relay_seed = named("relay")

    def greeting(mode: Mode) -> Greeting:
        nonces = named(f"relay nonce {mode}"), named(f"client nonce {mode}")
        return Greeting(mode, ORIGIN, signing_key(relay_seed), *nonces, NOW)

    def prekey(kind: PrekeyKind) -> bytes:
        def draw(size: int) -> bytes:
            return named(f"prekey {kind}", size)

        return generate_prekey(device, kind, 1, NOW, draw).public.encode()

    met = greeting(Mode.DEVICE)
    login = device.sign_login(met)
    stock = control.Stock(one_time=100, one_time_kem=100)
    lasting = [prekey(PrekeyKind.SIGNED), prekey(PrekeyKind.SEALING)]
    kem, one_time = prekey(PrekeyKind.ONE_TIME_KEM), prekey(PrekeyKind.ONE_TIME)
    return [
        control.Hello(mode=Mode.DEVICE, version=1, origin=ORIGIN, nonce=met.client_nonce),
        control.RelayHello(
            version=1,
            relay_key=met.relay_key,
            nonce=met.relay_nonce,
            time=NOW,
            signature=sign(relay_seed, met.hello_bytes()),
        ),
        control.Login(device_key=device.key, signature=login),
        control.Welcome(
            signature=sign(relay_seed, met.welcome_bytes(device.key, login)),
            registered=False,
            expired=0,
            stock=control.Stock(one_time=0, one_time_kem=0),
        ),
        control.Register(ref=0, device_list=devices, invite=named("invite", 16)),
        control.Registered(ref=0),
        control.Publish(ref=1, prekeys=[*lasting, prekey(PrekeyKind.LAST_RESORT_KEM)]),
        control.Published(ref=1, stock=control.Stock(one_time=0, one_time_kem=0)),
        control.Allow(
            ref=2,
            tokens=[
                control.AllowedToken(hash=token_hash(named("token", 16))),
                control.AllowedToken(hash=token_hash(named("token before", 16)), until=NOW + 37 * 86_400),
            ],
        ),
        control.Allowed(ref=2),
        control.Appear(secrets=[named("presence", 16)]),
        control.Checkpoint(checkpoint=named("checkpoint", 85)),
        control.Pull(),
        control.Acknowledge(through=17),
        stock,
        control.Fetch(ref=0, account_key=account.key, take=True),
        control.Bundle(
            ref=0,
            device_list=devices,
            devices=[control.OfferedDevice(device_key=device.key, prekeys=[*lasting, kem, one_time])],
        ),
        control.Attach(mailbox=device.key, token=named("token", 16)),
        control.Accepted(frames=[named("frame 1", 16), named("frame 2", 16)]),
        control.QueuedAsRequest(frames=[named("frame 4", 16)]),
        control.Refused(
            frame=named("frame 3", 16), code=ErrorCode.QUOTA, message="the mailbox is full", retry_after=60
        ),
        control.Watch(ref=1, capability=presence_capability(named("presence", 16))),
        control.Presence(ref=1, online=True),
        control.Export(ref=3),
        control.Exported(
            ref=3,
            records=[
                HeldAccount(account_key=account.key, device_list=devices),
                HeldMailbox(
                    device_key=device.key,
                    next_sequence=18,
                    skipped=0,
                    frames=1,
                    bytes=1024,
                    request_frames=0,
                    request_bytes=0,
                    expired=0,
                    one_time_highest=100,
                    one_time_kem_highest=100,
                ),
                HeldPrekey(device_key=device.key, kind=1, id=1, prekey=lasting[0]),
                HeldToken(device_key=device.key, hash=token_hash(named("token", 16)), puts_left=1000),
                HeldFrame(
                    device_key=device.key,
                    sequence=17,
                    frame_id=named("frame 1", 16),
                    stored_at=NOW,
                    request=False,
                    checksum=1717859169,
                    size=1024,
                    sha256=named("envelope"),
                ),
                HeldRates(lists_left=11, takes_left=30),
                HeldPresence(
                    device_key=device.key,
                    connected=True,
                    passing=0,
                    changes_left=299,
                    capabilities=[presence_capability(named("presence", 16))],
                ),
            ],
        ),
        control.Delete(
            ref=4, account_key=account.key, signature=account.sign_deletion(met.login_hash(device.key, login))
        ),
        control.Deleted(ref=4, wiped=True),
        control.Error(
            code=ErrorCode.BAD_REQUEST,
            message="control message: a field has a wrong type, size or value",
            field="account_key",
            ref=0,
        ),
    ]


if __name__ == "__main__":
    print("\n".join(shortened(message.encode()) for message in examples()))  # noqa: T201 it is asked to print
