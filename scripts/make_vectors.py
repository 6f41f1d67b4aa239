"""Write tests/vectors/*.json: inputs and outputs of every construction of this protocol.

    python scripts/make_vectors.py          write the files
    python scripts/make_vectors.py --check  say whether they are as this program would write them

Deterministic: seeds and randomness are hashes of names. The one exception is the KEM ciphertext, whose
randomness OpenSSL draws itself: it was made once and is kept from the file that is already there.
tests/vectors/README.md says how to read the files; mlkem768.json is not made here.
"""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from keys.backups import CHUNK, BackupLock, Parameters  # noqa: E402 after the path is set
from keys.chain import ChainKey, RootKey  # noqa: E402 after the path is set
from keys.content import Content, Extension, Kind, ReadMark, Receipt, list_extension  # noqa: E402 after the path is set
from keys.handshake import HandshakeHeader, Party, accept  # noqa: E402 after the path is set
from keys.identities import Account, Device  # noqa: E402 after the path is set
from keys.prekeys import PrivatePrekey, generate_prekey  # noqa: E402 after the path is set
from keys.primitives import dh_key, kem_encapsulate, pad  # noqa: E402 after the path is set
from keys.ratchet import Ratchet  # noqa: E402 after the path is set
from keys.safety_number import safety_number, scannable  # noqa: E402 after the path is set
from keys.seal import InnerType, seal  # noqa: E402 after the path is set
from wire.addresses import Address, RelayUrl  # noqa: E402 after the path is set
from wire.bech32m import encode  # noqa: E402 after the path is set
from wire.capabilities import presence_capability, token_hash  # noqa: E402 after the path is set
from wire.control import (  # noqa: E402 after the path is set
    Accepted,
    Acknowledge,
    Allow,
    Allowed,
    AllowedToken,
    Appear,
    Attach,
    ControlMessage,
    Error,
    Fetch,
    Hello,
    Login,
    Presence,
    Publish,
    Pull,
    QueuedAsRequest,
    RelayHello,
    Stock,
    Watch,
    Welcome,
)
from wire.device_lists import DeviceList  # noqa: E402 after the path is set
from wire.errors import ErrorCode  # noqa: E402 after the path is set
from wire.login import Greeting, Mode  # noqa: E402 after the path is set
from wire.prekeys import PrekeyKind  # noqa: E402 after the path is set

NOW = 1_800_000_000
FOLDER = ROOT / "tests" / "vectors"
File = dict[str, Any]


def named(name: str, size: int = 32) -> bytes:
    """`size` bytes that depend on the name alone."""
    return hashlib.shake_256(b"blindpost vectors: " + name.encode()).digest(size)


class Draws:
    """Randomness of a name, and what was drawn from it, in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.drawn = b""

    def __call__(self, size: int) -> bytes:
        """The next `size` bytes."""
        value = named(f"{self._name} {len(self.drawn)}", size)
        self.drawn += value
        return value


def flipped(data: bytes, at: int) -> bytes:
    """`data` with the lowest bit of one byte changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class Someone:
    """An account with one device and one prekey of each kind."""

    def __init__(self, name: str) -> None:
        self.account = Account(named(f"{name} account"))
        self.device = Device(named(f"{name} device"), named(f"{name} identity"), NOW)
        self.devices = self.account.sign_device_list((self.device.entry(self.account.key),), NOW)
        self.prekeys = {
            kind: generate_prekey(self.device, kind, 100 + kind, NOW, Draws(f"{name} {kind.name}"))
            for kind in PrekeyKind
        }

    @property
    def party(self) -> Party:
        """As the other side knows them."""
        return Party(self.devices, self.devices.devices[0])


ALICE, BOB = Someone("alice"), Someone("bob")


def addresses() -> File:
    """Address texts."""
    relays = [
        None,
        "relay.example",
        "relay.example:8443/post",
        "localhost:8080",
        "ws://relay.example",
        "[2001:db8::1]",
    ]
    keys = [bytes(32), b"\xff" * 32, *(named(f"address {n}") for n in range(4))]
    valid = [
        {
            "account_key": key.hex(),
            "relay": relay,
            "token": None if token is None else token.hex(),
            "text": Address(key, None if relay is None else RelayUrl.parse(relay), token).text,
        }
        for token in (None, named("address token", 16))
        for key, relay in zip(keys, relays, strict=True)
    ]
    key_text = Address(keys[2]).text
    long_text = Address(keys[2], token=named("address token", 16)).text
    invalid = {
        "one letter changed": key_text[:-1] + ("q" if key_text[-1] != "q" else "p"),
        "one letter missing": key_text[:-1],
        "one letter of the token changed": long_text[:-8]
        + ("q" if long_text[-8] != "q" else "p")
        + long_text[-7:],
        "without the token's end": long_text[:62],
        "version 0 with a token": encode("bp", 0, keys[2] + named("address token", 16)),
        "version 1 without a token": encode("bp", 1, keys[2]),
        "version 2": encode("bp", 2, keys[2]),
        "mixed case": key_text[:30] + key_text[30:].upper(),
        "another prefix": "bq" + key_text[2:],
        "user in the relay": key_text + "@user@relay.example",
        "query in the relay": key_text + "@relay.example?x",
        "port zero": key_text + "@relay.example:0",
        "empty relay": key_text + "@",
    }
    return {"valid": valid, "invalid": [{"why": why, "text": item} for why, item in invalid.items()]}


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

    def refused(why: str, item: DeviceList | bytes) -> File:
        return {"why": why, "encoded": (item if isinstance(item, bytes) else item.encode()).hex()}

    return {
        "valid": valid,
        "malformed": [
            refused("trailing byte", after.encode() + b"\0"),
            refused("truncated", after.encode()[:-1]),
            refused("devices out of order", unordered),
            refused("a device twice", repeated),
            refused("version 1 with a predecessor", replace(first, previous=named("previous"))),
            refused("version 2 without a predecessor", replace(after, previous=bytes(32))),
        ],
        "account_key": ALICE.account.key.hex(),
        "not_holding": [
            refused("signature changed", flipped(first.encode(), len(first.encode()) - 1)),
            refused("time changed", replace(first, created=NOW + 1)),
            refused("another account's list", BOB.devices),
            refused("another account's device", stolen),
        ],
    }


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
    return {
        "device_seed": BOB.device.seed.hex(),
        "valid": [described(prekey) for prekey in BOB.prekeys.values()],
        "malformed": [
            {"why": "unknown kind", "encoded": (b"\x06" + encoded[1:]).hex()},
            {"why": "id zero", "encoded": replace(signed, id=0).encode().hex()},
            {"why": "trailing byte", "encoded": (encoded + b"\0").hex()},
            {"why": "truncated", "encoded": encoded[:-1].hex()},
        ],
        "not_holding": [
            {"why": "another kind", "encoded": replace(signed, kind=PrekeyKind.SEALING).encode().hex()},
            {"why": "another id", "encoded": replace(signed, id=signed.id + 1).encode().hex()},
            {"why": "another time", "encoded": replace(signed, created=NOW + 1).encode().hex()},
            {"why": "another device's", "encoded": ALICE.prekeys[PrekeyKind.SIGNED].public.encode().hex()},
        ],
    }


def kept_ciphertexts() -> dict[str, bytes]:
    """KEM ciphertexts of the file that is there; new ones where none is."""
    kinds = {"last resort": PrekeyKind.LAST_RESORT_KEM, "one-time": PrekeyKind.ONE_TIME_KEM}
    path = FOLDER / "handshake.json"
    if path.exists():
        old = json.loads(path.read_text())
        return {item["name"]: bytes.fromhex(item["header"])[86:] for item in old["valid"]}
    return {name: kem_encapsulate(BOB.prekeys[kind].public.key)[1] for name, kind in kinds.items()}


def someone_described(who: Someone) -> File:
    """One side of a handshake."""
    return {
        "account_key": who.account.key.hex(),
        "identity_private": who.device.identity_private.hex(),
        "device_list": who.devices.encode().hex(),
    }


def handshakes() -> File:
    """Agreements as the acceptor computes them, with and without one-time prekeys."""
    ciphertexts, ephemeral = kept_ciphertexts(), named("ephemeral")
    signed = BOB.prekeys[PrekeyKind.SIGNED]
    valid = []
    for name, kem_kind, one_time in (
        ("last resort", PrekeyKind.LAST_RESORT_KEM, None),
        ("one-time", PrekeyKind.ONE_TIME_KEM, BOB.prekeys[PrekeyKind.ONE_TIME]),
    ):
        kem = BOB.prekeys[kem_kind]
        header = HandshakeHeader(
            BOB.devices.version,
            BOB.devices.hash(),
            dh_key(ephemeral),
            signed.public.id,
            one_time.public.id if one_time else 0,
            kem_kind,
            kem.public.id,
            ciphertexts[name],
        )
        agreement = accept(BOB.device, BOB.party, ALICE.party, header, signed, kem, one_time)
        item = {
            "name": name,
            "header": header.encode().hex(),
            "signed_private": signed.private.hex(),
            "kem_seed": kem.private.hex(),
            "one_time_private": one_time.private.hex() if one_time else None,
            "transcript": agreement.transcript.hex(),
            "root_key": agreement.root_key.hex(),
            "associated": agreement.associated.hex(),
        }
        valid.append(item)
    whole = bytes.fromhex(valid[1]["header"] or "")
    return {
        "initiator": someone_described(ALICE),
        "acceptor": someone_described(BOB),
        "ephemeral_private": ephemeral.hex(),
        "valid": valid,
        "malformed": [
            {"why": "another version", "header": (b"\x02" + whole[1:]).hex()},
            {"why": "not a KEM kind", "header": (whole[:81] + b"\x03" + whole[82:]).hex()},
            {"why": "signed prekey id zero", "header": (whole[:73] + bytes(4) + whole[77:]).hex()},
            {"why": "truncated", "header": whole[:-1].hex()},
            {"why": "trailing byte", "header": (whole + b"\0").hex()},
        ],
        "disagreeing": [
            {"why": "list version", "header": flipped(whole, 8).hex()},
            {"why": "list hash", "header": flipped(whole, 9).hex()},
            {"why": "ephemeral key", "header": flipped(whole, 41).hex()},
            {"why": "id of the KEM prekey", "header": flipped(whole, 85).hex()},
            {"why": "KEM ciphertext", "header": flipped(whole, 86).hex()},
        ],
    }


def ratchets() -> File:
    """Chains, and a conversation of five messages: two there, two back, one there."""
    root, chain = RootKey(named("root")).advance(named("shared"))
    after, message_key = chain.advance()
    assert isinstance(chain, ChainKey)
    signed = named("ratchet signed prekey")
    secrets = named("ratchet root"), named("ratchet associated")
    sides = [Ratchet.initiate(*secrets, dh_key(signed)), Ratchet.accept(*secrets, signed)]
    conversation = []
    for number, sender in enumerate((0, 0, 1, 1, 0)):
        draws, plaintext = Draws(f"message {number}"), f"message {number}".encode()
        sides[sender], message = sides[sender].encrypt(plaintext, draws)
        sides[1 - sender], opened = sides[1 - sender].decrypt(message, NOW)
        assert opened == plaintext
        conversation.append({
            "from": ("initiator", "acceptor")[sender],
            "random": draws.drawn.hex(),
            "plaintext": plaintext.hex(),
            "message": message.hex(),
        })  # fmt: skip
    last = bytes.fromhex(conversation[-1]["message"])
    return {
        "chain": {
            "root": named("root").hex(),
            "shared": named("shared").hex(),
            "next_root": root.value.hex(),
            "chain": chain.value.hex(),
            "next_chain": after.value.hex(),
            "message_key": message_key.value.hex(),
        },
        "root_key": secrets[0].hex(),
        "associated": secrets[1].hex(),
        "signed_private": signed.hex(),
        "conversation": conversation,
        "refused_by_the_acceptor": [
            {"why": "the fifth message again", "message": last.hex()},
            {"why": "ratchet key changed", "message": flipped(last, 0).hex()},
            {"why": "previous length changed", "message": flipped(last, 35).hex()},
            {"why": "number changed", "message": flipped(last, 39).hex()},
            {"why": "commitment changed", "message": flipped(last, 60).hex()},
            {"why": "tag changed", "message": flipped(last, len(last) - 1).hex()},
            {"why": "a jump of 1001", "message": (last[:36] + (1002).to_bytes(4, "big") + last[40:]).hex()},
            {"why": "truncated", "message": last[:103].hex()},
        ],
    }


def seals() -> File:
    """Two envelopes of the smallest bucket, and what must not open."""
    sealing = BOB.prekeys[PrekeyKind.SEALING]
    valid = []
    for type in InnerType:
        draws, inner = Draws(f"seal {type.name}"), named(f"inner {type.name}", 40)
        envelope = seal(ALICE.device, sealing.public.key, type, inner, draws)
        valid.append({
            "random": draws.drawn.hex(), "type": int(type), "inner": inner.hex(), "envelope": envelope.hex()
        })  # fmt: skip
    one, other = (bytes.fromhex(str(item["envelope"])) for item in valid)
    return {
        "sender_device_key": ALICE.device.key.hex(),
        "sender_identity_private": ALICE.device.identity_private.hex(),
        "sealing_private": sealing.private.hex(),
        "valid": valid,
        "refused": [
            {"why": "another version", "envelope": (b"\x02" + one[1:]).hex()},
            {"why": "ephemeral key changed", "envelope": flipped(one, 1).hex()},
            {"why": "first layer changed", "envelope": flipped(one, 33).hex()},
            {"why": "second layer changed", "envelope": flipped(one, 113).hex()},
            {"why": "last byte changed", "envelope": flipped(one, 1023).hex()},
            {"why": "first layer of another envelope", "envelope": (other[:113] + one[113:]).hex()},
            {"why": "no bucket", "envelope": one[:-1].hex()},
            {"why": "the next bucket", "envelope": (one + bytes(1024)).hex()},
        ],
    }


def contents() -> File:
    """Contents and receipts."""
    common = {
        "message_id": named("message id", 16),
        "stream_id": named("stream id", 16),
        "sent_ms": NOW * 1000,
    }
    text = Content(Kind.TEXT, sequence=1, body="héllo".encode(), **common)  # type: ignore[arg-type]  # the common fields, of several types
    extended = replace(
        text, sequence=2**63 - 1, extensions=(list_extension(3, named("list hash")), (200, b"not known yet"))
    )
    unknown = replace(text, kind=250, body=b"")
    gifts = (
        (int(Extension.TOKEN), named("token", 16)),
        (int(Extension.PRESENCE), presence_capability(named("presence", 16))),
        (int(Extension.RELAY), b"wss://relay.example"),
    )
    card = replace(text, kind=Kind.PROFILE, body="Zoë".encode(), extensions=gifts)
    reply = replace(text, sequence=2, extensions=((int(Extension.REPLY_TO), text.message_id),))
    typing = replace(text, kind=Kind.TYPING, sequence=3, body=b"\x01")
    read = ReadMark(named("stream id", 16), 7)

    def described(item: Content) -> File:
        return {
            "kind": int(item.kind),
            "message_id": item.message_id.hex(),
            "stream_id": item.stream_id.hex(),
            "sequence": item.sequence,
            "sent_ms": item.sent_ms,
            "body": item.body.hex(),
            "extensions": [[type, value.hex()] for type, value in item.extensions],
            "encoded": item.encode().hex(),
        }

    receipt = Receipt(named("stream id", 16), ((1, 7), (9, 9), (20, 2**63 - 1)))
    plain = text.encode()
    return {
        "valid": [described(item) for item in (text, extended, unknown, card, reply, typing)],
        "refused": [
            {"why": "sequence zero", "encoded": replace(text, sequence=0).encode().hex()},
            {"why": "truncated body", "encoded": plain[:-1].hex()},
            {"why": "extension cut short", "encoded": (plain + b"\x01\0").hex()},
            {"why": "extension twice", "encoded": (plain + b"\x01\0\0" * 2).hex()},
            {"why": "extensions out of order", "encoded": (plain + b"\x02\0\0\x01\0\0").hex()},
        ],
        "receipts": [
            {
                "stream_id": receipt.stream_id.hex(),
                "ranges": receipt.ranges,
                "encoded": receipt.encode().hex(),
            }
        ],
        "read_marks": [
            {"stream_id": read.stream_id.hex(), "through": read.through, "encoded": read.encode().hex()}
        ],
        "refused_read_marks": [
            {"why": "cut short", "encoded": read.encode()[:-1].hex()},
            {"why": "trailing byte", "encoded": (read.encode() + b"\0").hex()},
            {"why": "beyond 2^63", "encoded": (read.stream_id + b"\xff" * 8).hex()},
        ],
        "refused_receipts": [
            {"why": "no range", "encoded": (receipt.stream_id + b"\0").hex()},
            {"why": "from zero", "encoded": replace(receipt, ranges=((0, 1),)).encode().hex()},
            {"why": "descending", "encoded": replace(receipt, ranges=((9, 9), (1, 2))).encode().hex()},
            {"why": "trailing byte", "encoded": (receipt.encode() + b"\0").hex()},
        ],
    }


def small_things() -> File:
    """Padding and safety numbers."""
    data = [(b"", 1), (b"a", 4), (b"\x80", 16), (b"\x80\0", 8)]
    return {
        "padding": [
            {"data": item.hex(), "size": size, "padded": pad(item, size).hex()} for item, size in data
        ],
        "refused_padding": ["", "00", "0000", "61", "8061"],
        "safety_numbers": [
            {
                "one": one.hex(),
                "other": other.hex(),
                "number": safety_number(one, other),
                "scannable_of_one": scannable(one, other),
            }
            for one, other in ((ALICE.account.key, BOB.account.key), (bytes(32), b"\xff" * 32))
        ],
    }


def controls() -> File:
    """Control messages as texts, what a login signs, the hashes of tokens and capabilities."""
    key, nonce, signature = named("key"), named("nonce"), named("signature", 64)
    stock = Stock(one_time=12, one_time_kem=0)
    client: list[ControlMessage] = [
        Hello(mode=Mode.SUBMIT, version=1, origin="wss://relay.example/post", nonce=nonce),
        Login(device_key=key, signature=signature),
        Publish(ref=7, prekeys=[ALICE.prekeys[PrekeyKind.SIGNED].public.encode()]),
        Pull(),
        Acknowledge(through=2**63 - 1),
        Fetch(ref=0, account_key=ALICE.account.key, take=True),
        Allow(ref=2, tokens=[AllowedToken(hash=key), AllowedToken(hash=nonce, until=NOW)]),
        Appear(secrets=[named("presence", 16)]),
        Attach(mailbox=key, token=named("token", 16)),
        Watch(ref=3, capability=presence_capability(named("presence", 16))),
    ]
    relay: list[ControlMessage] = [
        RelayHello(version=1, relay_key=key, nonce=nonce, time=NOW, signature=signature),
        Welcome(signature=signature, registered=True, expired=0, stock=stock),
        Accepted(frames=[named("frame", 16)]),
        Error(code=ErrorCode.RATE_LIMITED, message="too often", ref=1, retry_after=60),
        Allowed(ref=2),
        QueuedAsRequest(frames=[named("frame", 16)]),
        Presence(ref=3, online=True),
    ]
    secrets = [named("token", 16), bytes(16)]
    key_text = json.loads(client[1].encode())["device_key"]
    login = client[1].encode()
    greeting = Greeting(Mode.DEVICE, "wss://relay.example/post", key, named("relay nonce"), nonce, NOW)
    return {
        "client": [message.encode() for message in client],
        "relay": [message.encode() for message in relay],
        "refused_of_a_client": [
            {"why": "extra field", "text": '{"type":"pull","more":1}'},
            {"why": "a key twice", "text": '{"type":"pull","type":"pull"}'},
            {"why": "not whole", "text": '{"type":"acknowledge","through":1.0}'},
            {"why": "NaN", "text": '{"type":"acknowledge","through":NaN}'},
            {"why": "overflow", "text": '{"type":"acknowledge","through":1e999}'},
            {"why": "boolean", "text": '{"type":"acknowledge","through":true}'},
            {"why": "text", "text": '{"type":"acknowledge","through":"1"}'},
            {"why": "negative", "text": '{"type":"acknowledge","through":-1}'},
            {"why": "too great", "text": '{"type":"acknowledge","through":18446744073709551616}'},
            {"why": "base64 padding", "text": login.replace(key_text, key_text + "=")},
            {"why": "stray bits", "text": login.replace(key_text, "A" * 42 + "B")},
            {"why": "unknown type", "text": '{"type":"welcome2"}'},
            {"why": "relay's message", "text": relay[2].encode()},
            {"why": "no object", "text": '["pull"]'},
            {"why": "too deep", "text": '{"type":' + "[" * 9 + "]" * 9 + "}"},
        ],
        "hashes": [
            {
                "secret": secret.hex(),
                "token_hash": token_hash(secret).hex(),
                "presence_capability": presence_capability(secret).hex(),
            }
            for secret in secrets
        ],
        "login": {
            "origin": greeting.origin,
            "relay_key": key.hex(),
            "relay_nonce": greeting.relay_nonce.hex(),
            "client_nonce": nonce.hex(),
            "time": NOW,
            "device_key": ALICE.device.key.hex(),
            "login_signature": signature.hex(),
            "hello_bytes": greeting.hello_bytes().hex(),
            "login_bytes": greeting.login_bytes(ALICE.device.key).hex(),
            "welcome_bytes": greeting.welcome_bytes(ALICE.device.key, signature).hex(),
        },
    }


def backups() -> File:
    """Small parameters: what is checked is the layout, and that every part of it counts."""
    passphrase = b"correct horse battery staple"
    made: list[File] = []
    for name, size in (("one chunk", 300), ("exactly one chunk", CHUNK), ("three chunks", 2 * CHUNK + 5)):
        parameters = Parameters(named(f"backup {name}", 16), 1 + len(made), 8192 * (1 + len(made)))
        lock = BackupLock.make(passphrase, parameters)
        content = named(f"backup content {name}", size)
        pieces = [content[at : at + CHUNK] for at in range(0, size, CHUNK)]
        sealed = [lock.seal(i, piece, is_last=i == len(pieces) - 1) for i, piece in enumerate(pieces)]
        made.append(
            {
                "name": name,
                "passphrase": passphrase.decode(),
                "operations": parameters.operations,
                "memory": parameters.memory,
                "salt": parameters.salt.hex(),
                "content_size": size,
                "content_is": f"shake_256 of 'blindpost vectors: backup content {name}'",
                "head": lock.head.hex(),
                "key": lock.key.hex(),
                "file_size": len(lock.head) + sum(map(len, sealed)),
                "file_sha256": hashlib.sha256(lock.head + b"".join(sealed)).hexdigest(),
                **({"file": (lock.head + sealed[0]).hex()} if size < CHUNK else {}),
            }
        )
    head = bytes.fromhex(str(made[0]["head"]))
    refused = [
        {"why": "format 2", "head": (head[:20] + b"\x02" + head[21:]).hex()},
        {"why": "no passes", "head": (head[:21] + bytes(4) + head[25:]).hex()},
        {"why": "11 passes", "head": (head[:21] + b"\0\0\0\x0b" + head[25:]).hex()},
        {"why": "8191 bytes of memory", "head": (head[:25] + (8191).to_bytes(8, "big") + head[33:]).hex()},
        {
            "why": "over 1 GiB of memory",
            "head": (head[:25] + (2**30 + 1).to_bytes(8, "big") + head[33:]).hex(),
        },
        {"why": "a byte short", "head": head[:-1].hex()},
        {"why": "a byte more", "head": (head + b"\0").hex()},
        {"why": "another label", "head": (b"x" + head[1:]).hex()},
    ]
    return {"backups": made, "refused_heads": refused}


FILES = {
    "backups": backups,
    "addresses": addresses,
    "device_lists": device_lists,
    "prekeys": prekeys,
    "handshake": handshakes,
    "ratchet": ratchets,
    "seal": seals,
    "content": contents,
    "small_things": small_things,
    "control": controls,
}


def build() -> dict[str, str]:
    """File name to text."""
    return {f"{name}.json": json.dumps(make(), indent=1) + "\n" for name, make in FILES.items()}


def main() -> int:
    """Write or check."""
    texts = build()
    if "--check" in sys.argv:
        stale = [name for name, text in texts.items() if (FOLDER / name).read_text() != text]
        print("as written" if not stale else f"different: {', '.join(stale)}")
        return bool(stale)
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
        print(f"wrote tests/vectors/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
