"""How a sender goes on after a refusal, without a relay or a clock."""

from clients.window import WIDEST, Window


def filled(count: int) -> Window:
    window = Window()
    for number in range(count):
        window.put(bytes([number]), number + 1, 10.0)
    return window


def test_so_many_are_on_their_way_and_no_more() -> None:
    window = filled(100)
    assert (window.room(10), window.last_put) == (WIDEST - 100, 100)
    assert window.settle([bytes([0]), bytes([1])], 11) == [bytes([0]), bytes([1])]
    assert window.room(11) == WIDEST - 98


def test_an_answer_for_a_frame_that_is_not_on_its_way_means_nothing() -> None:
    window = filled(1)
    assert window.settle([b"x"], 15) == []
    assert window.quiet_since == 10
    assert window.settle([bytes([0]), b"x"], 15) == [bytes([0])]
    assert window.quiet_since == 15
    assert window.settle([bytes([0])], 16) == []
    assert window.is_empty


def test_nothing_goes_out_until_all_is_answered_and_the_time_has_passed() -> None:
    window = filled(4)
    window.settle([bytes([0])], 11)
    window.settle([bytes([1])], 11)
    window.go_back(11, 5)
    assert window.room(12) == 0
    window.settle([bytes([2]), bytes([3])], 12)
    assert (window.is_empty, window.room(15.9), window.goes_back) == (True, 0, True)
    assert window.room(16) == 1
    assert (window.last_put, window.goes_back) == (0, False), "it begins with the oldest again"


def test_an_answer_that_is_still_out_holds_everything_back() -> None:
    window = filled(2)
    window.settle([bytes([0])], 11)
    window.go_back(11, 1)
    assert window.room(99) == 0
    window.settle([bytes([1])], 99)
    assert window.room(99) == 1


def test_it_widens_with_what_is_accepted() -> None:
    window = Window()
    window.go_back(0, 1)
    widths = []
    number = 0
    for _ in range(10):
        width = window.room(2)
        widths.append(width)
        frames = [number.to_bytes(4, "big") for number in range(number, number + width)]
        number += width
        for frame in frames:
            window.put(frame, number, 2)
        window.settle(frames, 2)
        window.widen(len(frames))
    assert widths == [1, 2, 4, 8, 16, 32, 64, WIDEST, WIDEST, WIDEST]


def test_a_second_refusal_does_not_shorten_the_wait() -> None:
    window = filled(2)
    window.go_back(10, 30)
    window.go_back(11, 1)
    window.settle([bytes([0]), bytes([1])], 12)
    assert (window.room(39), window.room(40)) == (0, 1)


def test_it_is_full_when_nothing_may_go_out_before_an_answer() -> None:
    window = filled(WIDEST - 1)
    seen = [window.is_full]
    window.put(b"last", WIDEST, 1)
    seen.append(window.is_full)
    window.settle([b"last"], 2)
    seen.append(window.is_full)
    window.go_back(2, 0)
    seen.append(window.is_full)
    assert seen == [False, True, False, True]
