"""What parts of the relay cost, by leaving one out or adding one: side by side, as for the peers.

Owns the list. Limits, logins and acknowledgements cannot be switched off, so the profile tells their
share.
"""

import contextlib
import tempfile
from pathlib import Path

import trustme

from bench.live import measure as measure_live
from bench.rows import Row
from bench.systems import BURST, LONE, Blindpost


def _certificate(directory: Path) -> tuple[str, ...]:
    certificate = trustme.CA().issue_cert("127.0.0.1", "localhost")
    chain, key = directory / "chain.pem", directory / "key.pem"
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    certificate.private_key_pem.write_to_path(key)
    return ("--tls-certificate", str(chain), "--tls-key", str(key))


def measure(rounds: int, seconds: float) -> list[Row]:
    """Lone and burst frames for each."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="blindpost-bench-") as temporary, contextlib.ExitStack() as stack:
        directory = Path(temporary)
        kinds = {
            "as it is": (),
            "without a disk": ("--store", "memory"),
            "with TLS": _certificate(directory),
        }
        relays = [
            stack.enter_context(Blindpost(directory / str(place), *flags, name=name))
            for place, (name, flags) in enumerate(kinds.items())
        ]
        for mode in (LONE, BURST):
            for row in measure_live(mode, relays, rounds, seconds, shown=False):
                row.mode, row.system = "features", f"{mode.name}, {row.system}"
                rows.append(row)
    return rows
