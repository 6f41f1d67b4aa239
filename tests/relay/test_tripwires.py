"""The tests of the relay are all behind tripwires, in this process and in every one that they start."""

import re
from pathlib import Path

import nacl.bindings
import pytest
from nacl.signing import SigningKey
from websockets.exceptions import ConnectionClosed

from clients.audit.proving.tripwires import SERVES, TRIPPED, program
from tests.relay.peers import submitting
from tests.support.relay_process import RELAY, RelayProcess
from tests.support.tripwires import TrippedError

# A relay that does with each hello what none may.
OPENS = """
import nacl.bindings
from relay.auth import Authority
Authority.sign = lambda *_: nacl.bindings.crypto_box_keypair()
"""


def test_code_in_this_process_is_behind_them(tripped: list[str]) -> None:
    with pytest.raises(TrippedError):
        nacl.bindings.crypto_box_keypair()
    with pytest.raises(TrippedError):
        nacl.bindings.crypto_scalarmult_base(bytes(32))
    assert tripped == ["crypto_box_keypair", "crypto_scalarmult_base"]
    tripped.clear()
    key = SigningKey(bytes(32))
    assert key.verify_key.verify(key.sign(b"signing and verifying go on")) == b"signing and verifying go on"


async def test_a_relay_of_a_test_ends_at_one(tmp_path: Path) -> None:
    with RelayProcess(tmp_path, command=tuple(program(then=OPENS + SERVES))) as relay:
        with pytest.raises(ConnectionClosed):
            async with submitting(relay.url):
                pass
        assert relay.wait() == TRIPPED
    assert "crypto_box_keypair was called" in relay.log


def counted(pattern: str) -> dict[str, int]:
    """How often something stands in each file of the relay's tests, this one apart."""
    paths = [path for path in Path(__file__).parent.glob("*.py") if path != Path(__file__)]
    found = {path.name: len(re.findall(pattern, path.read_text())) for path in paths}
    return {name: count for name, count in found.items() if count}


def test_no_test_starts_a_relay_past_them() -> None:
    assert tuple(program()) == RELAY
    # What begins with this interpreter could be a relay.
    assert counted(r"\bsys\.executable\b") == {"test_hostile_http.py": 1}  # schemathesis


def test_a_clients_code_runs_in_one_test_alone() -> None:
    assert counted(r"mark\.client_crypto\b") == {"test_firewall.py": 1}
