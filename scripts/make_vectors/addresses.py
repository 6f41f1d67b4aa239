"""Addresses and invites: account key, relay and token as text, and texts that are none."""

from scripts.make_vectors.people import MALFORMED, File, named, refused
from wire import bech32m
from wire.addresses import Address, RelayUrl
from wire.invites import invite_hash, invite_text

RELAYS = (
    None,
    "relay.example",
    "relay.example:8443/post",
    "localhost:8080",
    "ws://relay.example",
    "[2001:db8::1]",
)


def addresses() -> File:
    """Address texts, relay texts with their origins, invites."""
    token = named("address token", 16)
    keys = [bytes(32), b"\xff" * 32, *(named(f"address {n}") for n in range(4))]
    valid = [
        {
            "account_key": key.hex(),
            "relay": relay,
            "token": None if given is None else given.hex(),
            "text": Address(key, None if relay is None else RelayUrl.parse(relay), given).text,
        }
        for given in (None, token)
        for key, relay in zip(keys, RELAYS, strict=True)
    ]
    key_text, long_text = Address(keys[2]).text, Address(keys[2], token=token).text
    invalid = {
        "one letter changed": another_letter(key_text, -1),
        "one letter missing": key_text[:-1],
        "one letter of the token changed": another_letter(long_text, -8),
        "without the token's end": long_text[:62],
        "version 0 with a token": bech32m.encode("bp", 0, keys[2] + token),
        "version 1 without a token": bech32m.encode("bp", 1, keys[2]),
        "version 2": bech32m.encode("bp", 2, keys[2]),
        "mixed case": key_text[:30] + key_text[30:].upper(),
        "another prefix": "bq" + key_text[2:],
        "user in the relay": key_text + "@user@relay.example",
        "query in the relay": key_text + "@relay.example?x",
        "port zero": key_text + "@relay.example:0",
        "empty relay": key_text + "@",
    }
    return {
        "valid": valid,
        "invalid": [refused(MALFORMED, why, text=item) for why, item in invalid.items()],
        "relays": relays(),
        **invites(),
    }


def another_letter(text: str, at: int) -> str:
    """`text` with the letter at a place from its end changed."""
    return text[:at] + ("q" if text[at] != "q" else "p") + text[len(text) + at + 1 :]


def relays() -> list[File]:
    """What is typed, and what a login signs of it."""
    typed = (
        "relay.example",
        "RELAY.example:443/",
        "https://relay.example/post/",
        "http://relay.example",
        "localhost:80",
        "wss://127.0.0.1:8760",
        "[::1]:8760/a/b",
    )
    return [
        {"typed": text, "origin": (url := RelayUrl.parse(text)).origin, "websocket": url.websocket,
         "text": url.text}
        for text in typed
    ]  # fmt: skip


def invites() -> File:
    """Invites as text, and the hash that a relay keeps."""
    valid = [
        {"invite": value.hex(), "text": invite_text(value), "hash": invite_hash(value).hex()}
        for value in (bytes(16), named("invite", 16))
    ]
    text = str(valid[1]["text"])
    invalid = {
        "one letter changed": another_letter(text, -1),
        "one letter missing": text[:-1],
        "version 1": bech32m.encode("bpinvite", 1, named("invite", 16)),
        "an address's prefix": bech32m.encode("bp", 0, named("invite", 16)),
    }
    return {
        "invites": valid,
        "invalid_invites": [refused(MALFORMED, why, text=item) for why, item in invalid.items()],
    }
