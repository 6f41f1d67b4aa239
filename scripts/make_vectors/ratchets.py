"""The ratchet: single steps of each chain, a conversation in order, and one that arrives out of order."""

from keys.chain import FRESH, ChainKey, RootKey
from keys.primitives import AEAD_NONCE, KEY, dh_key, hkdf
from keys.ratchet import Ratchet
from scripts.make_vectors.people import NOW, UNDECRYPTABLE, Draws, File, flipped, named, refused
from wire.binary import label

SIDES = ("initiator", "acceptor")
SIGNED = named("ratchet signed prekey")
SECRETS = named("ratchet root"), named("ratchet associated")

# Who writes which message, and which one arrives, in order. Messages 1, 4 and 8 arrive behind all others.
WRITTEN_BY = (0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1)
ORDER = (
    *(("write", 0), ("write", 1), ("write", 2), ("write", 3), ("write", 4)),
    *(("read", 2), ("read", 0), ("write", 5), ("write", 6), ("read", 6)),
    *(("write", 7), ("write", 8), ("write", 9), ("read", 9), ("read", 3)),
    *(("read", 5), ("read", 7), ("write", 10), ("read", 10)),
)


def both_sides() -> list[Ratchet]:
    """Initiator and acceptor of one session."""
    return [Ratchet.initiate(*SECRETS, dh_key(SIGNED)), Ratchet.accept(*SECRETS, SIGNED)]


def ratchets() -> File:
    """All of them."""
    conversation = in_order()
    last = bytes.fromhex(conversation[-1]["message"])
    broken = {
        "the fifth message again": last,
        "ratchet key changed": flipped(last, 0),
        "previous length changed": flipped(last, 35),
        "number changed": flipped(last, 39),
        "fresh bytes changed": flipped(last, 40),
        "commitment changed": flipped(last, 60),
        "tag changed": flipped(last, len(last) - 1),
        "a jump of 1001": last[:36] + (1002).to_bytes(4, "big") + last[40:],
        "a new ratchet key of small order": bytes(32) + last[32:],
        "truncated": last[:103],
    }
    return {
        "chain": chain(),
        "message_key": message_key(),
        "root_key": SECRETS[0].hex(),
        "associated": SECRETS[1].hex(),
        "signed_private": SIGNED.hex(),
        "conversation": conversation,
        "refused_by_the_acceptor": [
            refused(UNDECRYPTABLE, why, message=message) for why, message in broken.items()
        ],
        "out_of_order": out_of_order(),
    }


def chain() -> File:
    """One step of the root chain, and one of the chain that it gives."""
    root, first = RootKey(named("root")).advance(named("shared"))
    after, key = first.advance()
    return {
        "root": named("root").hex(),
        "shared": named("shared").hex(),
        "next_root": root.value.hex(),
        "chain": first.value.hex(),
        "next_chain": after.value.hex(),
        "message_key": key.value.hex(),
    }


def message_key() -> File:
    """What becomes of a message key, and the body that it encrypts."""
    _, key = ChainKey(named("chain of a message"), 0).advance()
    draws, associated = Draws("body"), named("associated data of a body", 72)
    body = key.encrypt(b"plaintext", associated, draws)
    assert key.decrypt(body, associated) == b"plaintext"
    out = hkdf(salt=draws.drawn, ikm=key.value, info=label("dr/msg"), size=KEY + AEAD_NONCE + KEY)
    return {
        "message_key": key.value.hex(),
        "fresh": draws.drawn.hex(),
        "key": out[:KEY].hex(),
        "nonce": out[KEY : KEY + AEAD_NONCE].hex(),
        "commitment": out[KEY + AEAD_NONCE :].hex(),
        "associated": associated.hex(),
        "plaintext": b"plaintext".hex(),
        "body": body.hex(),
        "refused": [
            refused(UNDECRYPTABLE, "fresh bytes changed", body=flipped(body, 0)),
            refused(UNDECRYPTABLE, "commitment changed", body=flipped(body, FRESH)),
            refused(UNDECRYPTABLE, "ciphertext changed", body=flipped(body, FRESH + KEY)),
            refused(UNDECRYPTABLE, "shorter than its fixed parts", body=body[:63]),
        ],
    }


def in_order() -> list[File]:
    """A conversation of five messages: two there, two back, one there."""
    sides, conversation = both_sides(), []
    for number, sender in enumerate((0, 0, 1, 1, 0)):
        draws, plaintext = Draws(f"message {number}"), f"message {number}".encode()
        sides[sender], message = sides[sender].encrypt(plaintext, draws)
        sides[1 - sender], opened = sides[1 - sender].decrypt(message, NOW)
        assert opened == plaintext
        conversation.append({
            "from": SIDES[sender],
            "random": draws.drawn.hex(),
            "plaintext": plaintext.hex(),
            "message": message.hex(),
        })  # fmt: skip
    return conversation


def out_of_order() -> File:
    """Eleven messages over four sending chains that arrive late, swapped, or not at all."""
    sides, messages = both_sides(), []
    for what, number in ORDER:
        sender = WRITTEN_BY[number]
        if what == "write":
            draws, plaintext = Draws(f"out of order {number}"), f"out of order {number}".encode()
            sides[sender], message = sides[sender].encrypt(plaintext, draws)
            messages.append({
                "from": SIDES[sender],
                "random": draws.drawn.hex(),
                "plaintext": plaintext.hex(),
                "message": message.hex(),
            })  # fmt: skip
            continue
        message = bytes.fromhex(messages[number]["message"])
        sides[1 - sender], opened = sides[1 - sender].decrypt(message, NOW)
        assert opened.hex() == messages[number]["plaintext"]
    arrived = [number for what, number in ORDER if what == "read"]
    return {
        "messages": messages,
        "order": [list(step) for step in ORDER],
        "late": [number for number in range(len(messages)) if number not in arrived],
        "refused_again": arrived,
    }
