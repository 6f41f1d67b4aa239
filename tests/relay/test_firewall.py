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
from relay.session import ERRORS_BEFORE_CLOSE
from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.relay.web import get, metric
from tests.support.relay_process import RelayProcess, running_relay
from wire.control import Accepted, Acknowledge, Pull, Refused, decode_relay_message
from wire.errors import CloseCode, ErrorCode
from wire.limits import BUCKETS
from wire.randomness import WINDOW, looks_like_plaintext

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


# --- what is claimed -----------------------------------------------------------------------------------


@pytest.mark.client_crypto("envelopes as clients make them are its input")
def test_no_random_frame_and_no_envelope_of_our_client_is_refused() -> None:
    # From a seed: of so many drawn anew, one is refused in one run of 200,000.
    assert refused(random_envelopes(RANDOM, random.Random(3).randbytes), RANDOM, "random frames") == 0
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
