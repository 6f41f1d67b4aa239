"""Whatever is said on many connections, in any order: the relay answers or closes, and the model holds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from relay.metrics import Drop
from tests.relay.socket_machine import SocketMachine, steps
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess, running_relay


@pytest.fixture
def own_relay(tmp_path: Path) -> Iterator[RelayProcess]:
    with running_relay(tmp_path, sockets_per_prefix=500) as relay:
        yield relay


async def test_control_the_counters_of_faults_are_read(own_relay: RelayProcess) -> None:
    assert await metric(own_relay, f'blindpost_dropped_total{{reason="{Drop.FAULT}"}}') == 0


def test_any_order_of_anything(own_relay: RelayProcess) -> None:
    before = len(own_relay.log)
    machine = type("Machine", (SocketMachine,), {"relay": own_relay})
    how = settings(
        max_examples=12, stateful_step_count=40, suppress_health_check=[*HealthCheck], print_blob=True
    )
    run_state_machine_as_test(machine, settings=how)
    assert own_relay.running
    assert own_relay.log[before:] == "", "nothing that a peer does is worth a line, least of all a traceback"
    assert steps["frames put"] > 0
