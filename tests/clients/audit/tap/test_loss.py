"""A frame that is lost: that one alone, and whole, in whatever pieces it comes."""

import random

from websockets.frames import Frame, Opcode

from clients.audit.tap.loss import Loss

HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def frame(size: int) -> bytes:
    return Frame(Opcode.BINARY, bytes([size % 251]) * size).serialize(mask=False)


def passed_on(loss: Loss, pieces: list[bytes], connection: int = 0) -> bytes:
    before, out = b"", b""
    for piece in pieces:
        out += loss.passed_on(connection, before, piece)
        before += piece
    return out


def test_one_frame_is_lost_in_whatever_pieces_it_comes() -> None:
    sizes = (5, 300, 1083, 70_000, 1083, 16_443, 200, 16_443)
    sent = b"".join(map(frame, sizes))
    wanted = HEAD + b"".join(frame(size) for size in sizes[:5]) + frame(200) + frame(16_443)
    dice = random.Random(3)
    losses = 0
    for _ in range(50):
        cuts = sorted(dice.sample(range(1, len(sent)), dice.randrange(8)))
        ends = [*cuts, len(sent)]
        pieces = [sent[start:end] for start, end in zip([0, *cuts], ends, strict=True)]
        loss = Loss(16_443)
        out = passed_on(loss, [HEAD, *pieces])
        losses += out == wanted
        assert out == wanted or len(out) == len(wanted)  # its head was cut in two, and the next one is lost
    assert losses >= 45


def test_others_are_left_alone() -> None:
    loss = Loss(16_443)
    pieces = [HEAD, frame(300), frame(16_442)]
    assert passed_on(loss, pieces) == b"".join(pieces)
    assert passed_on(loss, [HEAD, frame(16_443)], connection=1) == HEAD
    assert loss.happened
    assert passed_on(loss, [HEAD, frame(16_443)], connection=2) == HEAD + frame(16_443)


def test_while_a_frame_is_being_lost_others_connections_are_left_alone() -> None:
    loss, lost = Loss(16_443), frame(16_443)
    assert loss.passed_on(1, HEAD, lost[:5000]) == b""
    assert loss.passed_on(2, HEAD, frame(300)) == frame(300)
    assert loss.passed_on(1, HEAD + lost[:5000], lost[5000:] + frame(300)) == frame(300)


def test_what_has_gone_by_already_is_not_lost() -> None:
    loss, gone = Loss(16_443), frame(16_443)
    assert loss.passed_on(1, HEAD + gone, frame(300)) == frame(300)
    assert loss.passed_on(1, HEAD + gone[:100], gone[100:]) == gone[100:]
    assert loss.passed_on(1, HEAD + gone, gone) == b""
