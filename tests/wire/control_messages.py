"""One control message of each shape, both ways, as the tests of the decoders take them."""

import json
from typing import Any

import pytest

from wire.account_messages import (
    Delete,
    Deleted,
    Export,
    Exported,
    HeldAccount,
    HeldFormerList,
    HeldFrame,
    HeldMailbox,
    HeldPrekey,
    HeldPresence,
    HeldRates,
    HeldToken,
    Record,
)
from wire.control import (
    Accepted,
    Acknowledge,
    Allow,
    Allowed,
    AllowedToken,
    Appear,
    Attach,
    Bundle,
    Checkpoint,
    ControlMessage,
    Error,
    Fetch,
    Hello,
    Login,
    OfferedDevice,
    Presence,
    Publish,
    Published,
    Pull,
    QueuedAsRequest,
    Refused,
    Register,
    Registered,
    RelayHello,
    Stock,
    Watch,
    Welcome,
    decode_client_message,
    decode_relay_message,
)
from wire.errors import ErrorCode, WireError
from wire.login import Mode

KEY, SIGNATURE, ID = bytes(range(32)), bytes(range(64)), bytes(range(16))
STOCK = Stock(one_time=3, one_time_kem=4)
CLIENT: list[ControlMessage] = [
    Hello(mode=Mode.DEVICE, version=1, origin="wss://example.org", nonce=KEY),
    Hello(mode=Mode.SUBMIT, version=2**32 - 1, origin="", nonce=KEY),
    Login(device_key=KEY, signature=SIGNATURE),
    Register(ref=1, device_list=b"list"),
    Publish(ref=2, prekeys=[b"one", b"two"]),
    Pull(),
    Acknowledge(through=2**63 - 1),
    Fetch(ref=0, account_key=KEY, take=True),
    Allow(ref=4, tokens=[]),
    Allow(ref=5, tokens=[AllowedToken(hash=KEY), AllowedToken(hash=KEY, until=2**63 - 1)]),
    Publish(ref=2, prekeys=[b"one"], anew=True),
    Checkpoint(checkpoint=bytes(1)),
    Checkpoint(checkpoint=bytes(256)),
    Appear(secrets=[]),
    Appear(secrets=[ID, bytes(16)]),
    Attach(mailbox=KEY, token=ID),
    Watch(ref=6, capability=KEY),
    Export(ref=7),
    Export(ref=7, place=bytes(65)),
    Delete(ref=8, account_key=KEY, signature=SIGNATURE),
]
HELD: list[Record] = [
    HeldAccount(account_key=KEY, device_list=b"list"),
    HeldFormerList(version=2**63 - 1, device_list=b"list"),
    HeldMailbox(
        device_key=KEY, next_sequence=2**63 - 1, skipped=0, frames=1, bytes=2, request_frames=3,
        request_bytes=4, expired=5, one_time_highest=6, one_time_kem_highest=2**32 - 1, checkpoint=bytes(256),
        full_at=7, dropped_at=8,
    ),
    HeldPrekey(device_key=KEY, kind=5, id=2**32 - 1, prekey=b"prekey"),
    HeldToken(device_key=KEY, hash=KEY),
    HeldToken(device_key=KEY, hash=KEY, until=9, puts_left=10),
    HeldFrame(device_key=KEY, sequence=1, frame_id=ID, stored_at=2, request=True, size=1024, sha256=KEY),
    HeldFrame(
        device_key=KEY, sequence=1, frame_id=ID, stored_at=2, request=False, checksum=2**32 - 1,
        size=1, sha256=KEY
    ),
    HeldRates(lists_left=1, takes_left=2),
    HeldPresence(device_key=KEY, connected=True, capabilities=[KEY], passing=1, changes_left=2),
]  # fmt: skip
RELAY: list[ControlMessage] = [
    RelayHello(version=1, relay_key=KEY, nonce=KEY, time=5, signature=SIGNATURE),
    Welcome(signature=SIGNATURE, registered=False, expired=0, stock=STOCK),
    Welcome(signature=SIGNATURE, registered=True, expired=2, stock=STOCK, checkpoint=b"sealed"),
    Registered(ref=1),
    Published(ref=2, stock=STOCK),
    STOCK,
    Bundle(ref=3, device_list=b"list", devices=[OfferedDevice(device_key=KEY, prekeys=[b"a", b"b", b"c"])]),
    Bundle(ref=3, device_list=b"list", devices=[]),
    Accepted(frames=[ID]),
    Allowed(ref=4),
    QueuedAsRequest(frames=[ID, bytes(16)]),
    Presence(ref=6, online=True),
    Exported(ref=7, records=HELD),
    Exported(ref=7, records=[], place=b"x"),
    Deleted(ref=8, wiped=False),
    Refused(frame=ID, code=ErrorCode.QUOTA, message="full", retry_after=5),
    Refused(frame=ID, code=ErrorCode.NOT_FOUND, message="no"),
    Error(code=ErrorCode.BAD_REQUEST, message="why", field="ref", ref=9, retry_after=1),
    Error(code=ErrorCode.INTERNAL, message="why"),
]
ALL = [(decode_client_message, message) for message in CLIENT] + [
    (decode_relay_message, message) for message in RELAY
]


def name(value: object) -> str:
    return (
        type(value).__name__ if isinstance(value, ControlMessage) else getattr(value, "__name__", str(value))
    )


def fields(message: ControlMessage) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(message.encode())
    return value


def refused(decode: Any, value: object) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(value if isinstance(value, str) else json.dumps(value))
    assert caught.value.code in (ErrorCode.BAD_REQUEST, ErrorCode.TOO_LARGE)
    return caught.value
