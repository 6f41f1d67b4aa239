"""Ports of relays under test: two runs beside each other never use the same one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MANY = 200  # as many as a worker's relays use in a few minutes
PORTS = f"""
import os, sys
os.getpid = lambda: 7  # so that both begin at the same place
from tests.support.relay_process import free_port
print(*(free_port() for _ in range({MANY})), flush=True)
sys.stdin.read()
"""


def test_two_processes_never_give_out_the_same_port() -> None:
    command = (sys.executable, "-c", PORTS)
    given = list[int]()
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as one,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other,
    ):
        for each in (one, other):
            assert each.stdout is not None
            given += map(int, each.stdout.readline().split())
        for each in (one, other):
            assert each.stdin is not None
            each.stdin.close()
    assert len(given) == len(set(given)) == 2 * MANY
