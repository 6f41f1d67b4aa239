"""Rates and store together: what is put, what is refused, and which tokens make a difference."""

import os

import pytest

from relay import intake
from relay.lanes import Batch, Later
from relay.mailboxes import Mailboxes
from relay.metrics import Metrics
from relay.rates import Limit
from relay.store.base import NewFrame, PutResult, Store
from tests.relay.devices import HELD, NOW, Account, Device
from tests.relay.engines import QUOTA, frames, registered
from tests.relay.paces import Slow
from wire.errors import ErrorCode, WireError

STORED, REQUESTED, UNTRIED = PutResult.STORED, PutResult.REQUESTED, PutResult.UNTRIED


async def put(
    store: Store, slow: Slow, device: Device, sent: list[NewFrame], token: bytes | None = HELD
) -> list[intake.Result]:
    batch = Batch(device.key, tuple(sent), token)
    return await intake.put(Mailboxes(store, Metrics()), slow.pace(), batch, NOW)


async def test_a_batch_is_put_as_far_as_its_rates_go(store: Store) -> None:
    device, slow = (await registered(store)).device, Slow(put_rate_per_token="2+1/s")
    sent = frames(4)
    assert await put(store, slow, device, sent) == [STORED, STORED, Later(1), UNTRIED]
    assert await put(store, slow, device, sent[2:]) == [Later(1), UNTRIED]
    assert len(await store.pull(device.key, 0, 9, 1 << 20)) == 2
    slow.clock.pass_seconds(1)
    assert await put(store, slow, device, sent[2:]) == [STORED, Later(1)]


async def test_requests_have_a_rate_of_their_own(store: Store) -> None:
    device, slow = (await registered(store)).device, Slow(request_rate="2+6/min")
    sent = frames(4)
    assert await put(store, slow, device, sent, None) == [REQUESTED, REQUESTED, Later(10), UNTRIED]
    assert slow.refusals == [Limit.REQUEST]
    # The other mailbox, and whoever has a token, go on.
    other = (await registered(store)).device
    assert await put(store, slow, other, frames(1), None) == [REQUESTED]
    assert await put(store, slow, device, frames(1)) == [STORED]


async def test_random_tokens_do_not_pass_by_the_rate_of_requests(store: Store) -> None:
    device, slow = (await registered(store)).device, Slow(request_rate="2+6/min")
    results = [await put(store, slow, device, frames(1), os.urandom(32)) for _ in range(5)]
    assert results == [[REQUESTED], [REQUESTED], [Later(10)], [Later(10)], [Later(10)]]


async def test_whose_token_holds_takes_no_room_from_strangers(store: Store) -> None:
    device, slow = (await registered(store)).device, Slow(request_rate="2+6/min")
    for _ in range(3):
        assert await put(store, slow, device, frames(1)) == [STORED]
    assert await put(store, slow, device, frames(2), None) == [REQUESTED, REQUESTED]


async def test_room_that_was_not_needed_is_there_again(store: Store) -> None:
    device, slow = (await registered(store)).device, Slow(request_rate="2+6/min")
    first = frames(1)
    assert await put(store, slow, device, first, None) == [REQUESTED]
    for _ in range(5):  # the same once more is stored once, and counts once
        assert await put(store, slow, device, first, None) == [PutResult.REQUESTED_BEFORE]
    for _ in range(5):  # and so does what finds no mailbox
        assert await put(store, slow, Device(), frames(2), None) == [PutResult.UNKNOWN] * 2
    assert len(slow.rates.of(Limit.REQUEST)) == 1
    assert await put(store, slow, device, [*first, *frames(2)], None) == [
        PutResult.REQUESTED_BEFORE,
        REQUESTED,
        Later(10),
    ]


async def test_a_full_mailbox_is_said_to_be_full(store: Store) -> None:
    device, slow = (await registered(store)).device, Slow(request_rate="9+6/min")
    sent = frames(QUOTA.request_frames + 2)
    results = await put(store, slow, device, sent, os.urandom(32))
    assert results == [*[REQUESTED] * QUOTA.request_frames, PutResult.QUOTA, UNTRIED]
    assert slow.pace().request(device.key, 99).count == 9 - QUOTA.request_frames


class FullDisk(Mailboxes):
    async def put(self, *arguments: object, **named: object) -> list[PutResult]:
        raise WireError(ErrorCode.STORAGE_FULL, "full")


async def test_what_could_not_be_stored_was_no_request(store: Store) -> None:
    slow = Slow(request_rate="2+6/min")
    batch = Batch(Account().device.key, tuple(frames(2)), None)
    for _ in range(3):
        with pytest.raises(WireError):
            await intake.put(FullDisk(store, Metrics()), slow.pace(), batch, NOW)
    assert len(slow.rates.of(Limit.REQUEST)) == 0
