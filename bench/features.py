"""What parts of the relay cost, by leaving one out or adding one: side by side, as for the peers.

Owns the list. Logins, order and the acknowledgements of frames cannot be switched off, so the profile tells
their share.
"""

import contextlib
import tempfile
from pathlib import Path
from typing import Final

import trustme

from bench import durable
from bench.altered import program
from bench.live import measure as measure_live
from bench.measured_relay import COMPILED
from bench.rows import Row
from bench.systems import BURST, DURABLE, LONE, Blindpost
from scripts.compile_relay import PLACE

# Each as it is but for one thing.
LEFT_OUT: Final = {
    "always written first": "without-tails",
    "without rates": "without-rates",
    "without counters": "without-counters",
}
# What only those who are away notice.
NOT_STORED_SO: Final = {"without fsync": "without-fsync", "without checksums": "without-checksums"}


def _certificate(directory: Path) -> tuple[str, ...]:
    certificate = trustme.CA().issue_cert("127.0.0.1", "localhost")
    chain, key = directory / "chain.pem", directory / "key.pem"
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    certificate.private_key_pem.write_to_path(key)
    return ("--tls-certificate", str(chain), "--tls-key", str(key))


def _measure_live(directory: Path, rounds: int, seconds: float) -> list[Row]:
    tls, uvloop = _certificate(directory), ("--loop", "uvloop")
    kinds: dict[str, tuple[str, ...]] = {
        "as it is": (),
        "without a disk": ("--store", "memory"),
        "with TLS": tls,
        "on uvloop": uvloop,
        "on uvloop with TLS": (*tls, *uvloop),
    }
    with contextlib.ExitStack() as stack:
        relays = [
            stack.enter_context(Blindpost(directory / name.replace(" ", "-"), *flags, name=name))
            for name, flags in kinds.items()
        ]
        for name, what in LEFT_OUT.items():
            altered = Blindpost(directory / what, name=name, program=program(what))
            relays.append(stack.enter_context(altered))
        if PLACE.exists():
            for name, flags in {"compiled": (), "compiled, on uvloop": uvloop}.items():
                compiled = Blindpost(directory / name, *flags, name=name, program=COMPILED)
                relays.append(stack.enter_context(compiled))
        return [
            row for mode in (LONE, BURST) for row in measure_live(mode, relays, rounds, seconds, shown=False)
        ]


def _measure_durable(directory: Path, rounds: int, seconds: float) -> list[Row]:
    rows = []
    with contextlib.ExitStack() as stack:
        relays = [stack.enter_context(Blindpost(directory / "durable", name="as it is"))]
        for name, what in NOT_STORED_SO.items():
            altered = Blindpost(directory / what, name=name, program=program(what))
            relays.append(stack.enter_context(altered))
        for relay in relays:
            rows += durable.measure(relay, [], rounds, seconds, directory, DURABLE[:1])
    return rows


def _count_checks(directory: Path, seconds: float) -> list[Row]:
    """What the relay's own metrics say of the checks of one frame, in a relay that counts them."""
    rows, prefix = [], "blindpost_frames_checked_by_"
    with Blindpost(directory / "checks", program=program("counting-checks")) as relay:
        for mode in (LONE, BURST):
            with relay.open(mode) as generator:
                before = relay.relay.metrics()
                generator.run(seconds, mode.window)
                after = relay.relay.metrics()
            did = {name.removesuffix("_total"): after[name] - before.get(name, 0) for name in after}
            frames = did["blindpost_frames_accepted"]
            each = {
                name.removeprefix(prefix): count / frames
                for name, count in did.items()
                if name.startswith(prefix) and not name.endswith("_created")
            }
            row = Row(mode.name, "checks of each accepted frame", 0, rates=[sum(each.values())])
            row.note = ", ".join(f"{name} {count:.2f}" for name, count in each.items())
            rows.append(row)
    return rows


def measure(rounds: int, seconds: float) -> list[Row]:
    """Lone and burst frames for each, and frames that are stored."""
    with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as temporary:
        directory = Path(temporary)
        rows = _measure_live(directory, rounds, seconds) + _measure_durable(directory, rounds, seconds)
        rows += _count_checks(directory, seconds)
        for row in rows:
            row.mode, row.system = "features", f"{row.mode}, {row.system}"
    return rows
