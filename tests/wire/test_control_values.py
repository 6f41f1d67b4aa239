"""wire.control: one text for each binary value, and any value in any field of any message."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.control_messages import ALL, CLIENT, KEY, fields, refused
from wire.control import ControlMessage, decode_client_message, decode_relay_message
from wire.control_values import decode_base64url, encode_base64url
from wire.errors import WireError


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
