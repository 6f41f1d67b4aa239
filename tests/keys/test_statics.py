"""keys.statics: the same outcomes as without it, never more than its bound, and no refusal remembered."""

import pytest

from keys import statics as statics_module
from keys.errors import DecryptError
from keys.primitives import dh, dh_key
from keys.seal import InnerType, open_envelope, seal
from keys.statics import REMEMBERED, Statics
from tests.keys.parties import ALICE, BOB, LOW_ORDER, Seeded
from wire.prekeys import PrekeyKind


def test_outcomes_are_those_of_the_primitives() -> None:
    statics, random = Statics(), Seeded("statics")
    one, other = random(32), random(32)
    for _ in range(2):
        assert statics.dh_key(one) == dh_key(one)
        assert statics.dh(one, dh_key(other)) == dh(one, dh_key(other)) == statics.dh(other, dh_key(one))


def test_what_was_needed_before_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    statics, random = Statics(), Seeded("again")
    one, other = random(32), dh_key(random(32))
    known = statics.dh_key(one), statics.dh(one, other)
    for name in ("dh", "dh_key"):
        monkeypatch.setattr(statics_module, name, None)
    assert (statics.dh_key(one), statics.dh(one, other)) == known


def test_no_more_is_remembered_than_the_bound() -> None:
    statics, random = Statics(), Seeded("many")
    public = dh_key(random(32))
    for _ in range(REMEMBERED + 10):
        private = random(32)
        statics.dh(private, public)
        statics.dh_key(private)
    assert len(statics._shared) == len(statics._keys) == REMEMBERED


def test_a_private_key_that_is_gone_is_forgotten_with_all_that_follows_from_it() -> None:
    statics, random = Statics(), Seeded("rotated")
    old, new, public = random(32), random(32), dh_key(random(32))
    statics.keep([old])
    statics.dh_key(old)
    statics.dh(old, public)
    statics.keep([new, old])
    statics.dh(new, public)
    statics.dh_key(new)
    assert {private for private, _ in statics._shared} == set(statics._keys) == {old, new}
    statics.keep([new])
    assert {private for private, _ in statics._shared} == set(statics._keys) == {new}


@pytest.mark.parametrize("public", LOW_ORDER)
def test_a_point_of_low_order_is_refused_each_time(public: bytes) -> None:
    statics = Statics()
    for _ in range(2):
        with pytest.raises(DecryptError):
            statics.dh(b"\x42" * 32, public)
    assert not statics._shared


def test_envelopes_sealed_and_opened_with_it_are_the_same() -> None:
    sealing, mine, theirs = BOB.private(PrekeyKind.SEALING), Statics(), Statics()
    for number in range(3):
        plain, other = (
            seal(ALICE.device, BOB.device.key, sealing.public.key, InnerType.MESSAGE, b"hi", random, statics)
            for random, statics in ((Seeded(str(number)), None), (Seeded(str(number)), mine))
        )
        assert plain == other
        opened = open_envelope(plain, BOB.device.key, [sealing.private])
        assert opened == open_envelope(other, BOB.device.key, [sealing.private], theirs)


def test_the_second_envelope_takes_what_the_first_left(monkeypatch: pytest.MonkeyPatch) -> None:
    sealing, mine, theirs, random = BOB.private(PrekeyKind.SEALING), Statics(), Statics(), Seeded("second")

    def there() -> bytes:
        envelope = seal(
            ALICE.device, BOB.device.key, sealing.public.key, InnerType.MESSAGE, b"hi", random, mine
        )
        return open_envelope(envelope, BOB.device.key, [sealing.private], theirs).inner

    assert there() == b"hi"
    for name in ("dh", "dh_key"):
        monkeypatch.setattr(statics_module, name, None)
    assert there() == b"hi"
