"""Whether the relays of tests are the compiled ones: `make test-compiled` says so, and nothing else does."""

import os
import sys
from pathlib import Path

import pytest

from scripts.compile_relay import PLACE
from tests.support.relay_process import RelayProcess

SAID = str(PLACE) in os.environ.get("PYTHONPATH", "").split(os.pathsep)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_relays_of_tests_are_compiled_where_that_is_said(relay: RelayProcess) -> None:
    assert (str(PLACE) in Path(f"/proc/{relay.pid}/maps").read_text()) == SAID
