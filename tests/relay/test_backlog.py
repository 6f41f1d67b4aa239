"""What all peers together leave unread: counted, bounded, and who is closed for it."""

import asyncio
import contextlib
from pathlib import Path

from relay.backlog import Backlog, Part
from relay.outbound import Outbound
from relay.store.memory import MemoryStore
from tests.relay.devices import Account, envelope
from tests.relay.peers import logged_in, submitting
from tests.relay.shells import Bench
from tests.relay.slow_sockets import Raw, raw
from tests.relay.test_fair_share import full_mailbox, settled
from tests.relay.web import metric
from tests.support.relay_process import running_relay
from wire import control
from wire.errors import CloseCode
from wire.login import Mode


class Peer:
    """A connection as the backlog sees it; `unsent` is what its socket holds."""

    def __init__(self, backlog: Backlog) -> None:
        self.unsent = 0
        self.is_closed = False
        self.part: Part = backlog.join(lambda: self.unsent, self.close)

    def close(self) -> None:
        self.is_closed = True
        self.part.changed(0)


def test_whoever_leaves_most_unread_is_closed_first() -> None:
    backlog = Backlog(1000)
    small, large, middle = (Peer(backlog) for _ in range(3))
    large.part.changed(500)
    middle.part.changed(300)
    small.part.changed(200)
    assert not large.is_closed, "just full"
    small.part.changed(201)
    assert (large.is_closed, middle.is_closed, small.is_closed) == (True, False, False)
    assert backlog.total == 501


def test_as_many_are_closed_as_it_takes() -> None:
    backlog = Backlog(1000)
    peers = [Peer(backlog) for _ in range(4)]
    for peer, unsent in zip(peers, (400, 300, 200, 90), strict=True):
        peer.unsent = unsent
        peer.part.changed(0)
    peers[2].part.changed(600)
    assert [peer.is_closed for peer in peers] == [False, False, True, False]
    # What a closed one's socket still holds counts no more, or the others would be closed for it.
    assert backlog.total == 790
    peers[3].part.changed(100_000)
    assert [peer.is_closed for peer in peers] == [False, False, True, True]
    peers[0].unsent = peers[1].unsent = 2000
    peers[0].part.changed(1)
    assert all(peer.is_closed for peer in peers), "nobody left to close, and no endless loop"
    assert backlog.total == 0


def test_what_sockets_have_sent_meanwhile_closes_nobody() -> None:
    backlog = Backlog(1000)
    sent, other = Peer(backlog), Peer(backlog)
    sent.unsent = 900
    sent.part.changed(50)
    sent.unsent = 0  # unnoticed: the system does it
    other.part.changed(600)
    assert (sent.is_closed, other.is_closed, backlog.total) == (False, False, 650)
    other.unsent = 7
    assert backlog.count() == 657


def test_who_has_left_counts_no_more() -> None:
    backlog = Backlog(1000)
    peer = Peer(backlog)
    peer.part.changed(700)
    peer.part.leave()
    peer.part.leave()
    peer.part.changed(900)  # its last task may still be at it
    assert backlog.total == 0


def test_every_byte_in_the_queues_is_counted_once_and_counted_out() -> None:
    sizes: list[int] = []
    outbound = Outbound(lambda: sizes.append(outbound.size))
    outbound.add_control("c" * 10)
    outbound.set_notice("stock", "n" * 5)
    outbound.set_notice("stock", "n" * 7)
    outbound.add_frames([b"f" * 100])
    assert sizes == [10, 15, 17, 117]
    for expected in (107, 100, 0):
        outbound.take(1)
        assert outbound.size == expected
    outbound.add_frames([b"f"])
    outbound.set_notice("stock", "n")
    outbound.add_control("cc")
    outbound.end(CloseCode.REPLACED)
    assert sizes[-1] == 2
    outbound.clear()
    assert sizes[-1] == 0


async def test_the_others_go_on_when_one_that_reads_nothing_is_closed() -> None:
    store = MemoryStore()
    bench, deaf, little, reader = Bench(store, buffered_bytes=200_000), Account(), Account(), Account()
    await full_mailbox(store, deaf, 240, 1024)
    await full_mailbox(store, little, 80, 1024)
    await full_mailbox(store, reader, 200, 1024)
    sockets = {}
    for account in (deaf, little, reader):
        socket, _, _ = await bench.device(account)
        sockets[account.key] = socket
        if account is not reader:
            socket.read(False)
        socket.hear(control.Pull())
        await settled(bench)
    assert sockets[reader.key].said.qsize() == 200
    sockets[deaf.key].read(True)
    sockets[little.key].read(True)
    await settled(bench)
    said = [sockets[deaf.key].said.get_nowait() for _ in range(sockets[deaf.key].said.qsize())]
    assert said[-1] == CloseCode.SLOW_READER
    assert sockets[little.key].said.qsize() == 80
    metrics = bench.metrics.render().decode()
    assert 'dropped_total{reason="backlog"} 1.0' in metrics
    for socket in sockets.values():
        socket.leave()
    await bench.close()
    assert bench.backlog.total == 0
    assert bench.faults == []


async def ask_without_end(peer: Raw, account: Account) -> None:
    while not peer.writer.is_closing():
        peer.say(control.Fetch(ref=1, account_key=account.key, take=False))
        await peer.writer.drain()


async def test_a_real_peer_that_reads_nothing_is_closed_for_what_all_leave_unread(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, buffered_bytes=300_000) as relay:
        async with logged_in(relay.url, bob) as receiver, raw(relay) as deaf:
            await receiver.publish(bob.device, one_time=1)
            await deaf.upgrade()
            await deaf.hello(Mode.SUBMIT)
            asking = asyncio.create_task(ask_without_end(deaf, bob))
            reason = 'blindpost_dropped_total{reason="backlog"}'
            async with asyncio.timeout(30):
                while await metric(relay, reason) < 1:  # noqa: ASYNC110 - the relay is another process
                    await asyncio.sleep(0.1)
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await asking
            async with submitting(relay.url) as sender:
                await sender.put(bob.device.key, envelope())
                await sender.next(control.Accepted)
                await receiver.next_frame()
            assert await metric(relay, 'blindpost_dropped_total{reason="slow_reader"}') == 0
            assert await metric(relay, reason) == 1
