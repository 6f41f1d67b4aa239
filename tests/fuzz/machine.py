"""The WebSocket machine for long: `make fuzz ARGS="--machine 200"` runs so many scenes against one relay.

Owns the measure of the relay's memory. What grows with every scene would show as a slope, however slow.
"""

import re
import statistics
import tempfile
from http.client import HTTPConnection
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from relay.metrics import Drop
from tests.relay.socket_machine import SocketMachine, steps
from tests.support.relay_process import RelayProcess, running_relay

STEPS = 50  # of one scene
WARM = 0.3  # of all scenes: until then caches and the interpreter's own pools fill up
GROWTH_MAX = 6 * 1024 * 1024  # bytes between the second and the last part of what follows


def resident(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def dropped(relay: RelayProcess, reason: Drop) -> float:
    """How often the relay let go of something for this reason."""
    connection = HTTPConnection("127.0.0.1", relay.port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    (value,) = re.findall(rf'^blindpost_dropped_total{{reason="{reason}"}} (\S+)$', text, re.MULTILINE)
    return float(value)


def run(scenes: int) -> tuple[bool, str]:
    """Whether all held, and a line that says what was done."""
    memory: list[int] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_relay(Path(folder), sockets_per_prefix=500) as relay,
    ):
        before = len(relay.log)

        class Machine(SocketMachine):
            def teardown(self) -> None:
                super().teardown()
                memory.append(resident(self.relay.pid))

        Machine.relay = relay
        how = settings(
            max_examples=scenes,
            stateful_step_count=STEPS,
            suppress_health_check=[*HealthCheck],
            print_blob=True,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
        )
        run_state_machine_as_test(Machine, settings=how)
        faults, log = dropped(relay, Drop.FAULT), relay.log[before:]
    warm = memory[int(len(memory) * WARM) :]
    half = len(warm) // 2
    growth = int(statistics.median(warm[half:]) - statistics.median(warm[:half])) if half else 0
    holds = faults == 0 and not log and growth < GROWTH_MAX
    said = ", ".join(f"{count:,} {name}" for name, count in sorted(steps.items()))
    result = "ok" if holds else "FAILED"
    return holds, (
        f"machine: {result}: {len(memory)} scenes, {sum(steps.values()):,} steps ({said}); "
        f"{faults:.0f} faults, {len(log.splitlines())} lines in the log, "
        f"{max(memory) / 1e6:.0f} MB at most, grown by {growth / 1e6:.1f} MB"
    )
