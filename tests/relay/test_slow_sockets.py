"""Slow and silent peers: the real relay closes each within its own bound, and it costs little until then."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from clients.audit.proving.tripwires import program
from relay.metrics import Drop
from tests.relay import slow_sockets
from tests.relay.devices import Account, envelope
from tests.relay.peers import dial, logged_in, submitting
from tests.relay.slow_sockets import BEFORE_LOGIN, Case, raw
from tests.relay.web import metric
from tests.support.relay_process import RelayProcess
from wire import control
from wire.limits import LOGIN_DEADLINE

ROOT = Path(__file__).parents[2]
LOGIN, IDLE, DEAD, CLOSE = 1.0, 1.2, 2.0, 0.8  # seconds, of the impatient relay
FILLING = 6.0  # seconds in which answers fill the buffers of the system, where the relay does not see them
SLACK = 0.7  # what a busy machine may add
# What is no setting is set in the child before it is read; of the sources, for machine code has it built in.
IMPATIENT = f"""
import wire.limits
wire.limits.PING_EVERY, wire.limits.DEAD_AFTER = {DEAD / 2}, {DEAD}
import relay.websocket.protocol
relay.websocket.protocol.CLOSE_HANDSHAKE = {CLOSE}
from relay.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    settings = {"login-deadline": LOGIN, "submit-idle": IDLE, "sockets-per-prefix": 200}
    command = tuple(program(ROOT, IMPATIENT))
    with RelayProcess(tmp_path_factory.mktemp("impatient"), settings=settings, command=command) as relay:
        yield relay


async def closing_time(
    relay: RelayProcess,
    case: Case,
    tls: ssl.SSLContext | None = None,
    opened: asyncio.Semaphore | None = None,
) -> float:
    """Seconds from connecting until the relay ended it; `opened` counts those that are connected."""
    start = time.monotonic()
    async with raw(relay, tls) as peer:
        if opened is not None:
            opened.release()
        await case(peer)
    return time.monotonic() - start


def drop(reason: Drop) -> str:
    return f'blindpost_dropped_total{{reason="{reason}"}}'


@pytest.mark.parametrize("case", BEFORE_LOGIN)
async def test_nobody_is_waited_for_before_login(impatient: RelayProcess, case: Case) -> None:
    took = await asyncio.wait_for(closing_time(impatient, case), 20)
    assert LOGIN - 0.1 <= took <= LOGIN + SLACK


@pytest.mark.parametrize(
    ("case", "least", "most", "reason"),
    [
        (slow_sockets.logs_in_alone, LOGIN, LOGIN, Drop.LOGIN_TIMEOUT),
        (slow_sockets.submits_nothing, IDLE, IDLE, Drop.IDLE),
        (slow_sockets.submits_half_a_frame, IDLE, IDLE, Drop.IDLE),
        (slow_sockets.drips_a_frame, IDLE, IDLE, Drop.IDLE),
        (slow_sockets.floods_with_pings, 0, 0, Drop.PING_FLOOD),
        (slow_sockets.sends_empty_parts_without_an_end, 0, 0, Drop.TOO_MANY_FRAGMENTS),
        (slow_sockets.answers_no_close, CLOSE, CLOSE, None),
        (slow_sockets.answers_no_close_and_reads_nothing, CLOSE, CLOSE, Drop.TOO_MANY_ERRORS),
        (slow_sockets.reads_no_http_answer, LOGIN, FILLING + LOGIN, Drop.DEAF),
    ],
)
async def test_each_way_to_be_slow_has_its_bound(
    impatient: RelayProcess, case: Case, least: float, most: float, reason: Drop | None
) -> None:
    before = 0.0 if reason is None else await metric(impatient, drop(reason))
    took = await asyncio.wait_for(closing_time(impatient, case), 20)
    # A peer that does not close its own side is given time to, after everything else.
    assert max(0, least - 0.1) <= took <= most + CLOSE + SLACK
    if reason is not None:
        assert await metric(impatient, drop(reason)) == before + 1


DELIVERED = "blindpost_frames_delivered_total"
HELD_AT_MOST = 11  # frames of 64 KiB, by the relay and by the system; 16 may be unacknowledged


async def test_a_device_that_pulls_and_never_reads_is_dead(impatient: RelayProcess) -> None:
    account = Account()
    async with logged_in(impatient.url, account, pull=False), submitting(impatient.url) as sender:
        for _ in range(80):
            await sender.put(account.device.key, envelope(65_536))
            await sender.next(control.Accepted)
    before = await metric(impatient, drop(Drop.DEAD))

    async def case(peer: slow_sockets.Raw) -> None:
        await slow_sockets.reads_nothing(peer, account)

    delivered = await metric(impatient, DELIVERED)
    took = await asyncio.wait_for(closing_time(impatient, case), 20)
    assert await metric(impatient, DELIVERED) - delivered <= HELD_AT_MOST
    assert DEAD - 0.1 <= took <= DEAD + CLOSE + SLACK
    assert await metric(impatient, drop(Drop.DEAD)) == before + 1
    # Nothing of its mailbox is lost by that.
    async with dial(impatient.url) as again:
        await again.log_in(account.device)
        await again.send(control.Pull())
        assert (await again.next_frame()).sequence == 1


# --- with the deadlines that a relay has by default ---

MANY = 500
MOST_BYTES = 64 * 1024  # of the relay's memory, for a socket that has said nothing useful
MOST_BYTES_TLS = 256 * 1024


def memory_of(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def login_time(relay: RelayProcess, account: Account, tls: ssl.SSLContext | None = None) -> float:
    """Seconds from dialling to the welcome."""
    start = time.monotonic()
    async with dial(relay.url, tls) as peer:
        await peer.log_in(account.device)
    return time.monotonic() - start


async def hold(
    relay: RelayProcess, count: int, tls: ssl.SSLContext | None = None
) -> "asyncio.Future[list[float]]":
    """So many slow sockets of all kinds, once all are connected."""
    opened = asyncio.Semaphore(0)
    held = asyncio.gather(
        *(
            closing_time(relay, BEFORE_LOGIN[number % len(BEFORE_LOGIN)], tls, opened)
            for number in range(count)
        )
    )
    for _ in range(count):
        await opened.acquire()
    # An answer that comes after all of theirs: so many who connect at once are another matter.
    for _ in range(2):
        await login_time(relay, Account(), tls)
    return held


async def test_500_slow_sockets_delay_no_login_and_are_gone_after_ten_seconds(tmp_path: Path) -> None:
    settings = {"sockets-per-prefix": MANY + 100}
    with RelayProcess(tmp_path, settings=settings) as relay:
        account = Account()
        async with logged_in(relay.url, account, pull=False):
            pass
        alone = max([await login_time(relay, account) for _ in range(5)])
        before = memory_of(relay.pid)
        holding = await hold(relay, MANY)
        waits, most = [], before
        for _ in range(20):
            waits.append(await login_time(relay, account))
            most = max(most, memory_of(relay.pid))
            await asyncio.sleep(0.2)
        assert not holding.done()
        took = await holding
        assert max(waits) < alone + 1
        assert max(took) <= LOGIN_DEADLINE + 1.5
        assert (most - before) / MANY <= MOST_BYTES


async def begins_tls(relay: RelayProcess) -> float:
    start = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    # The head of a client hello of 512 bytes, and nothing more.
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    await slow_sockets.Raw(relay, reader, writer).closed()
    writer.transport.abort()
    return time.monotonic() - start


async def test_slow_sockets_under_tls_are_gone_after_twenty_seconds(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    for name, pem in (("cert", certificate.cert_chain_pems[0]), ("key", certificate.private_key_pem)):
        pem.write_to_path(str(tmp_path / f"{name}.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    settings = {
        "sockets-per-prefix": MANY,
        "tls-certificate": tmp_path / "cert.pem",
        "tls-key": tmp_path / "key.pem",
    }
    with RelayProcess(tmp_path, settings=settings) as relay:
        account = Account()
        async with dial(relay.url, trusting) as peer:
            await peer.log_in(account.device)
            await peer.register(account)
        alone = max([await login_time(relay, account, trusting) for _ in range(5)])
        before = memory_of(relay.pid)
        begun = asyncio.gather(*(begins_tls(relay) for _ in range(100)))
        holding = await hold(relay, 100, trusting)
        waits, most = [], before
        for _ in range(10):
            waits.append(await login_time(relay, account, trusting))
            most = max(most, memory_of(relay.pid))
            await asyncio.sleep(0.3)
        assert not begun.done()
        took = [*await begun, *await holding]
        assert max(waits) < alone + 1
        assert max(took) <= 2 * LOGIN_DEADLINE
        assert (most - before) / 200 <= MOST_BYTES_TLS
