"""The relay under measurement: started with its real limits raised by its own flags, and its metrics read.

Owns the flags; knows nothing of the load.
"""

import functools
import http.client
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from bench.servers import Server
from scripts.compile_relay import PLACE
from wire.addresses import RelayUrl

ROOT: Final = Path(__file__).parent.parent
RELAY: Final = (sys.executable, "-P", "-m", "relay")
# The same with what every frame passes as machine code: there once `make compiled` has run.
COMPILED: Final = ("env", f"PYTHONPATH={PLACE}", *RELAY)
ENOUGH: Final = "900000000+900000000/s"
RAISED: Final = {
    "sockets-before-login": "20000",
    "sockets-per-prefix": "20000",
    "submit-per-prefix": "20000",
    "submit-idle": "3600",
    "login-deadline": "60",
    "mailbox-frames": "10000000",
    "mailbox-bytes": "100000000000",
}


@functools.cache
def raised() -> dict[str, str]:
    """Each flag that is given, and its value: every rate that this relay has, and what bounds a crowd."""
    shown = subprocess.run([*RELAY, "--help"], check=True, capture_output=True, text=True).stdout
    rates = sorted(set(re.findall(r"--([a-z-]*rate[a-z-]*) VALUE", shown)))
    return dict.fromkeys(rates, ENOUGH) | RAISED


class MeasuredRelay(Server):
    """A relay of its own on a free port, with its store on disk; `flags` come after the raised limits.

    On asyncio, where `flags` say nothing else; `program` is another one that serves as a relay.
    """

    def __init__(self, directory: Path, *flags: str, program: Sequence[str] = RELAY) -> None:
        limits = [part for name, value in raised().items() for part in (f"--{name}", value)]
        command = [*program, "--json", "--port", "0", "--data-directory", directory, "--loop", "asyncio"]
        super().__init__([*command, "--log-level", "warning", *limits, *flags], speaks=True, cwd=ROOT)
        self.url = RelayUrl.parse(json.loads(self.first_line())["url"])

    def metrics(self) -> dict[str, float]:
        """Everything that the relay counts, by name and labels."""
        if self.url.scheme == "wss":
            unchecked = ssl._create_unverified_context()  # noqa: S323 - our own relay, on loopback
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.url.host, self.url.port, timeout=30, context=unchecked
            )
        else:
            connection = http.client.HTTPConnection(self.url.host, self.url.port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def __enter__(self) -> Self:
        return self
