"""What `firewall strict` refuses, rightly and wrongly, and what it costs: `make firewall`.

    python -m bench.firewall [--frames 1000000] [--envelopes 100000] [--no-relay] [--write]

Honest frames are random bytes and real envelopes; plaintexts are those of `bench.plaintexts`, laid into
envelopes of every size in several ways. Exits non-zero when an honest one is refused, or a plaintext passes
that is claimed to be caught. `--write` makes docs/firewall.md of the run.
"""

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import live
from bench.chance import false_reject
from bench.generator import build
from bench.plaintexts import MIDDLE, XOR_16, XOR_256, samples
from bench.rows import Row
from bench.systems import BURST, LONE, Blindpost
from clients.engine import Draft
from keys.content import MESSAGE_ID, Kind
from relay.firewall import FIREWALLS
from tests.support.memory_state import Speaker
from wire import randomness
from wire.limits import BUCKETS

SEED: Final = 20261121  # of the samples and their places; honest frames come from the system's randomness
REPEATS: Final = 10
EVERY: Final = bytes(range(256))
Test = Callable[[bytes], bool]


# --- honest frames -------------------------------------------------------------------------------------


def random_envelopes(count: int, drawn: Callable[[int], bytes] = os.urandom) -> Iterator[bytes]:
    """Of every size, so that each has as many bytes as another: half of them are of 1 KiB."""
    weights = [BUCKETS[-1] // size for size in BUCKETS]
    done = 0
    for size, weight in zip(BUCKETS, weights, strict=True):
        wanted = count - done if size == BUCKETS[-1] else count * weight // sum(weights)
        for _ in range(wanted):
            yield b"\x01" + drawn(size - 1)
        done += wanted


def real_envelopes(count: int) -> Iterator[bytes]:
    """What our own client seals: openings and answers, texts from one byte to the longest."""
    now, dice, done = int(time.time()), random.Random(SEED), 0
    while done < count:
        alice, bob = Speaker(os.urandom, now), Speaker(os.urandom, now)
        alice.approach(bob, now)
        for turn in range(min(200, count - done)):
            one, other = (bob, alice) if turn % 5 == 4 else (alice, bob)
            size = dice.choice((1, 40, 200, 600, 600, 600, 3000, 60_000 if turn % 50 == 0 else 600))
            draft = Draft(Kind.TEXT, os.urandom(MESSAGE_ID), b"a" * size, now * 1000)
            for envelope in one.engine.write(one.devices, other.key, [draft])[0].envelopes:
                yield envelope
                other.engine.open(envelope, now)
                done += 1


def refused(envelopes: Iterator[bytes], count: int, what: str) -> int:
    """How many of these are; says how far it is."""
    wrong, began = 0, time.monotonic()
    for number, envelope in enumerate(envelopes, 1):
        wrong += randomness.looks_like_plaintext(envelope)
        if number % max(1, count // 10) == 0:
            print(f"{number:,} {what}, {wrong} refused, {time.monotonic() - began:.0f} s", flush=True)
    return wrong


# --- plaintexts ----------------------------------------------------------------------------------------


def _half(data: bytes, size: int, rest: Callable[[int], bytes]) -> bytes:
    kept = data[: size // 2]
    return kept + rest(size - 1 - len(kept))


Way = Callable[[bytes, int, random.Random], bytes]
WAYS: Final[dict[str, Way]] = {
    "fills it": lambda data, size, dice: data[: size - 1],
    "half, zeros": lambda data, size, dice: _half(data, size, bytes),
    "half, blanks": lambda data, size, dice: _half(data, size, lambda left: b" " * left),
    "half, random": lambda data, size, dice: _half(data, size, dice.randbytes),
    "1 KiB somewhere": lambda data, size, dice: _somewhere(data[:1023], size, dice),
    "200 bytes, random": lambda data, size, dice: data[:200] + dice.randbytes(size - 201),
}


def _somewhere(part: bytes, size: int, dice: random.Random) -> bytes:
    before = dice.randrange(size - len(part))
    return dice.randbytes(before) + part + dice.randbytes(size - 1 - before - len(part))


def is_claimed(name: str, way: str) -> bool:
    """Whether every one of these is said to be caught."""
    if name.endswith(MIDDLE) or name in (XOR_16, XOR_256):
        return False
    if name in PACKED:
        return way != "1 KiB somewhere"  # by its head, which is then not where an envelope begins
    return way in ("fills it", "half, zeros", "half, blanks") or name not in ("BMP", "machine code", "ELF")


PACKED: Final = ("PNG", "JPEG", "zip", "gzip", "bzip2", "xz", "zstd")


def laid(data: bytes, name: str, way: str, dice: random.Random) -> Iterator[bytes]:
    """Envelopes of every size with this in them; a file from its beginning, all else from anywhere."""
    for size in BUCKETS:
        for _ in range(REPEATS):
            at = 0 if name in (*PACKED, "BMP", "ELF") else dice.randrange(max(1, len(data) - size))
            yield b"\x01" + WAYS[way](data[at : at + size], size, dice)


@dataclass
class Caught:
    """How many were caught of one sample, by the way in which it was laid."""

    name: str
    shares: dict[str, float] = field(default_factory=dict)


def catch(test: Test) -> list[Caught]:
    """Every sample, in every way."""
    dice = random.Random(SEED)
    rows = []
    for name, data in samples(dice).items():
        row = Caught(name)
        for way in WAYS:
            found = [test(envelope) for envelope in laid(data, name, way, dice)]
            row.shares[way] = sum(found) / len(found)
        rows.append(row)
    return rows


def missed(rows: Sequence[Caught]) -> list[str]:
    """What was claimed to be caught, and was not always."""
    return [
        f"{row.name}, {way}: {share:.1%}"
        for row in rows
        for way, share in row.shares.items()
        if share < 1 and is_claimed(row.name, way)
    ]


# --- what it costs -------------------------------------------------------------------------------------


def cost(test: Test, size: int) -> float:
    """Microseconds of processor time for each honest envelope of this size: the least of nine rounds."""
    envelopes = [b"\x01" + os.urandom(size - 1) for _ in range(max(20, (1 << 21) // size))]
    rounds = []
    for _ in range(9):
        began = time.process_time()
        for envelope in envelopes:
            test(envelope)
        rounds.append((time.process_time() - began) / len(envelopes))
    return 1e6 * min(rounds)


def _chi_square(envelope: bytes) -> bool:
    """Pearson's, of the byte histogram, 255 degrees of freedom: more than 6.5 standard deviations above."""
    expected = len(envelope) / 256
    found = sum(count * count for count in Counter(envelope).values()) / expected - len(envelope)
    return bool(found > 255 + 6.5 * 510**0.5 + 28)  # 28: its tail is heavier than a normal one's


def _few_in_1024(envelope: bytes) -> bool:
    return any(
        len(EVERY.translate(None, envelope[at : at + 1024])) >= 24 for at in range(1, len(envelope), 1024)
    )


ALONE: Final[dict[str, Test]] = {
    "all of them": randomness.looks_like_plaintext,
    "frequency": randomness.is_biased,
    "empty cells, 256 bytes": randomness.repeats_itself,
    "longest run": randomness.has_text,
    "head of a file": randomness.is_file,
    "not taken: empty cells, 1,024 bytes": _few_in_1024,
    "not taken: chi-square of the bytes": _chi_square,
    "not taken: zlib at level 1 saves 5 bytes": lambda envelope: (
        len(zlib.compress(envelope, 1)) <= len(envelope) - 5
    ),
}


def relay_rates(rounds: int, seconds: float) -> list[Row]:
    """Frames per second through the relay, with the setting and without, in turns."""
    build()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="blindpost-bench-")))
        relays = [
            stack.enter_context(Blindpost(directory / mode, "--firewall", mode, name=mode))
            for mode in FIREWALLS
        ]
        return [row for mode in (LONE, BURST) for row in live.measure(mode, relays, rounds, seconds)]


# --- the run -------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What one run has found."""

    frames: int
    envelopes: int
    wrong: int
    rows: list[Caught]
    tests: dict[str, tuple[float, float]]  # microseconds for 1 KiB, share caught of everything
    costs: dict[int, float]
    rates: list[Row]
    load: float  # of the machine before it began

    @property
    def each(self) -> int:
        """Envelopes that were made of each sample in each way."""
        return REPEATS * len(BUCKETS)

    @property
    def share(self) -> float:
        """Caught of all that was laid."""
        return _share(self.rows)

    def verdict(self) -> str:
        """The last line."""
        failed = missed(self.rows)
        state = "FAILED" if self.wrong or failed else "ok"
        claimed = "every one that is claimed" if not failed else f"but not {'; '.join(failed)}"
        return (
            f"firewall: {state}: refused wrongly: {self.wrong} of {self.frames + self.envelopes:,} "
            f"(by theory less than 1 in 10^9); plaintexts caught: {self.share:.1%}, {claimed}; "
            f"{self.costs[BUCKETS[0]]:.1f} us a KiB"
        )


def _share(rows: Sequence[Caught]) -> float:
    shares = [share for row in rows for share in row.shares.values()]
    return sum(shares) / len(shares)


def run(frames: int, envelopes: int, with_relay: bool) -> Run:
    """All of it."""
    load = os.getloadavg()[0]
    wrong = refused(random_envelopes(frames), frames, "random frames")
    wrong += refused(real_envelopes(envelopes), envelopes, "envelopes of our client")
    rows = catch(randomness.looks_like_plaintext)
    for row in rows:
        shown = "  ".join(f"{way} {share:.0%}" for way, share in row.shares.items())
        print(f"{row.name:28} {shown}", flush=True)
    tests = {name: (cost(test, BUCKETS[0]), _share(catch(test))) for name, test in ALONE.items()}
    costs = {size: cost(randomness.looks_like_plaintext, size) for size in BUCKETS}
    rates = relay_rates(3, 1.8) if with_relay else []
    return Run(frames, envelopes, wrong, rows, tests, costs, rates, load)


def main() -> int:
    """0 unless an honest frame was refused, or something claimed was missed."""
    flags = argparse.ArgumentParser(prog="make firewall ARGS=...", description=__doc__)
    flags.add_argument("--frames", type=int, default=1_000_000, help="random ones (default: 1,000,000)")
    flags.add_argument("--envelopes", type=int, default=100_000, help="real ones (default: 100,000)")
    flags.add_argument("--no-relay", action="store_true", help="without the relay's own rate, which needs cc")
    flags.add_argument("--write", action="store_true", help="make docs/firewall.md of this run")
    asked = flags.parse_args()
    found = run(asked.frames, asked.envelopes, not asked.no_relay)
    if asked.write:
        from bench.firewall_page import PAGE, page

        PAGE.write_text(page(found))
    for size, chances in ((size, false_reject(size)) for size in (BUCKETS[0], BUCKETS[-1])):
        print(f"by theory, {size:,} bytes: refused wrongly with less than {sum(chances.values()):.1e}")
    print(found.verdict(), flush=True)
    return 1 if found.wrong or missed(found.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
