"""Caps that are numbers in `/v1/info`, reached on a real relay: what is published is what is held."""

import json
import os
from pathlib import Path
from typing import Any

from tests.relay.devices import Account, Device
from tests.relay.peers import Peer, dial, logged_in, submitting
from tests.relay.web import get
from tests.support.relay_process import RelayProcess, running_relay
from wire import control
from wire.control_values import encode_base64url
from wire.errors import CloseCode, ErrorCode
from wire.login import Mode


async def limits_of(relay: RelayProcess) -> dict[str, Any]:
    limits: dict[str, Any] = json.loads((await get(relay, "/v1/info")).text)["limits"]
    return limits


async def error_for(peer: Peer, text: str) -> control.Error:
    await peer.send_text(text)
    return await peer.next(control.Error)


async def test_sockets_before_login_in_all(tmp_path: Path) -> None:
    with running_relay(tmp_path, sockets_before_login=2, trusted_proxies="127.0.0.1") as relay:
        assert (await limits_of(relay))["sockets_before_login"] == 2
        places = [f"198.51.100.{number}" for number in (1, 1, 2)]
        async with (
            dial(relay.url, place=places[0]) as first,
            dial(relay.url, place=places[1]) as second,
            dial(relay.url, place=places[2]) as third,
        ):
            # The oldest of the address that held most gave its place.
            assert (await first.next(control.Error)).code is ErrorCode.TOO_MANY_CONNECTIONS
            assert await first.close_code() == CloseCode.TOO_MANY_CONNECTIONS
            await third.hello(Mode.SUBMIT)  # no longer one of those before login
            async with dial(relay.url, place=places[2]) as fourth:
                await fourth.hello(Mode.SUBMIT)
            await second.hello(Mode.SUBMIT)


async def test_devices_of_an_account(relay: RelayProcess) -> None:
    most = (await limits_of(relay))["devices_per_account"]
    account = Account(devices=[Device() for _ in range(most)])
    async with logged_in(relay.url, account, pull=False):
        pass
    account = Account(devices=[Device() for _ in range(most + 1)])
    async with dial(relay.url) as peer:
        await peer.log_in(account.device)
        encoded = encode_base64url(account.list().encode())
        error = await error_for(peer, json.dumps({"type": "register", "ref": 1, "device_list": encoded}))
        assert (error.code, error.field, error.ref) == (ErrorCode.BAD_REQUEST, "device_list", 1)
        await peer.register(Account(devices=account.devices[:1]))  # the connection goes on


async def test_prekeys_of_a_page_and_in_stock(relay: RelayProcess) -> None:
    limits = await limits_of(relay)
    most, stock = limits["prekeys_per_page"], limits["one_time_prekeys"]
    bob = Account()
    async with logged_in(relay.url, bob, pull=False) as peer:
        prekeys = [prekey.encode() for prekey in bob.device.one_time(1, stock + 1)]
        page = {
            "type": "publish",
            "ref": 1,
            "prekeys": [encode_base64url(key) for key in prekeys[: most + 1]],
        }
        assert (await error_for(peer, json.dumps(page))).code is ErrorCode.BAD_REQUEST
        for at in range(0, stock, most):
            await peer.send(control.Publish(ref=2, prekeys=prekeys[at : at + most]))
            assert (await peer.next(control.Published)).stock.one_time == min(stock, at + most)
        await peer.send(control.Publish(ref=3, prekeys=prekeys[stock:]))
        error = await peer.next(control.Error)
        assert (error.code, error.ref) == (ErrorCode.TOO_LARGE, 3)


async def test_mailboxes_with_a_token_and_watches(relay: RelayProcess) -> None:
    limits = await limits_of(relay)
    async with submitting(relay.url) as peer:
        for _ in range(limits["attached_per_submit"]):
            await peer.send(control.Attach(mailbox=os.urandom(32), token=bytes(16)))
        await peer.send(control.Attach(mailbox=os.urandom(32), token=bytes(16)))
        assert (await peer.next(control.Error)).code is ErrorCode.TOO_LARGE
        for ref in range(limits["watches_per_submit"]):
            await peer.send(control.Watch(ref=ref, capability=bytes([ref]) * 32))
            await peer.next(control.Presence)
        await peer.send(control.Watch(ref=99, capability=bytes([99]) * 32))
        assert (await peer.next(control.Error)).code is ErrorCode.TOO_LARGE


async def test_errors_of_a_connection(relay: RelayProcess) -> None:
    most = (await limits_of(relay))["errors_per_connection"]
    async with submitting(relay.url) as peer:
        for _ in range(most):
            assert (await error_for(peer, "nonsense")).code is ErrorCode.BAD_REQUEST
        assert await peer.close_code() == CloseCode.BAD_REQUEST
