"""The ciphertext firewall: what it refuses, by theory and in fact, before anybody else sees it."""

import json
import os
import random
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from bench.chance import biased, false_reject, few_values
from bench.firewall import catch, missed, random_envelopes, real_envelopes, refused
from relay import firewall
from relay.firewall import (
    DISTINCT,
    LETTERS_2,
    LETTERS_3,
    PRINTABLE_RUN,
    WINDOW,
    has_text,
    is_biased,
    is_file,
    looks_like_plaintext,
    repeats_itself,
)
from relay.session import ERRORS_BEFORE_CLOSE
from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.relay.web import get, metric
from tests.support.relay_process import RelayProcess, running_relay
from wire.control import Accepted, Acknowledge, Pull, Refused, decode_relay_message
from wire.errors import CloseCode, ErrorCode
from wire.limits import BUCKETS

RANDOM = 20_000
REAL = 500


# --- theory --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", BUCKETS)
def test_by_theory_less_than_one_honest_envelope_in_a_thousand_million_is_refused(size: int) -> None:
    assert sum(false_reject(size).values()) < 1e-9


def test_the_theory_is_that_of_what_happens() -> None:
    # Where it happens often enough to be seen: the thresholds lie far beyond that.
    dice, tries = random.Random(1), 20_000
    few = sum(len(set(dice.randbytes(WINDOW))) <= 155 for _ in range(tries))
    assert few / tries == pytest.approx(few_values(WINDOW, 155), rel=0.1)
    assert few_values(WINDOW, WINDOW) == pytest.approx(1)
    with patch("bench.chance.BIAS", 4):  # two standard deviations; the bound is one, and no guess
        assert 0.0455 < biased() < 0.3


# --- each test alone -----------------------------------------------------------------------------------


NO_TEXT: Final = bytes(range(0x80, 0xC0))  # ends of letters, and no letter


def of(*parts: bytes, size: int = 1024) -> bytes:
    """An envelope with these parts from its first free byte on, and nothing behind them that is text."""
    return (b"\x01" + b"".join(parts) + NO_TEXT * (size // len(NO_TEXT)))[:size]


def test_what_all_bytes_stand_in_evenly_passes() -> None:
    assert not looks_like_plaintext(b"\x01" + random.Random(2).randbytes(1023))
    even = b"\x01" + (bytes(range(255, -1, -1)) * 4)[:1023]
    assert not is_biased(even)
    assert not repeats_itself(even)


@pytest.mark.parametrize("sign", [1, -1])
def test_too_many_ones_or_zeros(sign: int) -> None:
    bits = 8 * 1023
    most = int((firewall.BIAS * bits) ** 0.5)  # of the difference; with as many bits it is even
    for difference, is_refused in ((most // 2 * 2, False), (most // 2 * 2 + 2, True)):
        ones = (bits + sign * difference) // 2
        envelope = b"\x01" + ((1 << ones) - 1).to_bytes(1023)
        assert is_biased(envelope) is is_refused


def test_too_few_values_in_any_256_bytes() -> None:
    values = bytes(range(DISTINCT + 1)) * 3
    even = bytes(range(256))
    for place in range(3):
        enough, few = [even] * 3, [even] * 3
        enough[place], few[place] = values[:WINDOW], values[:DISTINCT] + bytes(WINDOW - DISTINCT)
        assert not repeats_itself(b"\x01" + b"".join(enough) + even[1:])
        assert repeats_itself(b"\x01" + b"".join(few) + even[1:])


@pytest.mark.parametrize(
    ("piece", "most"),
    [(b"a", PRINTABLE_RUN - 1), ("я".encode(), LETTERS_2 - 1), ("信".encode(), LETTERS_3 - 1)],
)
@pytest.mark.parametrize("at", [0, 400, 1023])
def test_too_long_a_run_of_text_wherever_it_is(piece: bytes, most: int, at: int) -> None:
    around = NO_TEXT * 16
    for count, is_refused in ((most, False), (most + 1, True)):
        run = piece * count
        before = min(at, 1023 - len(run))
        assert has_text((b"\x01" + around[:before] + run + around)[:1024]) is is_refused


def test_blanks_and_full_stops_do_not_end_a_run_of_letters() -> None:
    words = ("Да", "это", "мы", "и", "никто", "другой")
    assert has_text(of(", ".join(words).encode()))
    assert not has_text(of("0".join(words).encode()))


def test_each_of_the_tests_is_enough() -> None:
    tests = (is_file, is_biased, has_text, repeats_itself)
    noise = random.Random(3).randbytes(65_535)
    each = (
        b"BZh91AY&SY" + noise[10:],
        bytes(byte | (index % 8 == 0) for index, byte in enumerate(noise)),
        noise[:500] + b"a" * PRINTABLE_RUN + noise[500 + PRINTABLE_RUN :],
        noise[:WINDOW] + noise[:100] * 2 + noise[: WINDOW - 200] + noise[2 * WINDOW :],
    )
    assert not looks_like_plaintext(b"\x01" + noise)
    for number, payload in enumerate(each):
        envelope = b"\x01" + payload
        assert len(envelope) == 65_536
        assert [test(envelope) for test in tests] == [at == number for at in range(4)]
        assert looks_like_plaintext(envelope)


def test_a_file_where_an_envelope_begins_and_nowhere_else() -> None:
    heads = (
        b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\xff\xd8\xff\xe1\0\x20Exif\0",
        b"%PDF-", b"PK\x03\x04\x14\0", b"\x1f\x8b\x08\0abcd\x02", b"\x28\xb5\x2f\xfd\xa4", b"\xfd7zXZ\0",
        b"BZh91AY&SY", b"7z\xbc\xaf\x27\x1c", b"\x7fELF\x02\x01\x01", b"OggS\0", b"RIFFabcdWAVE",
        b"\0\0\0\x18ftyp",
    )  # fmt: skip
    for head in heads:
        assert is_file(of(head))
        assert not is_file(of(b"\x01", head))
        assert not is_file(of(head[:-1], bytes((head[-1] ^ 0x18,))))


# --- what is claimed -----------------------------------------------------------------------------------


def test_no_random_frame_and_no_envelope_of_our_client_is_refused() -> None:
    assert refused(random_envelopes(RANDOM), RANDOM, "random frames") == 0
    assert refused(real_envelopes(REAL), REAL, "envelopes of our client") == 0


def test_every_plaintext_is_caught_of_which_that_is_said() -> None:
    rows = catch(looks_like_plaintext)
    assert missed(rows) == []
    assert len(rows) > 40


# --- in the relay --------------------------------------------------------------------------------------

CANARY: Final = b"The canary sings at noon, and everybody in the relay can hear it. "
PLAIN: Final = b"\x01" + (CANARY * 16)[:1023]


async def info(relay: RelayProcess) -> dict[str, Any]:
    return dict(json.loads((await get(relay, "/v1/info")).text))


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("is_there", [True, False])
async def test_what_looks_like_plaintext_is_refused_before_anybody_sees_it(
    tmp_path: Path, is_there: bool
) -> None:
    bob = Account()
    with running_relay(tmp_path, firewall="strict") as relay:
        async with logged_in(relay.url, bob, pull=is_there) as receiver, submitting(relay.url) as sender:
            before, plain, after = [os.urandom(16) for _ in range(3)]
            await sender.put(bob.device.key, envelope(), before)
            await sender.put(bob.device.key, PLAIN, plain)
            await sender.put(bob.device.key, envelope(), after)
            if not is_there:
                await receiver.send(Pull())
            # The others keep their order, and are accepted: the accusation blocks nothing.
            assert [(await receiver.next_frame()).frame_id for _ in range(2)] == [before, after]
            await receiver.send(Acknowledge(through=2))
            accepted, refusals = list[bytes](), list[Refused]()
            while len(accepted) < 2 or not refusals:
                match decode_relay_message(str(await sender.websocket.recv())):
                    case Accepted(frames=frames):
                        accepted += frames
                    case Refused() as refused:
                        refusals.append(refused)
            assert accepted == [before, after]
            assert [(each.frame, each.code) for each in refusals] == [(plain, ErrorCode.PLAINTEXT_SUSPECTED)]
            assert refusals[0].retry_after is None
            # It is final for these bytes, and for nothing else: under the same id, others are a frame.
            await sender.put(bob.device.key, PLAIN, plain)
            assert (await sender.next(Refused)).code is ErrorCode.PLAINTEXT_SUSPECTED
            await sender.put(bob.device.key, envelope(), plain)
            assert (await receiver.next_frame()).frame_id == plain
            assert (await sender.next(Accepted)).frames == [plain]
        assert await metric(relay, "blindpost_frames_accepted_total") == 3
        assert await metric(relay, 'blindpost_refused_total{code="PLAINTEXT_SUSPECTED"}') == 2
    assert CANARY not in on_disk(tmp_path)


async def test_who_sends_nothing_else_is_closed(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, firewall="strict") as relay:
        async with logged_in(relay.url, bob), submitting(relay.url) as sender:
            for _ in range(ERRORS_BEFORE_CLOSE):
                await sender.put(bob.device.key, PLAIN)
            assert await sender.close_code() == CloseCode.BAD_REQUEST


@pytest.mark.parametrize("mode", ["basic", "strict"])
async def test_version_and_bucket_are_checked_in_any_case(tmp_path: Path, mode: str) -> None:
    bob = Account()
    with running_relay(tmp_path, firewall=mode) as relay:
        async with logged_in(relay.url, bob), submitting(relay.url) as sender:
            bad = [os.urandom(1024) for _ in range(3)]
            bad = [b"\x02" + each[1:] for each in bad[:1]] + [b"\x01" + each[2:] for each in bad[1:2]]
            bad += [b"\x01" + os.urandom(size - 1) for size in (1025, 1536, 3072, 65_535)]
            for each in (b"", *bad):  # the empty one is a header and nothing behind it
                frame = await sender.put(bob.device.key, each)
                refused = await sender.next(Refused)
                assert (refused.frame, refused.code) == (frame, ErrorCode.BAD_ENVELOPE)
            for size in BUCKETS:
                frame = await sender.put(bob.device.key, envelope(size))
                assert (await sender.next(Accepted)).frames == [frame]


async def test_it_is_off_unless_an_operator_says_so_and_everybody_may_know(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path) as relay:
        assert (await info(relay))["firewall"] == "basic"
        async with logged_in(relay.url, bob), submitting(relay.url) as sender:
            frame = await sender.put(bob.device.key, PLAIN)
            assert (await sender.next(Accepted)).frames == [frame]
    assert CANARY in on_disk(tmp_path)
    with running_relay(tmp_path, firewall="strict") as relay:
        assert (await info(relay))["firewall"] == "strict"
