"""`make bench`: what a message costs in the relay, beside others, in one run of one machine.

Exits non-zero when a frame or message is lost, repeated or out of order, or when the bench itself does not
work; speed is reported, not judged. `fairness` alone (ARGS=fairness) is judged: see `bench.fairness`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import client_rates, durable, fairness, features, goals, growth, idle, live, logins, profile
from bench.generator import build
from bench.goals import ENVELOPE, FASTEST
from bench.measured_relay import COMPILED, MeasuredRelay, raised
from bench.peers.comparison import LIMIT, Comparison
from bench.rows import HEAD, Row, show
from bench.systems import LIVE, PAIR, Blindpost, Mode, System
from bench.verdict import BrokenHarness, BrokenPromise
from scripts.compile_relay import PLACE

SERVERS = (*(mode.name for mode in LIVE), "durable", "logins")  # over servers that stay up together
ALONE: dict[str, Callable[[int, float], list[Row]]] = {
    "keys": lambda rounds, seconds: client_rates.measure_keys(rounds),
    "client": lambda rounds, seconds: client_rates.measure_clients(rounds),
    "features": features.measure,
    "idle": lambda rounds, seconds: idle.measure(seconds),
    "growth": lambda rounds, seconds: growth.measure(1, seconds),
}
PARTS = (*SERVERS, *ALONE, "profile", "fairness")


def machine() -> str:
    """What this ran on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def measure_servers(only: Sequence[str], rounds: int, seconds: float, with_peers: bool) -> list[Row]:
    """Every live mode, then durable, over all servers, which stay up all the time."""
    rows = []
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="blindpost-bench-"))
        relay = stack.enter_context(Blindpost(Path(directory) / "relay"))
        peers = Comparison(Path(directory), stack)
        if with_peers and any(mode.name in only for mode in LIVE):
            peers.start_live()
        if with_peers and "durable" in only:
            peers.start_durable()
        systems: list[System] = [relay, *peers.live]
        if PLACE.exists():
            fastest = Blindpost(Path(directory) / "fast", "--loop", "uvloop", name=FASTEST, program=COMPILED)
            systems.insert(1, stack.enter_context(fastest))
        before = relay.relay.metrics()
        print(HEAD, flush=True)
        for mode in LIVE:
            if mode.name in only:
                rows += live.measure(mode, taking_part(mode, systems), rounds, seconds)
        if "durable" in only:
            kept = durable.measure(relay, peers.durable, rounds, seconds, Path(directory))
            show(kept)
            rows += kept
        if "logins" in only:
            found = logins.measure(relay.relay, rounds, seconds)
            with MeasuredRelay(Path(directory) / "uvloop", "--loop", "uvloop") as other:
                found += logins.measure(other, rounds, seconds, "on uvloop")
            show(found)
            rows += found
        after = relay.relay.metrics()
        print("\n" + own_count(before, after))
        for sentence in peers.absent:
            print(sentence)
        print("limits raised: " + ", ".join(f"{name} {value}" for name, value in raised().items()))
    return rows


def taking_part(mode: Mode, systems: Sequence[System]) -> list[System]:
    """Latency of one pair hardly depends on the size: all but the limit are spared the second one there."""
    return [each for each in systems if mode is not PAIR or each.size == ENVELOPE or each.name == LIMIT]


def own_count(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """What the relay itself says that it did: frames, commits, and everything else that it counted."""
    did = {
        name.removeprefix("blindpost_").removesuffix("_total"): int(after[name] - before.get(name, 0))
        for name in after
        if name.startswith("blindpost_")
        and (name.partition("{")[0].endswith(("_total", "commit_seconds_count")))
    }
    accepted, commits = did.get("frames_accepted", 0), did.get("commit_seconds_count", 0)
    each = f" ({accepted / commits:,.1f} accepted frames each)" if commits else ""
    counts = ", ".join(f"{name} {count:,}" for name, count in did.items() if count)
    return f"the relay's own count: {counts}; commits {commits:,}{each}"


def measure(only: Sequence[str], rounds: int, seconds: float, with_peers: bool) -> list[Row]:
    """All that was asked for."""
    build()
    idle.raise_descriptors()
    rows = []
    if set(SERVERS) & set(only):
        rows += measure_servers(only, rounds, seconds, with_peers)
    for name, part in ALONE.items():
        if name in only:
            found = part(rounds, seconds)
            show(found)
            rows += found
    return rows


def main() -> int:
    """0 unless a promise was broken, or the bench itself."""
    if sys.argv[1:2] == ["fairness"]:
        return asyncio.run(fairness.main(sys.argv[2:]))
    flags = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    flags.add_argument("--only", default=",".join(PARTS), help=f"parts, by commas: {', '.join(PARTS)}")
    flags.add_argument("--rounds", type=int, default=3, help="medians are over so many (default: 3)")
    flags.add_argument("--seconds", type=float, default=1.8, help="length of one run (default: 1.8)")
    flags.add_argument("--alone", action="store_true", help="the relay without its peers")
    flags.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    asked = flags.parse_args()
    only = asked.only.split(",")
    if unknown := set(only) - set(PARTS):
        flags.error(f"no part is called {', '.join(sorted(unknown))}")
    date = time.strftime("%Y-%m-%d")
    print(f"{machine()}, {date}; medians of {asked.rounds} rounds of {asked.seconds:g} s\n", flush=True)
    try:
        rows = measure(only, asked.rounds, asked.seconds, not asked.alone)
        where = profile.measure(asked.seconds) if "profile" in only else {}
        profile.show(where)
    except (BrokenPromise, BrokenHarness, OSError) as broken:
        print(f"bench: FAILED: {broken}")
        return 1
    if asked.json:
        found = {
            "machine": machine(),
            "date": date,
            "rounds": asked.rounds,
            "seconds": asked.seconds,
            "rows": [row.as_json() for row in rows],
            "profile": where,
        }
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    goals.show(rows)
    if "fairness" in only:
        try:
            asyncio.run(fairness.main([]))  # what is red here is judged where fairness is asked for alone
        except BrokenPromise as broken:
            print(f"bench: FAILED: {broken}")
            return 1
    print("\nbench: ok: nothing lost, nothing twice, nothing out of order, nothing altered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
