"""keys.checkpoint: sealed for its own device alone, and always of one size."""

from dataclasses import replace

import pytest

from keys.checkpoint import SIZE, Checkpoint, open_checkpoint, seal_checkpoint
from keys.errors import DecryptError
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
