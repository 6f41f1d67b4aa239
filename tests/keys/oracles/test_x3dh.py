"""keys.handshake against the package X3DH: one secret while the KEM part is empty, and a session from it."""

from dataclasses import dataclass

import pytest
import xeddsa
from x3dh import Bundle

from keys import handshake
from keys.handshake import Agreement
from keys.primitives import dh, dh_key, kem_decapsulate
from keys.ratchet import Ratchet
from tests.keys.oracles.handshake_of_others import OtherDevice, signature
from tests.keys.oracles.network import Network, Ours
from tests.keys.oracles.ratchet_of_others import Other
from tests.keys.parties import ALICE, BOB, Seeded, accept_as, agree
from wire.prekeys import PrekeyKind

SEEDS = range(40)
SHAPES = pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "none"])


@dataclass(frozen=True)
class Keys:
    """The private keys of a handshake: the initiator's identity and ephemeral, and the acceptor's three."""

    identity: bytes
    ephemeral: bytes
    acceptor: OtherDevice
    transcript: bytes

    @classmethod
    def of(cls, seed: str, *, one_time: bool) -> "Keys":
        random = Seeded(seed)
        acceptor = OtherDevice(random(32), random(32), random(32) if one_time else None)
        return cls(random(32), random(32), acceptor, random(32))

    @property
    def info(self) -> bytes:
        return b"blindpost/v1/pqxdh\0" + self.transcript

    @property
    def one_time_key(self) -> bytes:
        private = self.acceptor.one_time_private
        return b"" if private is None else dh_key(private)


def as_initiator(keys: Keys) -> Agreement:
    """What our initiator computes from the public halves, without the KEM's secret."""
    secrets = handshake._initiator_secrets(
        keys.identity,
        keys.ephemeral,
        dh_key(keys.acceptor.identity_private),
        dh_key(keys.acceptor.signed_private),
        keys.one_time_key,
    )
    return handshake._agreement(keys.transcript, secrets)


def as_acceptor(keys: Keys, ephemeral: bytes) -> Agreement:
    """What our acceptor computes, likewise."""
    acceptor = keys.acceptor
    secrets = handshake._acceptor_secrets(
        acceptor.identity_private,
        acceptor.signed_private,
        acceptor.one_time_private or b"",
        dh_key(keys.identity),
        ephemeral,
    )
    return handshake._agreement(keys.transcript, secrets)


def bundle_of(acceptor: OtherDevice) -> Bundle:
    signed = dh_key(acceptor.signed_private)
    one_time = frozenset(() if acceptor.one_time_private is None else (dh_key(acceptor.one_time_private),))
    identity = dh_key(acceptor.identity_private)
    return Bundle(identity, signed, signature(acceptor.identity_private, signed), one_time)


@SHAPES
async def test_they_accept_what_we_initiate(one_time: bool) -> None:
    secrets = set()
    for seed in SEEDS:
        keys = Keys.of(f"we initiate {seed}", one_time=one_time)
        ours = as_initiator(keys)
        assert ours.root_key == await keys.acceptor.accept(
            keys.info, dh_key(keys.identity), dh_key(keys.ephemeral)
        )
        secrets.add(ours.root_key)
    assert len(secrets) == len(SEEDS)


@SHAPES
async def test_we_accept_what_they_initiate(one_time: bool) -> None:
    for seed in SEEDS:
        keys = Keys.of(f"they initiate {seed}", one_time=one_time)
        initiator = OtherDevice(keys.identity, bytes(32), None)
        theirs, ephemeral = await initiator.initiate(keys.info, bundle_of(keys.acceptor))
        assert as_acceptor(keys, ephemeral).root_key == theirs


async def test_they_say_no_to_every_other_key_and_transcript() -> None:
    keys = Keys.of("control", one_time=True)
    identity, ephemeral, acceptor = dh_key(keys.identity), dh_key(keys.ephemeral), keys.acceptor
    right = as_initiator(keys).root_key
    other = dh_key(b"o" * 32)
    wrong = [
        await acceptor.accept(keys.info, other, ephemeral),
        await acceptor.accept(keys.info, identity, other),
        await acceptor.accept(keys.info, ephemeral, identity),
        await acceptor.accept(keys.info[:-1] + b"x", identity, ephemeral),
        await OtherDevice(b"o" * 32, acceptor.signed_private, acceptor.one_time_private).accept(
            keys.info, identity, ephemeral
        ),
        await OtherDevice(acceptor.identity_private, b"o" * 32, acceptor.one_time_private).accept(
            keys.info, identity, ephemeral
        ),
        await OtherDevice(acceptor.identity_private, acceptor.signed_private, None).accept(
            keys.info, identity, ephemeral
        ),
    ]
    assert right == await acceptor.accept(keys.info, identity, ephemeral)
    assert len({right, *wrong}) == 1 + len(wrong)


@SHAPES
def test_what_is_compared_here_is_what_initiate_and_accept_use(one_time: bool) -> None:
    # The KEM's secret stands behind the others, and nothing else parts these agreements from those above.
    header, initiated, accepted = agree(ALICE, BOB, "whole", one_time=one_time)
    signed, kem, single = (
        BOB.private(kind) for kind in (PrekeyKind.SIGNED, header.kem_kind, PrekeyKind.ONE_TIME)
    )
    shared = kem_decapsulate(kem.private, header.ciphertext)
    forward = handshake._initiator_secrets(
        ALICE.device.identity_private,
        Seeded("whole")(32),
        BOB.entry.identity_key,
        signed.public.key,
        single.public.key if one_time else b"",
    )
    back = handshake._acceptor_secrets(
        BOB.device.identity_private,
        signed.private,
        single.private if one_time else b"",
        ALICE.entry.identity_key,
        header.ephemeral,
    )
    assert forward == back
    assert handshake._agreement(initiated.transcript, (*forward, shared)) == initiated == accepted
    assert handshake._agreement(initiated.transcript, forward).root_key != initiated.root_key
    assert accept_as(BOB, ALICE.party, header) == accepted


@SHAPES
async def test_a_conversation_goes_on_from_the_handshake(one_time: bool) -> None:
    keys = Keys.of("conversation", one_time=one_time)
    ours = as_initiator(keys)
    root_key = await keys.acceptor.accept(keys.info, dh_key(keys.identity), dh_key(keys.ephemeral))
    signed = keys.acceptor.signed_private
    state = Ratchet.initiate(ours.root_key, ours.associated, dh_key(signed))
    network = Network(
        Ours(state, "conversation"), Other(root_key, ours.associated, signed_private=signed), seed=1
    )
    await network.run(300)
    assert network.counts["opened"] >= 120


def test_x25519_and_its_public_keys_are_theirs() -> None:
    random = Seeded("x25519")
    for _ in SEEDS:
        private, other = random(32), random(32)
        assert xeddsa.priv_to_curve25519_pub(private) == dh_key(private)
        shared = dh(private, dh_key(other))
        assert xeddsa.x25519(other, dh_key(private)) == shared
