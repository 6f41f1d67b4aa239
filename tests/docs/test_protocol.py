"""docs/protocol.md equals the program: its examples, numbers and codes cannot rot."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from keys.chain import OVERHEAD
from keys.content import CONTENT_HEADER, Extension, Kind, list_extension
from keys.handshake import HEADER_SIZE
from keys.identities import verify_hello, verify_welcome
from keys.ratchet import HEADER, MESSAGE_OVERHEAD
from keys.seal import INNER_MAX, InnerType
from keys.seal import OVERHEAD as SEAL_OVERHEAD
from relay.answers import CLOSE_CODES
from relay.auth import check_deletion, check_login
from relay.config import Config
from relay.lanes import FOR_NOW
from relay.patience import KEPT_COUNTS, REFUSED_MAX
from relay.states import TRANSITIONS, State
from tests.docs.control_examples import examples, shortened
from wire import control, frames, limits
from wire.addresses import BARE, PREFIX, WITH_TOKEN, Address
from wire.binary import label
from wire.device_lists import ENTRY_SIZE, LIST_MAX
from wire.errors import CloseCode, ErrorCode
from wire.login import Greeting, Mode
from wire.prekeys import KEY_SIZE, PREKEY_MAX, PrekeyKind

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def section(number: int) -> str:
    start = TEXT.index(f"\n## {number}. ")
    end = TEXT.find(f"\n## {number + 1}. ")
    return TEXT[start : end if end > 0 else len(TEXT)]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, headings and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip() for cell in cells] for cells in split if not set("".join(cells)) <= set("-: ")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def plain(text: str) -> str:
    """The text as one line, so that a sentence is found wherever it breaks."""
    return " ".join(text.split())


# --- control messages ---


def test_the_examples_are_what_the_program_writes() -> None:
    shown = re.findall(r"^\{.*\}$", section(4), re.MULTILINE)
    assert shown == [shortened(message.encode()) for message in examples()]


def test_every_message_has_an_example_that_is_read_back() -> None:
    said = {"hello", "login", "register", "publish", "allow", "appear", "pull", "acknowledge", "fetch"}
    said |= {"attach", "checkpoint", "watch", "export", "delete"}
    seen = set()
    for message in examples():
        text = message.encode()
        name = json.loads(text)["type"]
        decode = control.decode_client_message if name in said else control.decode_relay_message
        assert decode(text) == message
        seen.add(name)
    models = {model.model_fields["type"].default for model in control.ControlMessage.__subclasses__()
              if "type" in model.model_fields}  # fmt: skip
    assert seen == models


def test_the_signatures_of_the_examples_hold() -> None:
    by_type: dict[type[Any], Any] = {type(message): message for message in examples()}
    wish = by_type[control.Delete]
    hello, answer = by_type[control.Hello], by_type[control.RelayHello]
    login, welcome = by_type[control.Login], by_type[control.Welcome]
    met = Greeting(Mode(hello.mode), hello.origin, answer.relay_key, answer.nonce, hello.nonce, answer.time)
    assert verify_hello(met, answer.signature)
    check_login(met, login.device_key, login.signature)
    login_hash = met.login_hash(login.device_key, login.signature)
    check_deletion(wish.account_key, login_hash, wish.signature)
    assert verify_welcome(met, login.device_key, login.signature, welcome.signature)


def test_the_table_of_messages_names_every_field() -> None:
    table = {quoted(row[1])[0]: row for row in rows(section(4)) if row[0] in ("client", "relay")}
    whole = {control.OfferedDevice: table["bundle"][2], control.AllowedToken: table["allow"][2]}
    for model in control.ControlMessage.__subclasses__():
        if "held" in model.model_fields:  # as the next test says
            continue
        if "type" not in model.model_fields:  # a part of another message
            assert set(model.model_fields) <= set(quoted(whole[model]))
            continue
        row = table.pop(model.model_fields["type"].default)
        told = [name for name in quoted(row[2]) if name != "stock" or "stock" in model.model_fields]
        wanted = set(model.model_fields) - {"type"}
        assert wanted <= set(told), row[1]
        optional = {name for name, field in model.model_fields.items() if not field.is_required()} - {"type"}
        assert {name for name in wanted if f"`{name}`?" in row[2]} == optional, row[1]
    assert not table


def test_the_table_of_what_is_held() -> None:
    table = {
        quoted(row[0])[0]: row[1] for row in rows(section(8)) if row[0].startswith("`") and len(row) == 2
    }
    models = {m.model_fields["held"].default: m for m in control.ControlMessage.__subclasses__()
              if "held" in m.model_fields}  # fmt: skip
    assert table.keys() == models.keys()
    for name, model in models.items():
        assert set(quoted(table[name])) == set(model.model_fields) - {"held"}, name
        optional = {name for name, field in model.model_fields.items() if not field.is_required()} - {"held"}
        assert {field for field in model.model_fields if f"`{field}`?" in table[name]} == optional, name


def test_the_table_of_states() -> None:
    told = {row[0].split(" (")[0]: set(quoted(row[1])) for row in rows(section(3))[1:]}
    for state in (State.GREETED, State.DEVICE, State.DELIVERING):
        assert told[state.value] == set(TRANSITIONS[state])
    assert told["new"] == {"hello"}
    assert told["submit"] | {"put"} == set(TRANSITIONS[State.SUBMIT])
    assert "binary PUT" in section(3)


# --- numbers ---


def value_of(name: str) -> object:
    module, _, constant = name.rpartition(".")
    return getattr(importlib.import_module(module or "wire.limits"), constant)


def test_the_limits_are_those_of_the_code() -> None:
    table = {quoted(row[0])[0]: row[1] for row in rows(section(16))[1:]}
    public = {name for name in vars(limits) if name.isupper()}
    assert public <= set(table), "a limit without a line"
    for name, told in table.items():
        numbers = [float(number.replace(",", "")) for number in told.split(", ")]
        value = value_of(name)
        assert numbers == (list(value) if isinstance(value, tuple) else [value]), name


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (1, f"`label(hello)` is {len(label('hello'))} bytes"),
        (2, f"{len(Address(bytes(32)).text)} characters in all, 4 spare bits"),
        (2, f"{len(Address(bytes(32), token=bytes(16)).text)} characters in all, 1 spare bit"),
        (8, f"{limits.MAILBOX_FRAMES:,} frames and {limits.MAILBOX_BYTES >> 20} MiB per mailbox"),
        (8, f"{limits.REQUEST_FRAMES} requests of {limits.REQUEST_BYTES >> 20} MiB together"),
        (8, f"More than {limits.ATTACHED_MAX} mailboxes on one connection are TOO_LARGE"),
        (8, f"up to {limits.CAPABILITIES_MAX} secrets"),
        (8, f"more than {limits.WATCHES_MAX} refs are TOO_LARGE"),
        (8, f"for all together: {Config().buffered_bytes >> 20} MiB, the setting `buffered_bytes`"),
        (8, f"each frame that is kept counts {KEPT_COUNTS} back, and at {REFUSED_MAX} the connection"),
        (5, f"No WebSocket message may exceed {value_of('relay.websocket.protocol.MESSAGE_MAX'):,} bytes"),
        (7, f"{13 + 32 + 64} bytes for X25519, {PREKEY_MAX} for ML-KEM-768"),
        (9, f"handshake header, {HEADER_SIZE} bytes"),
        (9, f"of X's device, {32 + 8 + 32 + ENTRY_SIZE} bytes"),
        (11, f"the envelope's size less {SEAL_OVERHEAD}, a ratchet message takes {MESSAGE_OVERHEAD}"),
        (11, f"a content {CONTENT_HEADER}, and each message"),
        (11, f"each message carries the {3 + len(list_extension(1, bytes(32))[1])}-byte extension"),
    ],
)
def test_a_number_in_the_text(number: int, sentence: str) -> None:
    assert sentence in plain(section(number))


def test_the_rates_are_those_of_the_settings() -> None:
    table = {quoted(row[0])[0]: quoted(row[1])[0] for row in rows(section(8))[1:] if len(row) == 5}
    assert table == {name: str(rate) for name, rate in Config().rates.items()}


def test_what_fits_an_envelope() -> None:
    overhead = SEAL_OVERHEAD + MESSAGE_OVERHEAD + CONTENT_HEADER + 3 + 40
    sealing = 3 + 13 + 32 + 64
    opening = 4 + 82 + ENTRY_SIZE + 64 + HEADER_SIZE
    text = plain(section(11))
    assert (
        f"A text of {1024 - overhead} bytes fits the first envelope ({1024 - overhead - sealing} in one"
        in text
    )
    assert f"An opening takes {opening} more" in text
    assert f"and {sealing} for its sealing key" in text
    first, second = (size - overhead - sealing - opening for size in (2048, 4096))
    assert f"{first} bytes of text fit one of 2 KiB, {second} one of 4 KiB" in text
    assert limits.TEXT_MAX + overhead + sealing <= limits.ENVELOPE_MAX
    assert INNER_MAX == limits.ENVELOPE_MAX - SEAL_OVERHEAD


def test_sizes_in_the_tables() -> None:
    assert (frames.PUT_HEADER, frames.DELIVER_HEADER) == (50, 59)
    assert [row[0] for row in rows(section(5))[1:]] == ["0", "1", "2", "18", "50", "58", "59"]
    assert f"up to {LIST_MAX} bytes" in section(4)
    assert (HEADER, OVERHEAD) == (40, 16 + 32 + 16)
    assert re.search(r"\| 88 \| +\| AEAD", section(10))
    assert (PREFIX, BARE, WITH_TOKEN) == ("bp", 0, 1)
    assert f"array of 0 to {limits.TOKENS_MAX} objects" in section(4)
    assert f"array of 0 to {limits.CAPABILITIES_MAX} presence secrets" in section(4)
    assert f"`token` {limits.TOKEN}" in section(4)
    assert f"`capability` {limits.HASH}" in section(4)


# --- kinds ---


def test_kinds_and_extensions() -> None:
    told = [(int(row[0]), row[1]) for row in rows(section(12)) if row[0].isdigit() and row[1].isupper()]
    named = [(int(kind), kind.name) for kind in Kind] + [(int(item), item.name) for item in Extension]
    assert sorted(told) == sorted(named)


def test_prekey_kinds_and_inner_types() -> None:
    text = plain(section(7))
    assert "1 signed, 2 sealing, 3 one-time (all X25519); 4 last-resort KEM, 5 one-time KEM" in text
    assert {int(kind) for kind in PrekeyKind if KEY_SIZE[kind] == 1184} == {4, 5}
    assert [int(kind) for kind in PrekeyKind] == [1, 2, 3, 4, 5]
    assert "Type 1 is a ratchet message. Type 2 is an *opening*" in plain(section(11))
    assert (InnerType.MESSAGE, InnerType.OPENING) == (1, 2)


# --- codes ---


def test_error_codes_and_what_they_close_with() -> None:
    table = {quoted(row[0])[0]: int(row[2]) for row in rows(section(17)) if row[0].startswith("`")}
    assert set(table) == set(ErrorCode)
    for code, close in table.items():
        assert close == CLOSE_CODES.get(ErrorCode(code), CloseCode.BAD_REQUEST), code


def test_close_codes() -> None:
    table = {int(row[0]): quoted(row[1])[0] for row in rows(section(17)) if row[0].isdigit()}
    assert table == {int(code): code.name for code in CloseCode}


def test_refusals_for_now() -> None:
    sentence = re.search(r"\*\*go back\.\*\* (.*?) are refusals \*for now\*", plain(section(8)))
    assert sentence is not None
    assert set(re.findall(r"[A-Z_]+", sentence[1])) == set(FOR_NOW)
