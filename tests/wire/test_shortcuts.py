"""The shortcuts say what the models say, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from wire import control
from wire.shortcuts import read_acknowledge, write_accepted

THROUGH = st.integers(1, 2**63 - 1)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=256))
def test_accepted_is_written_as_its_model_does(frames: list[bytes]) -> None:
    assert write_accepted(frames) == control.Accepted(frames=frames).encode()


@given(THROUGH)
def test_acknowledge_is_read_as_its_model_does(through: int) -> None:
    text = control.Acknowledge(through=through).encode()
    assert read_acknowledge(text) == (through if through < 10**18 else None)


@given(st.text(), THROUGH, st.integers(0, 60))
def test_what_is_not_canonical_is_left_to_the_model(junk: str, through: int, at: int) -> None:
    text = control.Acknowledge(through=through).encode()
    changed = text[:at] + junk + text[at:]
    read = read_acknowledge(changed)
    if read is not None:
        assert control.decode_client_message(changed) == control.Acknowledge(through=read)


def test_numbers_that_the_model_refuses_are_not_read() -> None:
    for number in ("0", "01", "-1", "1.0", "1e3", "9" * 19, "\N{ARABIC-INDIC DIGIT ONE}", " 1", "1 ", ""):
        assert read_acknowledge(f'{{"type":"acknowledge","through":{number}}}') is None
    assert read_acknowledge('{"type":"acknowledge","through":1}\n') is None
