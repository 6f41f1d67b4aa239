"""What `make attacks` is red for: an attack that succeeds, a control that does not, a scene that breaks."""

import pytest

from tests.attacks.attack import Attack, Caught, Outcome, Removal, Succeeded, attack, valued
from tests.attacks.play import play, verdict
from tests.attacks.stage import NothingSeenError, Stage

GONE = valued("tests.attacks.test_play.DEFENCE", False)
DEFENCE = True


@attack(defence="a clock", without=GONE)
async def sound(stage: Stage) -> Outcome:
    """Be caught where there is a clock."""
    return Caught("alice", "by the clock", 3) if DEFENCE else Succeeded("it is dark")


@attack(defence="none", without=GONE)
async def succeeds(stage: Stage) -> Outcome:
    """Succeed in any case."""
    return Succeeded("it is there")


@attack(defence="another one", without=GONE)
async def always_caught(stage: Stage) -> Outcome:
    """Be caught in any case."""
    return Caught("bob", "by something else")


@attack(defence="a clock", without=GONE)
async def breaks(stage: Stage) -> Outcome:
    """See nothing."""
    raise NothingSeenError("nothing was seen")


def test_a_row_is_good_if_it_is_caught_and_its_control_succeeds() -> None:
    row = play(sound)
    assert row.is_good
    assert (row.who, row.how, row.after, row.gained) == ("alice", "by the clock", 3, "it is dark")
    assert "caught by alice; without the defence: it is dark" in row.line()
    assert verdict([row, row]) == "attacks: ok: 2 tried, 2 caught, 2 controls succeeded"
    assert DEFENCE  # is back


@pytest.mark.parametrize(
    ("bad", "said", "figures"),
    [
        (succeeds, "it succeeds: it is there", "1 caught, 2 controls"),
        (always_caught, "the control proves nothing: without the defence, bob", "2 caught, 1 controls"),
        (breaks, "with every defence: NothingSeenError", "1 caught, 1 controls"),
    ],
)
def test_it_is_red_for(bad: Attack, said: str, figures: str) -> None:
    row = play(bad)
    assert not row.is_good
    assert said in row.line()
    assert verdict([play(sound), row]).startswith(f"attacks: FAILED: 2 tried, {figures}")


def test_nothing_tried_is_no_success() -> None:
    assert verdict([]).startswith("attacks: FAILED: 0 tried")


def test_a_defence_that_is_not_there_cannot_be_taken_away() -> None:
    missing = Attack(
        "", "", "", (Removal("clients.clock.no_defence", lambda original: None),), "", sound.play
    )
    row = play(missing)
    assert not row.is_good
    assert "in the control: AttributeError" in row.line()
