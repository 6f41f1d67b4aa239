"""Takes and their rates, over both engines: what counts as one, and what comes beyond it."""

import pytest

from relay.actions import Fetch
from relay.directory import Directory
from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.rates import Limit
from relay.store.base import Offer, Store
from relay.store.memory import MemoryStore
from tests.relay.devices import Account
from tests.relay.engines import registered
from tests.relay.paces import Slow
from wire.errors import ErrorCode, WireError


def directory(store: Store) -> Directory:
    metrics = Metrics()
    return Directory(store, Mailboxes(store, metrics), metrics)


async def published(store: Store) -> Account:
    account = await registered(store)
    await store.publish(account.device.key, [*account.device.lasting(), *account.device.one_time(1, 9)])
    return account


def one_time(offer: Offer | None) -> int | None:
    assert offer is not None
    prekey = offer.devices[0].one_time
    return None if prekey is None else prekey.id


async def test_beyond_its_rate_a_take_takes_nothing_and_is_answered(store: Store) -> None:
    account, slow = await published(store), Slow(take_rate="2+6/h")
    relay, take = directory(store), Fetch(1, account.key, take=True)
    assert [one_time(await relay.fetch(take, slow.pace())) for _ in range(4)] == [1, 2, None, None]
    assert slow.refusals == [Limit.TAKE] * 2
    assert (await store.status(account.device.key)).stock.one_time == 7
    assert one_time(await relay.fetch(take, slow.pace("elsewhere"))) == 3
    slow.clock.pass_seconds(600)
    assert one_time(await relay.fetch(take, slow.pace())) == 4


async def test_what_takes_nothing_counts_for_nothing(store: Store) -> None:
    account, slow = await published(store), Slow(take_rate="1+1/h", take_rate_per_account="1+1/h")
    relay, nobody = directory(store), Account()
    for _ in range(3):
        assert await relay.fetch(Fetch(1, nobody.key, take=True), slow.pace()) is None
        assert one_time(await relay.fetch(Fetch(1, account.key, take=False), slow.pace())) is None
    assert slow.refusals == []
    assert one_time(await relay.fetch(Fetch(1, account.key, take=True), slow.pace())) == 1


class FullDisk(MemoryStore):
    async def fetch(self, *arguments: object, **named: object) -> Offer | None:
        raise WireError(ErrorCode.STORAGE_FULL, "full")


async def test_a_take_that_failed_was_none() -> None:
    slow, relay = Slow(take_rate="1+1/h"), directory(FullDisk())
    for _ in range(3):
        with pytest.raises(WireError):
            await relay.fetch(Fetch(1, bytes(32), take=True), slow.pace())
    assert slow.refusals == []
