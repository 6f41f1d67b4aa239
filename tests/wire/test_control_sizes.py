"""wire.control: how deep, long, many and large anything may be; binary is of exact size."""

import json

import pytest

from tests.wire.control_messages import CLIENT, ID, KEY, fields, refused
from wire.control import (
    Attach,
    Bundle,
    OfferedDevice,
    Pull,
    Registered,
    Stock,
    Watch,
    decode_client_message,
    decode_relay_message,
)
from wire.control_values import encode_base64url
from wire.device_lists import LIST_MAX
from wire.errors import ErrorCode
from wire.limits import (
    CAPABILITIES_MAX,
    CONTROL_MAX,
    DEVICES_PER_ACCOUNT,
    FORMER_PER_BUNDLE,
    RESULTS_PER_MESSAGE,
    TOKENS_MAX,
)
from wire.prekeys import PREKEY_MAX


def test_depth_and_size_are_bounded() -> None:
    for text in ("[" * 100_000, '{"type":' * 5_000, '{"type":"pull","x":' + "[" * 9 + "]" * 9 + "}"):
        refused(decode_client_message, text)
    pull = Pull().encode()
    assert decode_client_message(pull + " " * (CONTROL_MAX - len(pull))) == Pull()
    too_large = refused(decode_client_message, pull + " " * (CONTROL_MAX - len(pull) + 1))
    assert too_large.code is ErrorCode.TOO_LARGE


def test_lists_are_bounded_at_both_ends() -> None:
    for count, holds in ((0, False), (1, True), (20, True), (21, False)):
        text = json.dumps({"type": "publish", "ref": 1, "prekeys": ["AAAA"] * count})
        if holds:
            decode_client_message(text)
        else:
            assert refused(decode_client_message, text).field == "prekeys"
    for count, holds in (
        (0, False),
        (1, True),
        (RESULTS_PER_MESSAGE, True),
        (RESULTS_PER_MESSAGE + 1, False),
    ):
        text = json.dumps({"type": "accepted", "frames": [encode_base64url(ID)] * count})
        if holds:
            decode_relay_message(text)
        else:
            assert refused(decode_relay_message, text).field == "frames"
    for count, holds in ((RESULTS_PER_MESSAGE, True), (0, False), (RESULTS_PER_MESSAGE + 1, False)):
        text = json.dumps({"type": "queued_as_request", "frames": [encode_base64url(ID)] * count})
        if holds:
            decode_relay_message(text)
        else:
            assert refused(decode_relay_message, text).field == "frames"
    hash = encode_base64url(KEY)
    for field, item, most in (
        ("tokens", {"hash": hash}, TOKENS_MAX),
        ("secrets", encode_base64url(ID), CAPABILITIES_MAX),
    ):
        known = {"type": "allow", "ref": 1} if field == "tokens" else {"type": "appear"}
        decode_client_message(json.dumps({**known, field: [item] * most}))
        assert refused(decode_client_message, {**known, field: [item] * (most + 1)}).field == field
    device = {"device_key": encode_base64url(KEY)}
    for count in (0, 2, 5):
        offered = {
            "type": "bundle",
            "ref": 1,
            "device_list": "AAAA",
            "devices": [{**device, "prekeys": ["AA"] * count}],
        }
        assert refused(decode_relay_message, offered).field == "prekeys"


def test_integers_are_bounded_exactly() -> None:
    assert decode_relay_message('{"type":"registered","ref":4294967295}') == Registered(ref=2**32 - 1)
    assert refused(decode_relay_message, '{"type":"registered","ref":4294967296}').field == "ref"
    stock = {"type": "stock", "one_time": 2**53 - 1, "one_time_kem": 0}
    assert decode_relay_message(json.dumps(stock)) == Stock(one_time=2**53 - 1, one_time_kem=0)
    assert refused(decode_relay_message, {**stock, "one_time": 2**53}).field == "one_time"
    assert refused(decode_client_message, {"type": "acknowledge", "through": 2**64}).field == "through"


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_binary_fields_are_of_exact_size(size: int) -> None:
    value = {**fields(CLIENT[2]), "device_key": encode_base64url(bytes(size))}
    assert refused(decode_client_message, value).field == "device_key"


@pytest.mark.parametrize("size", [0, 15, 17, 31, 33])
def test_tokens_and_capabilities_are_of_exact_size(size: int) -> None:
    wrong = encode_base64url(bytes(size))
    for message, field in (
        (Attach(mailbox=KEY, token=ID), "token"),
        (Watch(ref=1, capability=KEY), "capability"),
    ):
        assert refused(decode_client_message, {**fields(message), field: wrong}).field == field
    short = {"type": "allow", "ref": 1, "tokens": [{"hash": encode_base64url(ID)}]}
    assert refused(decode_client_message, short).field == "hash"


def test_the_largest_bundle_with_former_lists_is_a_control_message() -> None:
    prekeys = [bytes(PREKEY_MAX), *[bytes(109)] * 3]
    devices = [OfferedDevice(device_key=KEY, prekeys=prekeys)] * DEVICES_PER_ACCOUNT
    largest = bytes(LIST_MAX)
    bundle = Bundle(ref=2**32 - 1, device_list=largest, devices=devices, former=[largest] * FORMER_PER_BUNDLE)
    text = bundle.encode()
    assert CONTROL_MAX - 8192 < len(text) <= CONTROL_MAX
    assert decode_relay_message(text) == bundle
    one_more = text.replace('"former":[', f'"former":["{"A" * 1646}",')
    assert refused(decode_relay_message, one_more).field == "former"
