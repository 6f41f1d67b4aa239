"""When it is said that somebody types."""

from hypothesis import given
from hypothesis import strategies as st

from clients.chat.pace import IDLE, REPEAT, TypingPace


def test_it_is_said_at_once_and_again_while_keys_are_pressed() -> None:
    pace = TypingPace()
    said = [pace.pressed(second / 2, has_text=True) for second in range(20)]
    assert said == [True, *[None] * 7, True, *[None] * 7, True, *[None] * 3]


def test_it_ends_when_the_line_is_empty() -> None:
    pace = TypingPace()
    assert pace.pressed(1, has_text=False) is None
    assert pace.pressed(2, has_text=True) is True
    assert pace.pressed(3, has_text=False) is False
    assert pace.pressed(4, has_text=False) is None


def test_it_ends_after_a_while_without_a_key() -> None:
    pace = TypingPace()
    assert pace.wait(0) is None
    assert pace.pressed(10, has_text=True) is True
    assert pace.wait(12) == IDLE - 2
    assert pace.look(10 + IDLE - 0.1) is None
    assert pace.look(10 + IDLE) is False
    assert pace.wait(20) is None


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["key", "clear", "look"])), max_size=60))
def test_it_is_never_said_too_often_and_never_left_unended(steps: list[tuple[float, str]]) -> None:
    pace, now, last, is_on = TypingPace(), 0.0, -REPEAT, False
    for passed, what in steps:
        now += passed
        said = pace.look(now) if what == "look" else pace.pressed(now, has_text=what == "key")
        if said is True:
            assert not is_on or now - last >= REPEAT
            last = now
        if said is False:
            assert is_on
        is_on = is_on if said is None else said
        assert (pace.wait(now) is not None) is is_on
