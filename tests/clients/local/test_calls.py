"""Calls as strict models: what is wrong is named, what is said is never repeated."""

import re
from pathlib import Path
from typing import Any

import pytest

from clients.errors import UsageError
from clients.local.calls import CALLS, History, Send, Share, parse_call, ref_of


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "no call without a name"),
        ({"call": "sned", "ref": 1}, "no call 'sned'"),
        ({"call": 7, "ref": 1}, "no call without a name"),
        ({"call": "me"}, "lacks the field 'ref'"),
        ({"call": "me", "ref": 1.5}, "the field 'ref'"),
        ({"call": "me", "ref": True}, "the field 'ref'"),
        ({"call": "me", "ref": -1}, "the field 'ref'"),
        ({"call": "me", "ref": 1, "settle": float("inf")}, "the field 'settle'"),
        ({"call": "contact", "ref": 1}, "lacks the field 'name'"),
        ({"call": "contact", "ref": 1, "name": 5}, "the field 'name'"),
        ({"call": "contact", "ref": 1, "name": "x" * 401}, "the field 'name'"),
        ({"call": "contact", "ref": 1, "name": "x", "nmae": 1}, "has no field 'nmae'"),
        ({"call": "accept", "ref": 1, "name": "x", "as_name": "y"}, "has no field 'as_name'"),
        ({"call": "send", "ref": 1, "to": "bob"}, "give text or data"),
        ({"call": "send", "ref": 1, "to": "bob", "text": "a", "data": ""}, "give text or data"),
        ({"call": "send", "ref": 1, "to": "bob", "text": "a", "reply_to": "xyz"}, "the field 'reply_to'"),
        ({"call": "send", "ref": 1, "to": "bob", "text": "a", "key": ""}, "the field 'key'"),
        ({"call": "status", "ref": 1, "id": "0" * 32, "wait": "received"}, "the field 'wait'"),
        ({"call": "status", "ref": 1, "id": "0" * 32, "timeout": 1e9}, "the field 'timeout'"),
        ({"call": "history", "ref": 1, "name": "bob", "limit": 0}, "the field 'limit'"),
        ({"call": "typing", "ref": 1, "name": "bob", "on": "yes"}, "the field 'on'"),
        ({"call": "remove", "ref": 1, "name": "bob", "force": 1}, "the field 'force'"),
    ],
)
def test_what_is_off_is_named(value: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_call(value)
    assert said in str(caught.value)


def test_no_value_is_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_call({"call": "send", "ref": 1, "to": "bob", "text": ["the secret"]})
    assert "secret" not in str(caught.value)


def test_a_name_that_could_act_on_a_terminal_is_shown_harmless() -> None:
    for value in ({"call": "\x1b[2J" * 50, "ref": 1}, {"call": "me", "ref": 1, "\x1b[2J" * 50: 1}):
        with pytest.raises(UsageError) as caught:
            parse_call(value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500


def test_what_is_not_given_is_told_from_null() -> None:
    call = parse_call({"call": "share", "ref": 1, "presence": None})
    assert isinstance(call, Share)
    assert call.model_fields_set == {"ref", "presence"}


def test_defaults() -> None:
    history = parse_call({"call": "history", "ref": 1, "name": "bob"})
    assert isinstance(history, History)
    assert (history.limit, history.before) == (50, None)
    send = parse_call({"call": "send", "ref": 1, "to": "bob", "text": "", "timeout": 3})
    assert isinstance(send, Send)
    assert (send.text, send.timeout) == ("", 3.0)


def test_the_ref_of_what_is_no_call() -> None:
    assert ref_of({"ref": 7}) == 7
    assert [ref_of({"ref": ref}) for ref in (True, "7", -1, 2**53, None)] == [None] * 5
    assert ref_of({}) is None


def test_every_call_says_what_it_does() -> None:
    assert all(model.__doc__ for model in CALLS.values())
    assert len(CALLS) == 29


def test_every_call_and_argument_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "calls.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    documented = {name: row[2] for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert documented.keys() == CALLS.keys()
    for name, model in CALLS.items():
        fields = {field.alias or key for key, field in model.model_fields.items()} - {"ref"}
        assert set(re.findall(r"`(\w+)`", documented[name])) == fields, name
