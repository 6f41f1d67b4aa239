"""A stage sees where its people's clients go, and says where it cannot listen."""

import socket
import subprocess
import sys

from clients.audit.capture.sight import Sight
from clients.audit.driving.stage import past_the_tap

NOBODY = 2**22 + 1  # above any process id: PID_MAX_LIMIT
CALLER = """
import socket, sys
said = [socket.create_connection(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_client_that_goes_past_the_tap_is_not_wholly_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tap, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        ports = [each.getsockname()[1] for each in (tap, elsewhere)]
        proxy, seen = f"http://127.0.0.1:{ports[0]}", []
        for called in (ports[:1], ports):
            with subprocess.Popen(
                [sys.executable, "-c", CALLER, *map(str, called)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
                sight = Sight("connections")
                assert list(past_the_tap(process.pid, proxy, sight)) == []
                assert sight.was_there
                seen.append(sight.unread)
                process.stdin.close()
        assert seen == [[], [f"it has a connection to 127.0.0.1:{ports[1]}, past the tap"]]
    gone = Sight("connections")
    list(past_the_tap(NOBODY, proxy, gone))
    assert not gone.is_whole
