"""What the sizes of messages tell whoever sees the lengths of TLS records: what was asked, and not how it is.

Each question is put to everything that it can be asked about, and the sizes of the answers are compared. The
control of each comparison is that the same answers, as they were before spaces were put behind them, differ.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from relay import answers
from relay.answers import BUNDLE_PADDED, PADDED, WELCOME_PADDED, outcome_messages, written
from relay.lanes import Later, Outcome, Verdict
from relay.store.base import StockCount
from tests.relay.conditions import HELD_BY_FULL, WATCHED, Conditions, conditions, unread
from tests.relay.devices import TOKEN, Account, envelope
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.support.relay_process import running_relay
from wire import control
from wire.control import ControlMessage, decode_relay_message
from wire.errors import ErrorCode, WireError
from wire.frames import Put
from wire.login import Mode


@asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[tuple[str, Conditions]]:
    with running_relay(directory, mailbox_frames=HELD_BY_FULL, request_frames=4) as relay:
        async with conditions(relay.url) as found:
            yield relay.url, found


async def asked(peer: Peer, *said: ControlMessage | Put) -> str:
    """Say these; the one answer, as it is written."""
    for message in said:
        await peer.websocket.send(message.encode())
    text = await peer.websocket.recv()
    assert isinstance(text, str)
    return text


def bare(texts: list[str]) -> set[int]:
    """The sizes that these would have without spaces behind them."""
    return {len(decode_relay_message(text).encode()) for text in texts}


async def test_a_bundle_is_as_large_whatever_prekeys_are_left_and_as_the_answer_that_there_is_none(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as (url, found), submitting(url) as peer:
        keys = [*(account.key for account in found.accounts.values()), found.nobody]
        texts = [
            await asked(peer, control.Fetch(ref=1, account_key=key, take=take))
            for take in (True, True, False)  # the second take finds nothing where one was left
            for key in keys
        ]
    assert {len(text) for text in texts} == {BUNDLE_PADDED}
    assert len(bare(texts)) >= 4  # with one-time prekeys and without, none published, no such account


async def test_presence_is_told_in_one_size(tmp_path: Path) -> None:
    async with scene(tmp_path) as (url, _), submitting(url) as peer:
        texts = []
        for capability, online in WATCHED.values():
            texts.append(await asked(peer, control.Watch(ref=1, capability=capability)))
            notice = decode_relay_message(texts[-1])
            assert isinstance(notice, control.Presence)
            assert notice.online is online
    assert {len(text) for text in texts} == {PADDED}
    assert len(bare(texts)) == 2


async def test_what_is_not_accepted_is_told_in_one_size_whoever_it_is_for(tmp_path: Path) -> None:
    async with scene(tmp_path) as (url, found):
        texts = []
        for key in found.mailboxes().values():
            async with unread(submitting(url)) as peer:
                # As a stranger, with a guess; until there is no room for requests; and then behind one that
                # was refused.
                attach = control.Attach(mailbox=key, token=bytes(16))
                for number in range(6):
                    put = Put(bytes([number]) * 16, key, envelope())
                    texts.append(await asked(peer, *([] if number else [attach]), put))
        async with unread(submitting(url)) as contact:
            full = found.accounts["full"].device.key
            put = Put(b"c" * 16, full, envelope())
            texts.append(await asked(contact, control.Attach(mailbox=full, token=TOKEN), put))
    codes = [getattr(decode_relay_message(text), "code", None) for text in texts]
    assert {None, ErrorCode.QUOTA, ErrorCode.GO_BACK, ErrorCode.NOT_FOUND} == set(codes)
    assert {len(text) for text in texts} == {PADDED}
    assert len(bare(texts)) >= 4


async def test_what_an_owner_is_told_does_not_show_how_many_prekeys_are_left(tmp_path: Path) -> None:
    account, texts, welcomes = Account(), list[str](), list[str]()
    with running_relay(tmp_path, mailbox_frames=1) as relay:
        async with logged_in(relay.url, account, pull=False) as device, submitting(relay.url) as taker:
            page = [prekey.encode() for prekey in account.device.lasting()]
            texts.append(await asked(device, control.Publish(ref=1, prekeys=page)))
            page = [prekey.encode() for prekey in account.device.one_time(1, 10)]
            texts.append(await asked(device, control.Publish(ref=1, prekeys=page)))
            await taker.fetch(account.key, take=True)
            taken = await device.websocket.recv()
            assert isinstance(taken, str)
            texts.append(taken)
            await device.send(control.Checkpoint(checkpoint=b"c" * 256))
            for _ in range(2):
                await taker.put(account.device.key, envelope())
        for key in (account.device, Account().device):
            async with dial(relay.url) as peer:
                await peer.hello(Mode.DEVICE)
                assert peer.greeting is not None
                signature = key.sign(peer.greeting.login_bytes(key.key))
                welcomes.append(await asked(peer, control.Login(device_key=key.key, signature=signature)))
    assert {len(text) for text in texts} == {PADDED}
    assert len(bare(texts)) >= 3
    assert {len(text) for text in welcomes} == {WELCOME_PADDED}
    assert len(bare(welcomes)) == 2


def test_the_largest_of_each_kind_has_the_size_of_the_smallest() -> None:
    """Every refusal, and numbers of as many digits as there can be."""
    verdicts: list[Verdict] = [*answers._REFUSALS, Later(1), Later(86_400)]
    refused = outcome_messages([Outcome(bytes(16), verdict) for verdict in verdicts])
    most = StockCount(200, 200)
    told: list[ControlMessage] = [
        *refused,
        *(answers.stock_message(stock) for stock in (StockCount(0, 0), most)),
        control.Published(ref=2**32 - 1, stock=answers.stock_message(most)),
        control.Presence(ref=2**32 - 1, online=False),
        answers.error_message(WireError(ErrorCode.STORAGE_FULL, "x" * 100), 2**32 - 1),
    ]
    assert {len(written(message)) for message in told} == {PADDED}
    welcome = control.Welcome(
        signature=bytes(64), registered=True, expired=2**32 - 1, stock=answers.stock_message(most),
        checkpoint=bytes(256), full_at=2**63 - 1,
    )  # fmt: skip
    assert len(written(welcome)) == WELCOME_PADDED


def test_spaces_change_nothing_for_whoever_reads_it() -> None:
    said = control.Presence(ref=1, online=True)
    assert written(said).endswith(" ")
    assert decode_relay_message(written(said)) == said
