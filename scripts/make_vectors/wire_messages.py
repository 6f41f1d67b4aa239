"""What travels: control messages as text, binary frames, and the hashes of tokens and capabilities."""

import json
from collections.abc import Callable
from functools import partial

from scripts.make_vectors.people import ALICE, BOB, MALFORMED, NOW, File, named, refused
from wire import control
from wire.capabilities import presence_capability, token_hash
from wire.errors import ErrorCode, WireError
from wire.frames import Deliver, Put, decode_deliver, decode_put
from wire.login import Mode
from wire.prekeys import PrekeyKind

KEY, NONCE, SIGNATURE = named("key"), named("nonce"), named("signature", 64)


def with_code(decode: Callable[[], object], entry: File) -> File:
    """`entry` with the word with which a relay refuses what it holds."""
    try:
        decode()
    except WireError as error:
        return {**entry, "code": error.code.value}
    raise AssertionError(entry["why"])


def client_messages() -> list[control.ControlMessage]:
    """One of each type."""
    return [
        control.Hello(mode=Mode.SUBMIT, version=1, origin="wss://relay.example/post", nonce=NONCE),
        control.Login(device_key=KEY, signature=SIGNATURE),
        control.Publish(ref=7, prekeys=[ALICE.prekeys[PrekeyKind.SIGNED].public.encode()]),
        control.Pull(),
        control.Acknowledge(through=2**63 - 1),
        control.Fetch(ref=0, account_key=ALICE.account.key, take=True),
        control.Allow(
            ref=2, tokens=[control.AllowedToken(hash=KEY), control.AllowedToken(hash=NONCE, until=NOW)]
        ),
        control.Appear(secrets=[named("presence", 16)]),
        control.Attach(mailbox=KEY, token=named("token", 16)),
        control.Watch(ref=3, capability=presence_capability(named("presence", 16))),
        control.Register(ref=1, device_list=ALICE.devices.encode(), invite=named("invite", 16)),
        control.Checkpoint(checkpoint=named("checkpoint", 85)),
        control.Fetch(ref=4, account_key=ALICE.account.key, take=False, since=1),
    ]


def relay_messages() -> list[control.ControlMessage]:
    """One of each type."""
    stock = control.Stock(one_time=12, one_time_kem=0)
    kinds = (PrekeyKind.SIGNED, PrekeyKind.SEALING, PrekeyKind.ONE_TIME_KEM, PrekeyKind.ONE_TIME)
    offered = [BOB.prekeys[kind].public.encode() for kind in kinds]
    return [
        control.RelayHello(version=1, relay_key=KEY, nonce=NONCE, time=NOW, signature=SIGNATURE),
        control.Welcome(signature=SIGNATURE, registered=True, expired=0, stock=stock),
        control.Accepted(frames=[named("frame", 16)]),
        control.Error(code=ErrorCode.RATE_LIMITED, message="too often", ref=1, retry_after=60),
        control.Allowed(ref=2),
        control.QueuedAsRequest(frames=[named("frame", 16)]),
        control.Presence(ref=3, online=True),
        control.Registered(ref=1),
        control.Published(ref=7, stock=stock),
        stock,
        control.Bundle(
            ref=0,
            device_list=BOB.devices.encode(),
            devices=[control.OfferedDevice(device_key=BOB.device.key, prekeys=offered)],
        ),
        control.Refused(frame=named("frame", 16), code=ErrorCode.QUOTA, message="full", retry_after=60),
    ]


def controls() -> File:
    """Texts that hold, texts that do not, and two hashes."""
    client, relay = client_messages(), relay_messages()
    login = client[1].encode()
    key_text = json.loads(login)["device_key"]
    broken = {
        "extra field": '{"type":"pull","more":1}',
        "a key twice": '{"type":"pull","type":"pull"}',
        "not whole": '{"type":"acknowledge","through":1.0}',
        "NaN": '{"type":"acknowledge","through":NaN}',
        "overflow": '{"type":"acknowledge","through":1e999}',
        "boolean": '{"type":"acknowledge","through":true}',
        "text": '{"type":"acknowledge","through":"1"}',
        "negative": '{"type":"acknowledge","through":-1}',
        "too great": '{"type":"acknowledge","through":18446744073709551616}',
        "base64 padding": login.replace(key_text, key_text + "="),
        "stray bits": login.replace(key_text, "A" * 42 + "B"),
        "unknown type": '{"type":"welcome2"}',
        "relay's message": relay[2].encode(),
        "no object": '["pull"]',
        "too deep": '{"type":' + "[" * 9 + "]" * 9 + "}",
    }
    return {
        "client": [message.encode() for message in client],
        "relay": [message.encode() for message in relay],
        "refused_of_a_client": [
            with_code(partial(control.decode_client_message, text), refused(MALFORMED, why, text=text))
            for why, text in broken.items()
        ],
        "hashes": [
            {
                "secret": secret.hex(),
                "token_hash": token_hash(secret).hex(),
                "presence_capability": presence_capability(secret).hex(),
            }
            for secret in (named("token", 16), bytes(16))
        ],
    }


def frames() -> File:
    """PUT and DELIVER around one envelope, whose inside no relay looks at."""
    envelope = b"\x01" + named("frame's envelope", 1023)
    put = Put(named("frame", 16), BOB.device.key, envelope)
    delivers = [
        Deliver(put.frame_id, put.mailbox, sequence, flags, envelope)
        for sequence, flags in ((1, 0), (2**63 - 1, 1))
    ]
    encoded, delivered = put.encode(), delivers[0].encode()
    puts = {
        "another type": b"\x03" + encoded[1:],
        "another version": encoded[:1] + b"\x02" + encoded[2:],
        "shorter than its head": encoded[:49],
        "an envelope of no bucket": encoded[:-1],
        "an envelope of another version": encoded[:50] + b"\x02" + encoded[51:],
    }
    arriving = {
        "sequence zero": delivered[:50] + bytes(8) + delivered[58:],
        "sequence 2^63": delivered[:50] + b"\x80" + delivered[51:],
        "an unknown flag": delivered[:58] + b"\x02" + delivered[59:],
    }
    return {
        "frame_id": put.frame_id.hex(),
        "mailbox": put.mailbox.hex(),
        "envelope": envelope.hex(),
        "put": encoded.hex(),
        "deliver": [
            {"sequence": item.sequence, "flags": item.flags, "encoded": item.encode().hex()}
            for item in delivers
        ],
        "refused_put": [
            with_code(partial(decode_put, item), refused(MALFORMED, why, encoded=item))
            for why, item in puts.items()
        ],
        "refused_deliver": [
            with_code(partial(decode_deliver, item), refused(MALFORMED, why, encoded=item))
            for why, item in arriving.items()
        ],
    }
