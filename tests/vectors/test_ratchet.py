"""ratchet.json: steps, bodies, and two conversations, through our ratchet and through a second one."""

from collections.abc import Callable
from typing import Any

import pytest

from keys import primitives
from keys.chain import ChainKey, MessageKey, RootKey
from keys.errors import DecryptError
from keys.ratchet import Ratchet
from tests.vectors import independent
from tests.vectors.reading import NOW, Drawn, cases, fails, load, unhex

FILE = load("ratchet")
SECRETS = unhex(FILE["root_key"]), unhex(FILE["associated"])
SIGNED = unhex(FILE["signed_private"])


def test_chains() -> None:
    chain = FILE["chain"]
    root, sending = RootKey(unhex(chain["root"])).advance(unhex(chain["shared"]))
    after, key = ChainKey(unhex(chain["chain"]), 0).advance()
    assert (root.value.hex(), sending.value.hex()) == (chain["next_root"], chain["chain"])
    assert (after.value.hex(), key.value.hex()) == (chain["next_chain"], chain["message_key"])
    out = independent.derive(unhex(chain["root"]), unhex(chain["shared"]), independent.named("dr/root"), 64)
    assert out.hex() == chain["next_root"] + chain["chain"]


def test_message_keys() -> None:
    item = FILE["message_key"]
    key, associated, plaintext = (unhex(item[name]) for name in ("message_key", "associated", "plaintext"))
    out = independent.derive(unhex(item["fresh"]), key, independent.named("dr/msg"), 88).hex()
    assert out == item["key"] + item["nonce"] + item["commitment"]
    assert item["body"].startswith(item["fresh"] + item["commitment"])
    assert MessageKey(key).encrypt(plaintext, associated, Drawn(item["fresh"])).hex() == item["body"]
    assert MessageKey(key).decrypt(unhex(item["body"]), associated) == plaintext
    assert independent.body(key, plaintext, associated, unhex(item["fresh"])).hex() == item["body"]


@pytest.mark.parametrize("item", cases(FILE["message_key"]["refused"]))
def test_bodies_that_do_not_open(item: dict[str, str]) -> None:
    right = FILE["message_key"]
    key = MessageKey(unhex(right["message_key"]))
    fails(item, lambda: key.decrypt(unhex(item["body"]), unhex(right["associated"])))


class Ours:
    """keys.ratchet with randomness from the file."""

    def __init__(self, state: Ratchet) -> None:
        self.state = state

    def encrypt(self, plaintext: bytes, random: str) -> bytes:
        drawn = Drawn(random)
        self.state, message = self.state.encrypt(plaintext, drawn)
        assert not drawn.left
        return message

    def decrypt(self, message: bytes) -> bytes:
        self.state, plaintext = self.state.decrypt(message, NOW)
        return plaintext


class Second:
    """The ratchet of independent.py, likewise."""

    def __init__(self, side: independent.Side) -> None:
        self._side = side

    def encrypt(self, plaintext: bytes, random: str) -> bytes:
        return self._side.encrypt(plaintext, unhex(random))

    def decrypt(self, message: bytes) -> bytes:
        return self._side.decrypt(message)


Sides = dict[str, Ours | Second]


def ours() -> Sides:
    remote = primitives.dh_key(SIGNED)
    return {
        "initiator": Ours(Ratchet.initiate(*SECRETS, remote)),
        "acceptor": Ours(Ratchet.accept(*SECRETS, SIGNED)),
    }


def second() -> Sides:
    return {
        "initiator": Second(independent.Side(*SECRETS, b"", independent.public(SIGNED))),
        "acceptor": Second(independent.Side(*SECRETS, SIGNED, b"")),
    }


BOTH = pytest.mark.parametrize("make", [ours, second])


def write(sides: Sides, item: dict[str, str]) -> None:
    assert sides[item["from"]].encrypt(unhex(item["plaintext"]), item["random"]).hex() == item["message"]


def read(sides: Sides, item: dict[str, str]) -> None:
    (reader,) = set(sides) - {item["from"]}
    assert sides[reader].decrypt(unhex(item["message"])).hex() == item["plaintext"]


def after_the_conversation(make: Callable[[], Sides]) -> Sides:
    sides = make()
    for item in FILE["conversation"]:
        write(sides, item)
        read(sides, item)
    return sides


@BOTH
def test_a_conversation_in_order(make: Callable[[], Sides]) -> None:
    assert after_the_conversation(make)


@pytest.mark.parametrize("item", cases(FILE["refused_by_the_acceptor"]))
def test_messages_that_are_refused(item: dict[str, str]) -> None:
    acceptor = after_the_conversation(ours)["acceptor"]
    fails(item, lambda: acceptor.decrypt(unhex(item["message"])))


@BOTH
def test_messages_that_arrive_out_of_order(make: Callable[[], Sides]) -> None:
    sides, file = make(), FILE["out_of_order"]
    for what, number in file["order"]:
        {"write": write, "read": read}[what](sides, file["messages"][number])
    for number in file["late"]:
        read(sides, file["messages"][number])
    assert sorted([*file["late"], *file["refused_again"]]) == list(range(len(file["messages"])))


def test_what_arrived_out_of_order_opens_once() -> None:
    sides, file = ours(), FILE["out_of_order"]
    seen: list[dict[str, Any]] = []
    for what, number in file["order"]:
        item = file["messages"][number]
        {"write": write, "read": read}[what](sides, item)
        seen += [item] if what == "read" else []
        for old in seen:
            (reader,) = set(sides) - {old["from"]}
            with pytest.raises(DecryptError):
                sides[reader].decrypt(unhex(old["message"]))
    assert len(seen) == len(file["refused_again"])
