"""keys.handshake: both sides agree on everything public and secret, or the first message fails."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import DecryptError
from keys.handshake import HEADER_SIZE, Agreement, HandshakeHeader, Party, accept, decode_header, initiate
from keys.prekeys import generate_prekey
from keys.primitives import kem_encapsulate, sign
from keys.ratchet import Ratchet
from tests.keys.parties import (
    ALICE,
    BOB,
    LOW_ORDER,
    MALLORY,
    NOW,
    Person,
    Seeded,
    accept_as,
    agree,
    flipped,
    person,
)
from wire.prekeys import PrekeyKind


def first_message_opens(ours: Agreement, theirs: Agreement) -> bool:
    """Whether a message under the initiator's agreement opens under the acceptor's."""
    signed = BOB.private(PrekeyKind.SIGNED)
    initiator = Ratchet.initiate(ours.root_key, ours.associated, signed.public.key)
    _, message = initiator.encrypt(b"first", Seeded("first"))
    try:
        acceptor = Ratchet.accept(theirs.root_key, theirs.associated, signed.private)
        return acceptor.decrypt(message, NOW)[1] == b"first"
    except DecryptError:
        return False


@pytest.mark.parametrize("one_time", [True, False])
@pytest.mark.parametrize("one_time_kem", [True, False])
def test_both_sides_agree(one_time: bool, one_time_kem: bool) -> None:
    header, ours, theirs = agree(ALICE, BOB, one_time=one_time, one_time_kem=one_time_kem)
    assert ours == theirs
    assert len({ours.transcript, ours.root_key, ours.associated}) == 3
    assert (header.one_time_id != 0) == one_time
    assert header.kem_kind == (PrekeyKind.ONE_TIME_KEM if one_time_kem else PrekeyKind.LAST_RESORT_KEM)
    assert first_message_opens(ours, theirs)


def test_two_handshakes_share_nothing() -> None:
    _, one, _ = agree(ALICE, BOB, "one")
    _, other, _ = agree(ALICE, BOB, "other")
    assert not {one.transcript, one.root_key, one.associated} & {
        other.transcript,
        other.root_key,
        other.associated,
    }


def test_the_kem_alone_makes_each_session_new() -> None:
    # Even with the same randomness for the ephemeral key, OpenSSL's own randomness is in the secret.
    assert agree(ALICE, BOB, "same")[1].root_key != agree(ALICE, BOB, "same")[1].root_key


def resigned(who: Person, *, created: int | None = None, extra: int = 0) -> Party:
    """`who` under another device list that the account itself has signed."""
    entry = replace(who.entry, created=created or who.entry.created, signature=b"")
    entry = replace(entry, signature=sign(who.device.seed, entry.signed_bytes(who.account.key)))
    return Party(who.account.sign_device_list((entry,), NOW + extra), entry)


def of_another_account(party: Party) -> Party:
    return replace(party, devices=replace(party.devices, account_key=b"x" * 32))


# What the acceptor believes, changed in one public place each.
BELIEFS: dict[str, Callable[[Party, Party], tuple[Party, Party]]] = {
    "own list hash": lambda own, peer: (resigned(BOB, extra=1), peer),
    "own list version": lambda own, peer: (
        replace(own, devices=BOB.account.sign_device_list((BOB.entry,), NOW, BOB.devices)), peer
    ),
    "own account": lambda own, peer: (of_another_account(own), peer),
    "own entry": lambda own, peer: (replace(own, entry=replace(own.entry, created=1)), peer),
    "own entry's signature": lambda own, peer: (
        replace(own, entry=replace(own.entry, signature=bytes(64))), peer
    ),
    "peer list hash": lambda own, peer: (own, resigned(ALICE, extra=1)),
    "peer list version": lambda own, peer: (
        own, replace(peer, devices=ALICE.account.sign_device_list((ALICE.entry,), NOW, ALICE.devices))
    ),
    "peer account": lambda own, peer: (own, of_another_account(peer)),
    "peer entry": lambda own, peer: (own, replace(peer, entry=replace(peer.entry, created=1))),
    "peer device key": lambda own, peer: (
        own, replace(peer, entry=replace(peer.entry, device_key=b"x" * 32))
    ),
    "peer identity key": lambda own, peer: (
        own, replace(peer, entry=replace(peer.entry, identity_key=MALLORY.device.identity_key))
    ),
    "roles swapped": lambda own, peer: (peer, own),
}  # fmt: skip


@pytest.mark.parametrize("belief", BELIEFS)
def test_sides_that_believe_different_things_do_not_understand_each_other(belief: str) -> None:
    header, ours, theirs = agree(ALICE, BOB)
    assert first_message_opens(ours, theirs)
    own, peer = BELIEFS[belief](BOB.party, ALICE.party)
    other = accept_as(BOB, peer, header, own=own)
    assert other.transcript != ours.transcript
    assert not first_message_opens(ours, other)


def test_another_device_or_prekey_does_not_understand() -> None:
    header, ours, _ = agree(ALICE, BOB)
    signed, kem, one_time = (
        BOB.private(kind) for kind in (PrekeyKind.SIGNED, PrekeyKind.ONE_TIME_KEM, PrekeyKind.ONE_TIME)
    )
    last_resort = BOB.private(PrekeyKind.LAST_RESORT_KEM)
    other = generate_prekey(BOB.device, PrekeyKind.SIGNED, 99, NOW, Seeded("other"))
    args = (BOB.device, BOB.party, ALICE.party, header)
    assert first_message_opens(ours, accept(*args, signed, kem, one_time))
    assert not first_message_opens(ours, accept(MALLORY.device, *args[1:], signed, kem, one_time))
    assert not first_message_opens(ours, accept(*args, other, kem, one_time))
    assert not first_message_opens(ours, accept(*args, signed, last_resort, one_time))
    assert not first_message_opens(ours, accept(*args, signed, kem, other))
    assert not first_message_opens(ours, accept(*args, signed, kem, None))


def test_every_secret_of_the_agreement_counts() -> None:
    # The same public transcript on both sides, one private half exchanged: DH1, DH2, DH3, DH4, KEM.
    header, ours, _ = agree(ALICE, BOB)
    signed, kem, one_time = (
        BOB.private(kind) for kind in (PrekeyKind.SIGNED, PrekeyKind.ONE_TIME_KEM, PrekeyKind.ONE_TIME)
    )
    wrong = {"signed": replace(signed, private=b"w" * 32), "kem": replace(kem, private=b"w" * 64),
             "one_time": replace(one_time, private=b"w" * 32)}  # fmt: skip
    wrong_device = replace(BOB.device, identity_private=b"w" * 32)
    right = {"signed": signed, "kem": kem, "one_time": one_time}
    for name, prekey in wrong.items():
        other = accept(BOB.device, BOB.party, ALICE.party, header, **{**right, name: prekey})
        assert other.transcript == ours.transcript
        assert other.root_key != ours.root_key
        assert other.associated != ours.associated
    other = accept(wrong_device, BOB.party, ALICE.party, header, **right)
    assert other.transcript == ours.transcript
    assert other.root_key != ours.root_key


def test_whoever_lacks_the_initiators_identity_key_is_not_the_initiator() -> None:
    # Mallory knows all that is public about Alice and starts a session in her name.
    header, forged = initiate(MALLORY.device, ALICE.party, BOB.party, BOB.bundle(), Seeded("forged"))
    accepted = accept_as(BOB, ALICE.party, header)
    assert accepted.transcript == forged.transcript
    assert not first_message_opens(forged, accepted)


def test_a_change_of_any_byte_of_the_header_ends_the_session() -> None:
    header, ours, theirs = agree(ALICE, BOB)
    assert first_message_opens(ours, theirs)
    encoded = header.encode()
    regions = [*range(86), 86, 87, 500, HEADER_SIZE - 2, HEADER_SIZE - 1]
    for at in regions:
        for bit in (0, 7) if at < 86 else (3,):
            try:
                other = accept_as(BOB, ALICE.party, decode_header(flipped(encoded, at, bit)))
            except DecryptError:
                continue
            assert other.transcript != ours.transcript
            assert not first_message_opens(ours, other)


def test_an_id_in_the_header_that_was_not_used_ends_the_session() -> None:
    header, ours, _ = agree(ALICE, BOB)
    for other_header in (
        replace(header, signed_id=99),
        replace(header, kem_id=99),
        replace(header, one_time_id=99),
        replace(header, list_version=2),
    ):
        other = accept_as(BOB, ALICE.party, other_header)
        assert not first_message_opens(ours, other)


def test_a_kem_ciphertext_replayed_under_another_key_gives_nothing() -> None:
    header, ours, _ = agree(ALICE, BOB)
    relabelled = replace(
        header, kem_kind=PrekeyKind.LAST_RESORT_KEM, kem_id=BOB.bundle(one_time_kem=False).kem.id
    )
    assert not first_message_opens(ours, accept_as(BOB, ALICE.party, relabelled))


def test_a_kem_secret_encapsulated_anew_gives_nothing() -> None:
    # Re-encapsulation: a ciphertext of the attacker's own to the same key.
    header, ours, _ = agree(ALICE, BOB)
    _, ciphertext = kem_encapsulate(BOB.bundle().kem.key)
    assert not first_message_opens(ours, accept_as(BOB, ALICE.party, replace(header, ciphertext=ciphertext)))


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_low_order_points_are_refused_on_both_sides(point: bytes) -> None:
    header, _, _ = agree(ALICE, BOB)
    with pytest.raises(DecryptError):
        accept_as(BOB, ALICE.party, replace(header, ephemeral=point))
    with pytest.raises(DecryptError):
        accept_as(BOB, replace(ALICE.party, entry=replace(ALICE.entry, identity_key=point)), header)
    bundle = BOB.bundle()
    assert bundle.one_time is not None
    for broken in (
        replace(bundle, signed=replace(bundle.signed, key=point)),
        replace(bundle, one_time=replace(bundle.one_time, key=point)),
    ):
        with pytest.raises(DecryptError):
            initiate(ALICE.device, ALICE.party, BOB.party, broken, Seeded("low"))
    peer = replace(BOB.party, entry=replace(BOB.entry, identity_key=point))
    with pytest.raises(DecryptError):
        initiate(ALICE.device, ALICE.party, peer, bundle, Seeded("low"))


def test_an_invalid_kem_key_is_refused() -> None:
    bundle = BOB.bundle()
    for key in (b"\xff" * 1184, bytes(10)):
        broken = replace(bundle, kem=replace(bundle.kem, key=key))
        with pytest.raises(DecryptError):
            initiate(ALICE.device, ALICE.party, BOB.party, broken, Seeded("kem"))


@pytest.mark.parametrize("one_time", [True, False])
def test_a_header_round_trips(one_time: bool) -> None:
    header, _, _ = agree(ALICE, BOB, one_time=one_time)
    assert len(header.encode()) == HEADER_SIZE == 1174
    assert decode_header(header.encode()) == header


def test_headers_of_another_size_version_kind_or_with_a_zero_id_are_refused() -> None:
    header, _, _ = agree(ALICE, BOB)
    whole = header.encode()
    broken = [whole[:length] for length in range(0, HEADER_SIZE, 13)] + [whole[:-1], whole + b"\0", b""]
    broken += [bytes([version]) + whole[1:] for version in (0, 2, 255)]
    broken += [whole[:81] + bytes([kind]) + whole[82:] for kind in (0, 1, 2, 3, 6, 255)]
    broken += [replace(header, signed_id=0).encode(), replace(header, kem_id=0).encode()]
    for data in broken:
        with pytest.raises(DecryptError):
            decode_header(data)


@given(st.binary(min_size=HEADER_SIZE, max_size=HEADER_SIZE) | st.binary(max_size=200))
def test_any_bytes_give_a_header_that_encodes_to_itself_or_decrypt_error(data: bytes) -> None:
    for head in (b"", b"\x01"):
        whole = head + data[len(head) :]
        try:
            header = decode_header(whole)
        except DecryptError:
            continue
        assert header.encode() == whole


def test_people_never_share_a_session_by_chance() -> None:
    header: HandshakeHeader
    header, ours, _ = agree(ALICE, BOB)
    carol = person("carol")
    assert not first_message_opens(ours, accept_as(carol, ALICE.party, header))
