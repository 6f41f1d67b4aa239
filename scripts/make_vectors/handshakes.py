"""PQXDH: header and private prekeys to transcript, root key and associated data.

The KEM ciphertexts are the one thing that no name gives: OpenSSL draws their randomness itself. They were
made once, and are kept from the file that is already there.
"""

import json
from dataclasses import replace

from keys.handshake import Agreement, HandshakeHeader, accept
from keys.primitives import dh_key, kem_encapsulate
from scripts.make_vectors.people import (
    ALICE,
    BOB,
    DISAGREEMENT,
    FOLDER,
    UNDECRYPTABLE,
    File,
    Someone,
    flipped,
    named,
    refused,
)
from wire.prekeys import PrekeyKind

KEM_KINDS = {"last resort": PrekeyKind.LAST_RESORT_KEM, "one-time": PrekeyKind.ONE_TIME_KEM}
EPHEMERAL = named("ephemeral")


def kept_ciphertext(name: str) -> bytes:
    """The KEM ciphertext in the file that is there; a new one where none is."""
    path = FOLDER / "handshake.json"
    if path.exists():
        old = json.loads(path.read_text())["valid"]
        return next(bytes.fromhex(item["header"])[86:] for item in old if item["name"] == name)
    return kem_encapsulate(BOB.prekeys[KEM_KINDS[name]].public.key)[1]


def handshake_of(name: str) -> tuple[HandshakeHeader, Agreement]:
    """Alice's handshake with Bob: with one-time prekeys, or with neither."""
    signed, kem = BOB.prekeys[PrekeyKind.SIGNED], BOB.prekeys[KEM_KINDS[name]]
    one_time = BOB.prekeys[PrekeyKind.ONE_TIME] if name == "one-time" else None
    header = HandshakeHeader(
        BOB.devices.version,
        BOB.devices.hash(),
        dh_key(EPHEMERAL),
        signed.public.id,
        one_time.public.id if one_time else 0,
        kem.public.kind,
        kem.public.id,
        kept_ciphertext(name),
    )
    return header, accept(BOB.device, BOB.party, ALICE.party, header, signed, kem, one_time)


def described(who: Someone) -> File:
    """One side of a handshake."""
    return {
        "account_key": who.account.key.hex(),
        "identity_private": who.device.identity_private.hex(),
        "device_list": who.devices.encode().hex(),
    }


def handshakes() -> File:
    """Agreements as the acceptor computes them, with and without one-time prekeys."""
    valid = []
    for name in KEM_KINDS:
        header, agreement = handshake_of(name)
        one_time = BOB.prekeys[PrekeyKind.ONE_TIME] if header.one_time_id else None
        item = {
            "name": name,
            "header": header.encode().hex(),
            "signed_private": BOB.prekeys[PrekeyKind.SIGNED].private.hex(),
            "kem_seed": BOB.prekeys[header.kem_kind].private.hex(),
            "one_time_private": one_time.private.hex() if one_time else None,
            "transcript": agreement.transcript.hex(),
            "root_key": agreement.root_key.hex(),
            "associated": agreement.associated.hex(),
        }
        valid.append(item)
    whole = bytes.fromhex(valid[1]["header"] or "")
    malformed = {
        "another version": b"\x02" + whole[1:],
        "not a KEM kind": whole[:81] + b"\x03" + whole[82:],
        "signed prekey id zero": whole[:73] + bytes(4) + whole[77:],
        "truncated": whole[:-1],
        "trailing byte": whole + b"\0",
    }
    disagreeing = {
        "list version": flipped(whole, 8),
        "list hash": flipped(whole, 9),
        "ephemeral key": flipped(whole, 41),
        "id of the KEM prekey": flipped(whole, 85),
        "KEM ciphertext": flipped(whole, 86),
    }
    low = replace(handshake_of("one-time")[0], ephemeral=bytes(32))
    return {
        "initiator": described(ALICE),
        "acceptor": described(BOB),
        "ephemeral_private": EPHEMERAL.hex(),
        "valid": valid,
        "malformed": [refused(UNDECRYPTABLE, why, header=item) for why, item in malformed.items()],
        "not_accepted": [refused(UNDECRYPTABLE, "ephemeral key of small order", header=low.encode())],
        "disagreeing": [refused(DISAGREEMENT, why, header=item) for why, item in disagreeing.items()],
    }
