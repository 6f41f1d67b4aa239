"""Every altered relay of the bench starts, serves and ends: else a whole bench breaks off near its end."""

import sys
from pathlib import Path

import pytest

from bench.altered import WHAT, program
from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.support.relay_process import RelayProcess
from wire import control

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("what", WHAT)
async def test_it_serves_a_frame(tmp_path: Path, what: str) -> None:
    command = (sys.executable, *program(what)[1:])
    bob, content = Account(), envelope(1024)
    with RelayProcess(tmp_path, command=command, cwd=ROOT) as relay:
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            await receiver.publish(bob.device)
            await sender.fetch(bob.key, take=True)
            await receiver.next(control.Stock)
            await sender.put(bob.device.key, content)
            await sender.next(control.Accepted)
            assert (await receiver.next_frame()).envelope == content
        assert relay.terminate() == 0
