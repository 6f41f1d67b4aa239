"""How long a relay takes to be ready with a full store: `python -m bench.relay_start [FRAMES]`.

Owns the measuring; prints one line for a cold disk and one for a warm one. Needs 1.5 GB in the temporary
directory for the million frames that it takes by default.
"""

import http.client
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.support.full_store import fill, forget
from tests.support.relay_process import RelayProcess


def measure(frames: int) -> None:
    """Build, start twice, print."""
    with tempfile.TemporaryDirectory() as temporary:
        relay = RelayProcess(Path(temporary))
        relay.data_dir.mkdir()
        path = relay.data_dir / "relay.db"
        fill(path, [os.urandom(32) for _ in range(100)], frames)
        for disk in ("cold", "warm"):
            if disk == "cold":
                forget(path)
            begun = time.monotonic()
            with relay:
                connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=60)
                connection.request("GET", "/readyz")
                assert connection.getresponse().status == 200
                connection.close()
                taken = time.monotonic() - begun
                print(
                    f"{frames:,} frames, {path.stat().st_size / 1e6:,.0f} MB, {disk}: ready in {taken:.2f} s"
                )


if __name__ == "__main__":
    measure(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
