"""wire.strict_json: one reading only, bounded in size and depth, one kind of error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import ErrorCode, WireError
from wire.limits import CONTROL_DEPTH, CONTROL_MAX
from wire.strict_json import parse


def refused(text: str) -> WireError:
    with pytest.raises(WireError) as caught:
        parse(text)
    return caught.value


def test_a_plain_object_is_read() -> None:
    text = '{"a": [1, -2, "x", true, null], "b": {"c": 18446744073709551616}}'
    assert parse(text) == {"a": [1, -2, "x", True, None], "b": {"c": 2**64}}


@pytest.mark.parametrize(
    "number",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1.0",
        "1.5",
        "1e3",
        "1E-3",
        "0.0",
        "9" * 5000,
        "1e400",
    ],
)
def test_only_whole_numbers_are_allowed(number: str) -> None:
    for text in (f'{{"a":{number}}}', f'{{"a":[{number}]}}', number):
        assert refused(text).code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":1}', '{"a":1,"a":2}', '{"b":{"a":1,"a":1}}', '[{"a":1,"a":1}]', '{"a":1,"\\u0061":2}'],
)
def test_a_key_that_occurs_twice_is_refused(text: str) -> None:
    assert "twice" in str(refused(text))


@pytest.mark.parametrize("text", ["[]", '"x"', "1", "true", "null", "[{}]"])
def test_what_is_no_object_is_refused(text: str) -> None:
    assert "not an object" in str(refused(text))


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "}", "{}{}", "{} x", '{"a":}', "{'a':1}", '{"a":1,}', "\ufeff{}", '{"a":01}', '{"a":+1}',
     '{"a":"\n"}', '{"a":"\x00"}', "{/**/}", '{"a":0x1}', '{"a":"\\x"}', '{"a":"\\u12"}', "\0", "\ud800"],
)  # fmt: skip
def test_what_is_not_json_is_refused(text: str) -> None:
    assert refused(text).code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(("left", "right"), [('{"a":', "}"), ("[", "]")])
def test_depth_is_bounded_exactly(left: str, right: str) -> None:
    inner = CONTROL_DEPTH - 1
    deepest = '{"x":' + left * inner + "1" + right * inner + "}"
    assert parse(deepest)
    # Brackets enough for a closer look make no difference.
    assert parse('{"y":[[],[],[]],' + deepest[1:])
    deeper = '{"x":' + left * (inner + 1) + "1" + right * (inner + 1) + "}"
    assert "deep" in str(refused(deeper))


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert parse('{"a":[' + ",".join(["[]"] * 100) + '], "b": "[[[[[[[[[[{{{{{{{{{{"}')


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_hundred_thousand_levels_end_in_an_error_and_not_in_the_interpreter(opening: str) -> None:
    assert refused('{"x":' + opening * 100_000).code is ErrorCode.TOO_LARGE
    depth = (CONTROL_MAX - 10) // len(opening)
    assert refused('{"x":' + opening * depth).code is ErrorCode.BAD_REQUEST


def test_64_kib_of_utf_8_is_the_limit() -> None:
    frame = len('{"a":""}')
    assert parse('{"a":"' + "x" * (CONTROL_MAX - frame) + '"}')
    assert refused('{"a":"' + "x" * (CONTROL_MAX - frame + 1) + '"}').code is ErrorCode.TOO_LARGE
    # Characters are fewer than bytes: the bytes count.
    wide = (CONTROL_MAX - frame) // 2
    assert parse('{"a":"' + "é" * wide + '"}')
    assert refused('{"a":"' + "é" * (wide + 1) + '"}').code is ErrorCode.TOO_LARGE


@given(st.text(max_size=200) | st.text(alphabet='{}[]":,0123456789eE+-.truefalsnu \\', max_size=60))
def test_any_text_gives_an_object_or_a_wire_error(text: str) -> None:
    try:
        value = parse(text)
    except WireError as error:
        assert error.code is ErrorCode.BAD_REQUEST
        return
    assert json.loads(text) == value


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), trees, max_size=4))
def test_what_json_writes_is_read_back(value: dict[str, object]) -> None:
    def depth(item: object) -> int:
        if isinstance(item, dict | list):
            return 1 + max((depth(x) for x in (item.values() if isinstance(item, dict) else item)), default=0)
        return 0

    if depth(value) <= CONTROL_DEPTH:
        assert parse(json.dumps(value)) == value
    else:
        assert refused(json.dumps(value)).code is ErrorCode.BAD_REQUEST
