"""addresses.json, device_lists.json and prekeys.json: our code and a second one read and make them."""

from typing import Any

import pytest

from keys import primitives
from keys.errors import ForkError, MissingListsError, VerificationError
from keys.identities import verify_chain, verify_device_list
from keys.prekeys import verify_prekey
from tests.vectors import independent
from tests.vectors.reading import cases, fails, load, unhex
from wire.addresses import Address, RelayUrl
from wire.device_lists import decode_device_list
from wire.invites import invite_hash, invite_text, parse_invite
from wire.prekeys import PrekeyKind, decode_prekey

ADDRESSES, LISTS, PREKEYS = load("addresses"), load("device_lists"), load("prekeys")
SUCCESSIONS = {
    "fork": ForkError,
    "missing lists": MissingListsError,
    "unverified": VerificationError,
}


def test_addresses() -> None:
    for item in ADDRESSES["valid"]:
        relay = item["relay"] and RelayUrl.parse(item["relay"])
        token = item["token"] and unhex(item["token"])
        address = Address(unhex(item["account_key"]), relay, token)
        assert Address.parse(item["text"]) == address
        assert address.text == item["text"]
        key_text = independent.bech32m("bp", 0 if token is None else 1, address.account_key + (token or b""))
        assert item["text"].partition("@")[0] == key_text


@pytest.mark.parametrize("item", cases(ADDRESSES["invalid"]))
def test_addresses_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: Address.parse(item["text"]))


@pytest.mark.parametrize("item", ADDRESSES["relays"], ids=lambda item: item["typed"])
def test_relay_urls(item: dict[str, str]) -> None:
    relay = RelayUrl.parse(item["typed"])
    assert (relay.origin, relay.websocket, relay.text) == (item["origin"], item["websocket"], item["text"])
    assert RelayUrl.parse(item["text"]) == relay == RelayUrl.parse(item["origin"])


def test_invites() -> None:
    for item in ADDRESSES["invites"]:
        invite = unhex(item["invite"])
        assert parse_invite(item["text"]) == invite
        assert invite_text(invite) == item["text"] == independent.bech32m("bpinvite", 0, invite)
        assert invite_hash(invite).hex() == item["hash"]
        assert independent.labelled_hash("invite", invite).hex() == item["hash"]


@pytest.mark.parametrize("item", cases(ADDRESSES["invalid_invites"]))
def test_invites_that_are_refused(item: dict[str, str]) -> None:
    fails(item, lambda: parse_invite(item["text"]))


def test_device_lists() -> None:
    for item in LISTS["valid"]:
        encoded = unhex(item["encoded"])
        devices = decode_device_list(encoded)
        verify_device_list(devices, unhex(LISTS["account_key"]))
        assert devices.hash() == unhex(item["hash"]) == independent.device_list_hash(encoded)
        account_key = independent.signing_public(unhex(item["account_seed"]))
        entries = [
            independent.device_entry(
                account_key, unhex(d["seed"]), unhex(d["identity_private"]), d["created"]
            )
            for d in item["devices"]
        ]
        again = independent.device_list(
            unhex(item["account_seed"]), entries, item["version"], unhex(item["previous"]), item["created"]
        )
        assert again == encoded == devices.encode()


@pytest.mark.parametrize("item", cases(LISTS["malformed"]))
def test_device_lists_that_are_malformed(item: dict[str, str]) -> None:
    fails(item, lambda: decode_device_list(unhex(item["encoded"])))


@pytest.mark.parametrize("item", cases(LISTS["not_holding"]))
def test_device_lists_that_do_not_hold(item: dict[str, str]) -> None:
    devices = decode_device_list(unhex(item["encoded"]))
    fails(item, lambda: verify_device_list(devices, unhex(LISTS["account_key"])))


@pytest.mark.parametrize("item", cases(LISTS["successions"]))
def test_device_lists_that_follow_others(item: dict[str, Any]) -> None:
    known, offered = (decode_device_list(unhex(item[name])) for name in ("known", "offered"))
    between = [decode_device_list(unhex(encoded)) for encoded in item["between"]]
    if item["result"] in SUCCESSIONS:
        with pytest.raises(VerificationError) as caught:
            verify_chain(known, between, offered)
        assert type(caught.value) is SUCCESSIONS[item["result"]]
    else:
        assert (
            verify_chain(known, between, offered) is {"nothing new": False, "successor": True}[item["result"]]
        )


def test_prekeys() -> None:
    seed = unhex(PREKEYS["device_seed"])
    assert sorted(item["kind"] for item in PREKEYS["valid"]) == sorted(PrekeyKind)
    for item in PREKEYS["valid"]:
        encoded = unhex(item["encoded"])
        verify_prekey(decode_prekey(encoded), primitives.signing_key(seed))
        again = independent.prekey(seed, item["kind"], item["id"], item["created"], unhex(item["private"]))
        assert again == encoded == decode_prekey(encoded).encode()


@pytest.mark.parametrize("item", cases(PREKEYS["malformed"]))
def test_prekeys_that_are_malformed(item: dict[str, str]) -> None:
    fails(item, lambda: decode_prekey(unhex(item["encoded"])))


@pytest.mark.parametrize("item", cases(PREKEYS["not_holding"]))
def test_prekeys_that_do_not_hold(item: dict[str, str]) -> None:
    prekey = decode_prekey(unhex(item["encoded"]))
    fails(item, lambda: verify_prekey(prekey, primitives.signing_key(unhex(PREKEYS["device_seed"]))))
