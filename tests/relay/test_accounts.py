"""An account exports and deletes itself at a real relay: who may, what others notice, what a kill changes."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.store.sqlite import SqliteStore
from tests.relay.devices import HELD, NOW, TOKEN, Account, Device, envelope
from tests.relay.engines import frames
from tests.relay.furnished import furnished, known, traces
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.relay.test_equal_answers import answer, asks, assert_equal_time
from tests.support.relay_process import RelayProcess
from wire import control
from wire.account_messages import HeldFrame, HeldPresence, HeldRates, HeldToken, Record
from wire.capabilities import presence_capability
from wire.errors import CloseCode, ErrorCode
from wire.frames import Put
from wire.login import deletion_bytes

SECRET = b"presence secret."


@asynccontextmanager
async def back(url: str, device: Device) -> AsyncIterator[tuple[Peer, bytes]]:
    """A device logs in; with the hash of its login."""
    async with dial(url) as peer:
        await peer.log_in(device)
        assert peer.greeting is not None
        yield peer, peer.greeting.login_hash(device.key, device.sign(peer.greeting.login_bytes(device.key)))


def wish(account: Account, login_hash: bytes) -> control.Delete:
    signature = account.signing.sign(deletion_bytes(account.key, login_hash)).signature
    return control.Delete(ref=5, account_key=account.key, signature=signature)


async def delete(url: str, account: Account) -> bool:
    """Whether nothing is left in its files, as the relay says."""
    async with back(url, account.device) as (peer, login_hash):
        await peer.send(wish(account, login_hash))
        deleted = await peer.next(control.Deleted)
        assert deleted.ref == 5
        assert await peer.close_code() == CloseCode.ACCOUNT_DELETED
        return deleted.wiped


async def exported(peer: Peer) -> list[Record]:
    records: list[Record] = []
    place: bytes | None = None
    while not records or place is not None:
        await peer.send(control.Export(ref=6, place=place))
        page = await peer.next(control.Exported)
        records += page.records
        place = page.place
    return records


async def full_account(relay: RelayProcess) -> Account:
    account = Account()
    async with logged_in(relay.url, account, pull=False) as peer:
        await peer.publish(account.device)
        await peer.send(control.Checkpoint(checkpoint=b"checkpoint " + os.urandom(50)))
        async with submitting(relay.url) as sender:
            for _ in range(10):
                await sender.put(account.device.key, envelope(4096))
                await sender.next(control.Accepted)
    return account


# --- export ----------------------------------------------------------------------------------------------


async def test_an_export_shows_memory_as_well(relay: RelayProcess) -> None:
    account = await full_account(relay)
    async with logged_in(relay.url, account, pull=False) as peer:
        await peer.send(control.Appear(secrets=[SECRET]))
        records = await exported(peer)
    (rates,) = (record for record in records if isinstance(record, HeldRates))
    assert 0 < rates.lists_left <= 1_000_000
    (presence,) = (record for record in records if isinstance(record, HeldPresence))
    assert presence.connected
    assert presence.capabilities == [presence_capability(SECRET)]
    assert 0 < presence.changes_left <= 1_000_000
    (token,) = (record for record in records if isinstance(record, HeldToken))
    assert (token.hash, token.puts_left is not None) == (HELD, True)
    assert sum(isinstance(record, HeldFrame) for record in records) == 10


async def test_an_export_is_for_devices_of_the_account_alone(relay: RelayProcess) -> None:
    account = await full_account(relay)
    async with back(relay.url, Device()) as (peer, _):
        await peer.send(control.Export(ref=6))
        assert (await peer.next(control.Error)).code is ErrorCode.NOT_REGISTERED
    async with logged_in(relay.url, Account(), pull=False) as peer:
        records = await exported(peer)
    assert not [record for record in records if getattr(record, "device_key", b"") == account.device.key]


# --- delete ----------------------------------------------------------------------------------------------


async def test_a_deleted_account_is_gone_from_every_file(tmp_path: Path) -> None:
    with RelayProcess(tmp_path) as relay:
        account, bystander = await full_account(relay), await full_account(relay)
        async with logged_in(relay.url, account, pull=False) as peer:
            records = await exported(peer)
        values = known(account, records, [])
        values -= {HELD}
        assert traces(relay.data_dir, values) > 20
        assert await delete(relay.url, account)
        assert traces(relay.data_dir, values) == 0
        async with logged_in(relay.url, bystander) as peer:
            assert len([await peer.next_frame() for _ in range(10)]) == 10
    assert traces(relay.data_dir, values) == 0
    assert account.key.hex() not in relay.log


async def test_contacts_get_the_answer_for_whom_there_never_was(relay: RelayProcess) -> None:
    account = await full_account(relay)
    async with logged_in(relay.url, account) as device, submitting(relay.url) as peer:
        await device.send(control.Appear(secrets=[SECRET]))
        await delete(relay.url, account)
        watches = [control.Watch(ref=1, capability=c) for c in (presence_capability(SECRET), os.urandom(32))]
        fetches = [control.Fetch(ref=1, account_key=key, take=True) for key in (account.key, os.urandom(32))]
        attach = control.Attach(mailbox=account.device.key, token=TOKEN)
        puts = [Put(b"f" * 16, key, envelope()) for key in (account.device.key, os.urandom(32))]
        await peer.send(attach)
        for one, other in (watches, fetches, puts):
            assert await answer(peer, one) == await answer(peer, other)
        for one, other in (fetches, puts):
            await assert_equal_time(asks(peer, one), asks(peer, other), rounds=80)


async def test_other_connections_of_the_account_end_with_a_word(relay: RelayProcess) -> None:
    account = Account(devices=[Device(), Device()])
    other = Account(account.signing, account.devices[::-1])
    async with logged_in(relay.url, account), dial(relay.url) as second:
        await second.log_in(other.device)
        await second.send(control.Pull())
        assert await delete(relay.url, account)
        error = await second.next(control.Error)
        assert error.code is ErrorCode.ACCOUNT_DELETED
        assert await second.close_code() == CloseCode.ACCOUNT_DELETED


async def test_a_signature_counts_once_and_here(relay: RelayProcess) -> None:
    account = await full_account(relay)
    async with back(relay.url, account.device) as (peer, login_hash):
        captured = wish(account, login_hash)
        assert peer.greeting is not None
        forged = [
            control.Delete(ref=5, account_key=account.key, signature=bytes(64)),
            wish(Account(), login_hash).model_copy(update={"account_key": account.key}),
            # The device's own signature is not enough.
            captured.model_copy(
                update={"signature": account.device.sign(deletion_bytes(account.key, login_hash))}
            ),
            wish(account, os.urandom(32)),
        ]
        for each in forged:
            await peer.send(each)
            assert (await peer.next(control.Error)).code is ErrorCode.LOGIN_REFUSED
    for device in (account.device, Device()):
        async with back(relay.url, device) as (peer, _):
            await peer.send(captured)
            assert (await peer.next(control.Error)).code is ErrorCode.LOGIN_REFUSED
    async with submitting(relay.url) as peer:
        assert (await peer.fetch(account.key, take=False)).devices


async def test_deleting_again_and_coming_again(relay: RelayProcess) -> None:
    """Who lost the answer asks again; who registers again begins anew, above the sequences of before."""
    account = await full_account(relay)
    assert await delete(relay.url, account)
    assert await delete(relay.url, account)
    async with logged_in(relay.url, account) as peer, submitting(relay.url) as sender:
        await sender.put(account.device.key, envelope())
        assert (await peer.next_frame()).sequence > 10


async def test_frames_that_were_handed_over_and_not_stored_are_gone_too(relay: RelayProcess) -> None:
    account = Account()
    async with logged_in(relay.url, account) as peer, submitting(relay.url) as sender:
        for _ in range(3):  # the device has a tail by now
            frame = await sender.put(account.device.key, envelope())
            delivered = await peer.next_frame()
            await peer.send(control.Acknowledge(through=delivered.sequence))
            await sender.next(control.Accepted)
        frame = await sender.put(account.device.key, envelope())
        await peer.next_frame()
        assert peer.greeting is not None
        login_hash = peer.greeting.login_hash(
            account.device.key, account.device.sign(peer.greeting.login_bytes(account.device.key))
        )
        await peer.send(wish(account, login_hash))
        await peer.next(control.Deleted)
        said = control.decode_relay_message(str(await sender.websocket.recv()))
        match said:
            case control.Refused():
                assert (said.frame, said.code) == (frame, ErrorCode.NOT_FOUND)
            case _:  # it was stored before the deletion
                assert isinstance(said, control.Accepted)


async def test_while_the_database_is_copied_the_answer_says_so(tmp_path: Path) -> None:
    import apsw

    with RelayProcess(tmp_path) as relay:
        account = await full_account(relay)
        copying = apsw.Connection(str(relay.data_dir / "relay.db"), flags=apsw.SQLITE_OPEN_READONLY)
        copying.execute("BEGIN")
        assert copying.execute("SELECT count(*) FROM frames").get
        assert not await delete(relay.url, account)
        assert traces(relay.data_dir, {account.key}) == 1
        copying.execute("ROLLBACK")
        copying.close()
        assert await delete(relay.url, account)
        assert traces(relay.data_dir, {account.key}) == 0


# --- a kill in the middle --------------------------------------------------------------------------------


def until_gone(relay: RelayProcess, values: set[bytes]) -> None:
    deadline = time.monotonic() + 10
    while traces(relay.data_dir, values) and time.monotonic() < deadline:
        time.sleep(0.05)  # the relay's own work, which nothing tells of
    assert traces(relay.data_dir, values) == 0


@pytest.mark.parametrize("kill_after", [0.0, 0.002, 0.01, 0.03, 0.1])
async def test_a_kill_leaves_all_or_nothing_and_a_start_finishes_it(
    tmp_path: Path, kill_after: float
) -> None:
    with RelayProcess(tmp_path) as relay:
        account = Account()
        async with logged_in(relay.url, account, pull=False) as peer, submitting(relay.url) as sender:
            await peer.publish(account.device)
            for _ in range(8):
                for _ in range(100):
                    await sender.put(account.device.key, envelope())
                accepted = 0
                while accepted < 100:
                    accepted += len((await sender.next(control.Accepted)).frames)
            values = known(account, await exported(peer), [])
        async with back(relay.url, account.device) as (peer, login_hash):
            await peer.send(wish(account, login_hash))
            await asyncio.sleep(kill_after)
            relay.kill()
        relay.start()
        async with submitting(relay.url) as sender:
            await sender.send(control.Fetch(ref=1, account_key=account.key, take=False))
            found = control.decode_relay_message(str(await sender.websocket.recv()))
        if isinstance(found, control.Bundle):  # it never came to it: whoever asked asks again
            async with logged_in(relay.url, account, pull=False) as peer:
                assert sum(isinstance(record, HeldFrame) for record in await exported(peer)) == 800
            assert await delete(relay.url, account)
            assert traces(relay.data_dir, values - {HELD}) == 0
        else:
            until_gone(relay, values - {HELD})


@pytest.mark.parametrize("cleared", [0, 3, 1000])
async def test_a_start_finishes_what_stopped_at_each_step(tmp_path: Path, cleared: int) -> None:
    """The store's own steps, one after the other; after each of them the process is as good as killed."""
    relay = RelayProcess(tmp_path)
    relay.data_dir.mkdir()
    path = relay.data_dir / "relay.db"
    store = SqliteStore.open(path)
    account = await furnished(store, 4096)
    await store.put(account.device.key, frames(50), NOW, HELD)
    values = known(account, list((await store.export(account.device.key, None)).records), []) - {HELD}
    await store.delete(account.key)
    await store.clear(cleared or 1)
    # What a kill leaves: the files as they are now, without the last checkpoint of an orderly end.
    kept = {each.name: each.read_bytes() for each in relay.data_dir.iterdir()}
    await store.close()
    for each in relay.data_dir.iterdir():
        each.unlink()
    for name, data in kept.items():
        if not name.endswith("-shm"):
            (relay.data_dir / name).write_bytes(data)
    assert traces(relay.data_dir, values) > 0
    with relay:
        until_gone(relay, values)
        with contextlib.suppress(FileNotFoundError):
            assert (relay.data_dir / "relay.db-wal").stat().st_size < 1 << 20
