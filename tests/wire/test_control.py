"""wire.control: strict, closed, bounded messages whose refusals name the field and quote nothing."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from wire.account_messages import (
    Delete,
    Deleted,
    Export,
    Exported,
    HeldAccount,
    HeldFormerList,
    HeldFrame,
    HeldMailbox,
    HeldPrekey,
    HeldPresence,
    HeldRates,
    HeldToken,
    Record,
)
from wire.control import (
    Accepted,
    Acknowledge,
    Allow,
    Allowed,
    AllowedToken,
    Appear,
    Attach,
    Bundle,
    Checkpoint,
    ControlMessage,
    Error,
    Fetch,
    Hello,
    Login,
    OfferedDevice,
    Presence,
    Publish,
    Published,
    Pull,
    QueuedAsRequest,
    Refused,
    Register,
    Registered,
    RelayHello,
    Stock,
    Watch,
    Welcome,
    decode_client_message,
    decode_relay_message,
)
from wire.control_values import decode_base64url, encode_base64url
from wire.device_lists import LIST_MAX
from wire.errors import ErrorCode, WireError
from wire.limits import (
    CAPABILITIES_MAX,
    CONTROL_MAX,
    DEVICES_PER_ACCOUNT,
    FORMER_PER_BUNDLE,
    RESULTS_PER_MESSAGE,
    TOKENS_MAX,
)
from wire.login import Mode
from wire.prekeys import PREKEY_MAX

KEY, SIGNATURE, ID = bytes(range(32)), bytes(range(64)), bytes(range(16))
STOCK = Stock(one_time=3, one_time_kem=4)
CLIENT: list[ControlMessage] = [
    Hello(mode=Mode.DEVICE, version=1, origin="wss://example.org", nonce=KEY),
    Hello(mode=Mode.SUBMIT, version=2**32 - 1, origin="", nonce=KEY),
    Login(device_key=KEY, signature=SIGNATURE),
    Register(ref=1, device_list=b"list"),
    Publish(ref=2, prekeys=[b"one", b"two"]),
    Pull(),
    Acknowledge(through=2**63 - 1),
    Fetch(ref=0, account_key=KEY, take=True),
    Allow(ref=4, tokens=[]),
    Allow(ref=5, tokens=[AllowedToken(hash=KEY), AllowedToken(hash=KEY, until=2**63 - 1)]),
    Publish(ref=2, prekeys=[b"one"], anew=True),
    Checkpoint(checkpoint=bytes(1)),
    Checkpoint(checkpoint=bytes(256)),
    Appear(secrets=[]),
    Appear(secrets=[ID, bytes(16)]),
    Attach(mailbox=KEY, token=ID),
    Watch(ref=6, capability=KEY),
    Export(ref=7),
    Export(ref=7, place=bytes(65)),
    Delete(ref=8, account_key=KEY, signature=SIGNATURE),
]
HELD: list[Record] = [
    HeldAccount(account_key=KEY, device_list=b"list"),
    HeldFormerList(version=2**63 - 1, device_list=b"list"),
    HeldMailbox(
        device_key=KEY, next_sequence=2**63 - 1, skipped=0, frames=1, bytes=2, request_frames=3,
        request_bytes=4, expired=5, one_time_highest=6, one_time_kem_highest=2**32 - 1, checkpoint=bytes(256),
        full_at=7, dropped_at=8,
    ),
    HeldPrekey(device_key=KEY, kind=5, id=2**32 - 1, prekey=b"prekey"),
    HeldToken(device_key=KEY, hash=KEY),
    HeldToken(device_key=KEY, hash=KEY, until=9, puts_left=10),
    HeldFrame(device_key=KEY, sequence=1, frame_id=ID, stored_at=2, request=True, size=1024, sha256=KEY),
    HeldFrame(
        device_key=KEY, sequence=1, frame_id=ID, stored_at=2, request=False, checksum=2**32 - 1,
        size=1, sha256=KEY
    ),
    HeldRates(lists_left=1, takes_left=2),
    HeldPresence(device_key=KEY, connected=True, capabilities=[KEY], passing=1, changes_left=2),
]  # fmt: skip
RELAY: list[ControlMessage] = [
    RelayHello(version=1, relay_key=KEY, nonce=KEY, time=5, signature=SIGNATURE),
    Welcome(signature=SIGNATURE, registered=False, expired=0, stock=STOCK),
    Welcome(signature=SIGNATURE, registered=True, expired=2, stock=STOCK, checkpoint=b"sealed"),
    Registered(ref=1),
    Published(ref=2, stock=STOCK),
    STOCK,
    Bundle(ref=3, device_list=b"list", devices=[OfferedDevice(device_key=KEY, prekeys=[b"a", b"b", b"c"])]),
    Bundle(ref=3, device_list=b"list", devices=[]),
    Accepted(frames=[ID]),
    Allowed(ref=4),
    QueuedAsRequest(frames=[ID, bytes(16)]),
    Presence(ref=6, online=True),
    Exported(ref=7, records=HELD),
    Exported(ref=7, records=[], place=b"x"),
    Deleted(ref=8, wiped=False),
    Refused(frame=ID, code=ErrorCode.QUOTA, message="full", retry_after=5),
    Refused(frame=ID, code=ErrorCode.NOT_FOUND, message="no"),
    Error(code=ErrorCode.BAD_REQUEST, message="why", field="ref", ref=9, retry_after=1),
    Error(code=ErrorCode.INTERNAL, message="why"),
]
ALL = [(decode_client_message, message) for message in CLIENT] + [
    (decode_relay_message, message) for message in RELAY
]


def name(value: object) -> str:
    return (
        type(value).__name__ if isinstance(value, ControlMessage) else getattr(value, "__name__", str(value))
    )


def fields(message: ControlMessage) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(message.encode())
    return value


def refused(decode: Any, value: object) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(value if isinstance(value, str) else json.dumps(value))
    assert caught.value.code in (ErrorCode.BAD_REQUEST, ErrorCode.TOO_LARGE)
    return caught.value


def test_every_message_of_the_protocol_is_tried_here() -> None:
    tried = {type(message) for _, message in ALL} | {OfferedDevice, AllowedToken, *map(type, HELD)}
    assert tried == set(ControlMessage.__subclasses__())


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_every_message_round_trips_and_leaves_out_what_is_none(decode: Any, message: ControlMessage) -> None:
    assert decode(message.encode()) == message
    assert decode(message.encode()).encode() == message.encode()
    assert "null" not in message.encode()


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_no_message_of_one_direction_is_read_in_the_other(decode: Any, message: ControlMessage) -> None:
    other = decode_relay_message if decode is decode_client_message else decode_client_message
    assert refused(other, message.encode()).field == "type"


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_an_extra_field_is_refused_and_not_repeated(decode: Any, message: ControlMessage) -> None:
    error = refused(decode, {**fields(message), "CANARY": 1})
    assert "CANARY" not in f"{error}{error.field}"
    assert "unknown field" in str(error)


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_every_missing_field_is_refused_by_name(decode: Any, message: ControlMessage) -> None:
    model = type(message)
    for field, info in model.model_fields.items():
        value = fields(message)
        value.pop(field, None)
        if field == "type" or info.is_required():
            assert refused(decode, value).field == field
        else:
            assert getattr(decode(json.dumps(value)), field) is None


WRONG: list[object] = [
    None, True, False, -1, 2**32, 2**53, 2**64, 10**400, "", "x", "CANARY", "A" * 100_000, "\ud800", "é",
    [], ["CANARY"], [[]], {}, {"CANARY": "CANARY"}, [None], [1], ["!"],
]  # fmt: skip


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_no_wrong_value_gets_past_a_field_unless_it_is_of_the_fields_own_type(
    decode: Any, message: ControlMessage
) -> None:
    for field, good in fields(message).items():
        for wrong in WRONG:
            try:
                after = decode(json.dumps({**fields(message), field: wrong}))
            except WireError as error:
                assert error.field in (field, None) or field in ("stock", "devices", "tokens"), (field, wrong)
                assert "CANARY" not in f"{error}{error.field}"
            else:
                # None is the same as leaving an optional field out.
                optional = wrong is None and not type(message).model_fields[field].is_required()
                assert optional or type(wrong) is type(good), (field, wrong)
                assert json.loads(after.encode()).get(field) == wrong


@pytest.mark.parametrize(("decode", "message"), ALL, ids=name)
def test_a_field_that_occurs_twice_is_refused(decode: Any, message: ControlMessage) -> None:
    for field, value in fields(message).items():
        text = message.encode()[:-1] + f",{json.dumps(field)}:{json.dumps(value)}}}"
        assert "twice" in str(refused(decode, text))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "1.0", "true", "false", '"1"', "-1"]
)
def test_an_integer_is_an_integer(number: str) -> None:
    for text in (f'{{"type":"acknowledge","through":{number}}}', f'{{"type":"registered","ref":{number}}}'):
        refused(decode_client_message if "through" in text else decode_relay_message, text)


@pytest.mark.parametrize("number", ["0", "1", '"true"', "null", "[]"])
def test_a_boolean_is_a_boolean(number: str) -> None:
    text = f'{{"type":"fetch","ref":1,"account_key":"{encode_base64url(KEY)}","take":{number}}}'
    assert refused(decode_client_message, text).field == "take"


@pytest.mark.parametrize(
    "type", ["", "HELLO", "hello ", "relay_hello\0", "control", None, 1, True, ["hello"], {}]
)
def test_an_unknown_type_is_refused(type: object) -> None:
    assert refused(decode_client_message, {**fields(CLIENT[0]), "type": type}).field == "type"


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


def test_no_message_prints_a_token_or_a_capability() -> None:
    for message in (Attach(mailbox=KEY, token=ID), Watch(ref=1, capability=ID * 2)):
        assert repr(ID)[2:-1] not in f"{message!r}{message}".replace(repr(KEY), "")


def variants(text: str) -> list[str]:
    """Other texts that a lax decoder reads as the same 32 bytes."""
    stray = encode_base64url(bytes(32))[:-1]
    return [
        text + "=", text + "==", text + " ", " " + text, text + "\n", text[:20] + "\n" + text[20:],
        text.replace("-", "+").replace("_", "/") if set("-_") & set(text) else text + "+",
        *(stray + letter for letter in "BCDFGHP"), text + "A", text[:-1],
    ]  # fmt: skip


def test_padding_stray_bits_and_other_alphabets_are_refused() -> None:
    for key in (bytes(32), KEY, b"\xff\xef\xbe" * 10 + b"\xff\xff"):
        for text in variants(encode_base64url(key)):
            value = {**fields(CLIENT[2]), "device_key": text}
            assert refused(decode_client_message, value).field == "device_key"


@given(st.binary(max_size=100))
def test_base64url_round_trips(value: bytes) -> None:
    assert decode_base64url(encode_base64url(value)) == value
    assert "=" not in encode_base64url(value)


@given(st.text(max_size=12) | st.text("ABab-_+/=09", max_size=12))
@example("QQ==")
@example("QQ=")
@example("+/++")
@example("Q!==")
def test_every_text_is_base64url_of_one_value_or_refused(text: str) -> None:
    try:
        value = decode_base64url(text)
    except ValueError:
        return
    assert encode_base64url(value) == text


def test_messages_are_immutable() -> None:
    with pytest.raises(ValidationError):
        setattr(STOCK, "one_time", 5)  # noqa: B010 mypy would see an assignment


scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([encode_base64url(KEY), "AAAA"])
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(ALL), st.data())
def test_a_canary_in_any_place_never_comes_back_in_the_error(
    pair: tuple[Any, ControlMessage], data: st.DataObject
) -> None:
    decode, message = pair
    value = fields(message)
    canary = "CANARY" + data.draw(st.text(max_size=8))
    place = data.draw(st.sampled_from([*value, "new"]))
    planted: Any = data.draw(
        st.sampled_from([canary, [canary], {canary: canary}, {"type": canary}, [[canary]]])
    )
    value[canary if place == "new" else place] = planted
    try:
        decode(json.dumps(value))
    except WireError as error:
        assert "CANARY" not in str(error)
        assert "CANARY" not in (error.field or "")
    else:
        assert place in ("origin", "message", "field", "prekeys", "device_list")  # where any text is right


@given(st.sampled_from(ALL), st.data())
def test_any_value_in_any_field_gives_a_message_that_encodes_to_itself_or_a_wire_error(
    pair: tuple[Any, ControlMessage], data: st.DataObject
) -> None:
    decode, message = pair
    value = fields(message)
    for field in data.draw(st.lists(st.sampled_from([*value, "more"]), max_size=3)):
        value[field] = data.draw(values)
    try:
        after = decode(json.dumps(value))
    except WireError:
        return
    assert json.loads(after.encode()) == {key: item for key, item in value.items() if item is not None}


@given(st.text(max_size=100))
def test_any_text_gives_a_wire_error(text: str) -> None:
    for decode in (decode_client_message, decode_relay_message):
        refused(decode, text)


@pytest.mark.parametrize("text", ["\x1b[31mred", "line\nline", "bell\x07", "\u202ereversed", "caf\u00e9"])
def test_what_a_relay_says_to_people_cannot_move_their_cursor(text: str) -> None:
    line = json.dumps({"type": "error", "code": "QUOTA", "message": text})
    with pytest.raises(WireError):
        decode_relay_message(line)
    line = json.dumps({"type": "refused", "frame": "A" * 22, "code": "QUOTA", "message": text})
    with pytest.raises(WireError):
        decode_relay_message(line)


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
