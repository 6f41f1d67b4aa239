"""keys.checkpoint: sealed for its own device alone, and always of one size."""

from dataclasses import replace

import pytest

from keys.checkpoint import SIZE, Checkpoint, open_checkpoint, seal_checkpoint
from keys.errors import DecryptError
from keys.primitives import aead_encrypt, hkdf
from tests.keys.parties import ALICE, BOB, Seeded, flipped
from wire.limits import CHECKPOINT_MAX

MADE = Checkpoint(100, bytes(range(16)), (3, 3, 140, 3, 151))


def test_it_is_read_by_its_own_device_and_always_of_one_size() -> None:
    for checkpoint in (
        MADE,
        Checkpoint(0, bytes(16), (0,) * 5),
        Checkpoint(2**63 - 1, b"\xff" * 16, (2**32 - 1,) * 5),
    ):
        sealed = seal_checkpoint(ALICE.device, checkpoint, Seeded("seal"))
        assert len(sealed) == SIZE == 85 <= CHECKPOINT_MAX
        assert open_checkpoint(ALICE.device, sealed) == checkpoint


def test_two_of_the_same_share_nothing() -> None:
    random = Seeded("two")
    first, second = (seal_checkpoint(ALICE.device, MADE, random) for _ in range(2))
    assert not {first[at : at + 4] for at in range(SIZE - 3)} & {
        second[at : at + 4] for at in range(SIZE - 3)
    }


def test_nobody_else_makes_or_changes_one() -> None:
    sealed = seal_checkpoint(ALICE.device, MADE, Seeded("seal"))
    stranger = replace(ALICE.device, identity_private=BOB.device.identity_private)
    assert open_checkpoint(stranger, sealed) == MADE  # the seed alone makes the key
    wrong = [seal_checkpoint(BOB.device, MADE, Seeded("seal")), b"", sealed[:-1], sealed + b"\0"]
    for data in (*wrong, *(flipped(sealed, at) for at in range(SIZE))):
        with pytest.raises(DecryptError):
            open_checkpoint(ALICE.device, data)


def sealed_as(plain: bytes) -> bytes:
    """What only the device itself can make: a checkpoint that holds these bytes."""
    info = b"blindpost/v1/checkpoint\0" + ALICE.device.key
    key = hkdf(salt=bytes(32), ikm=ALICE.device.seed, info=info, size=32)
    return b"n" * 24 + aead_encrypt(key, b"n" * 24, plain, info)


FIELDS = (100).to_bytes(8, "big") + bytes(range(16))
NEXT = b"".join(number.to_bytes(4, "big") for number in MADE.next_prekeys)


def test_the_layout_is_the_documented_one() -> None:
    assert open_checkpoint(ALICE.device, sealed_as(b"\x01" + FIELDS + NEXT)) == MADE


@pytest.mark.parametrize(
    "plain",
    [
        b"\x00" + FIELDS + NEXT,
        b"\x02" + FIELDS + NEXT,
        b"\x01" + (2**63).to_bytes(8, "big") + FIELDS[8:] + NEXT,
        b"\x01" + FIELDS + NEXT[:-1],
        b"\x01" + FIELDS + NEXT[:-4],
        b"\x01" + FIELDS + NEXT + b"\0",
        b"",
    ],
)
def test_another_version_size_or_a_number_that_is_none_is_refused_from_ones_own_device_too(
    plain: bytes,
) -> None:
    with pytest.raises(DecryptError):
        open_checkpoint(ALICE.device, sealed_as(plain))
