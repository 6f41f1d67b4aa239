"""wire.addresses: one canonical text, errors for people, no relay text that hides anything."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import bech32m
from wire.addresses import PREFIX, Address, RelayUrl
from wire.errors import ErrorCode, WireError
from wire.limits import RELAY_TEXT_MAX

KEY = bytes(range(32))
TEXT = Address(KEY).text
TOKEN = bytes(range(100, 116))


@pytest.mark.parametrize(
    ("text", "canonical", "origin"),
    [
        ("example.org", "example.org", "wss://example.org"),
        ("EXAMPLE.org", "example.org", "wss://example.org"),
        ("example.org:443", "example.org", "wss://example.org"),
        ("example.org:8443/a/b", "example.org:8443/a/b", "wss://example.org:8443/a/b"),
        ("example.org/", "example.org", "wss://example.org"),
        ("https://example.org", "example.org", "wss://example.org"),
        ("wss://example.org", "example.org", "wss://example.org"),
        ("http://example.org", "ws://example.org", "ws://example.org"),
        ("ws://example.org:8080", "ws://example.org:8080", "ws://example.org:8080"),
        ("ws://example.org:443", "ws://example.org:443", "ws://example.org:443"),
        ("localhost:8080", "localhost:8080", "ws://localhost:8080"),
        ("127.0.0.1", "127.0.0.1", "ws://127.0.0.1"),
        ("[::1]:8080", "[::1]:8080", "ws://[::1]:8080"),
        ("wss://localhost", "wss://localhost", "wss://localhost"),
        ("[2001:db8::1]/x", "[2001:db8::1]/x", "wss://[2001:db8::1]/x"),
        ("127.0.0.1.example.org", "127.0.0.1.example.org", "wss://127.0.0.1.example.org"),
        ("localhost.example.org", "localhost.example.org", "wss://localhost.example.org"),
    ],
)
def test_a_relay_has_one_canonical_text_and_encrypts_off_loopback(
    text: str, canonical: str, origin: str
) -> None:
    relay = RelayUrl.parse(text)
    assert (relay.text, relay.origin, str(relay)) == (canonical, origin, canonical)
    assert RelayUrl.parse(canonical) == relay == RelayUrl.parse(origin)
    assert relay.websocket == origin + "/v1/ws"


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "/path", "://", "wss://", "ftp://example.org", "javascript:alert(1)",
        "file:///etc/passwd", "user@example.org", "user:pw@example.org",
        "example.org?x=1", "example.org#x",
        "example.org?", "example.org#",
        "example.org:0", "example.org:65536", "example.org:-1", "example.org:x", "example.org:1e3",
        "exa mple.org", "-example.org", "example.org-", ".example.org",
        "exämple.org", "example.org\\@evil.org",
        "example.org/../x", "example.org/..", "example.org//x",
        "example.org/%2e%2e",
        "example.org/a b", "example.org/;x",
        "[::1", "::1", "[gg::1]", "[::1%eth0]", "[fe80::1%25eth0]",
        "example.org/é", "\ud800", "example.org/\0",
    ],
)  # fmt: skip
def test_what_is_no_relay_is_refused(text: str) -> None:
    with pytest.raises(WireError) as caught:
        RelayUrl.parse(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_a_relay_text_is_at_most_200_characters() -> None:
    longest = "example.org/" + "a" * (RELAY_TEXT_MAX - 12)
    assert RelayUrl.parse(longest).text == longest
    with pytest.raises(WireError, match="longer than 200"):
        RelayUrl.parse(longest + "a")
    # The scheme is none of them.
    assert RelayUrl.parse("https://" + longest).text == longest
    with pytest.raises(WireError, match="longer than 200"):
        RelayUrl.parse("https://" + longest + "a")


def test_an_address_begins_with_its_prefix_and_holds_the_key() -> None:
    assert TEXT.startswith("bp1q")
    assert len(TEXT) == 3 + 1 + 52 + 6
    assert Address.parse(TEXT) == Address(KEY)


def test_upper_case_as_in_a_qr_code_is_the_same_address() -> None:
    assert Address.parse(TEXT.upper()) == Address(KEY)


def test_surrounding_space_is_no_part_of_an_address() -> None:
    assert Address.parse(f"  {TEXT}@example.org\n") == Address(KEY, RelayUrl.parse("example.org"))


def test_every_single_character_substitution_is_caught() -> None:
    for at in range(len(TEXT)):
        for letter in string.ascii_lowercase + string.digits:
            if letter != TEXT[at]:
                with pytest.raises(WireError):
                    Address.parse(TEXT[:at] + letter + TEXT[at + 1 :])


def test_every_single_character_substitution_is_caught_in_an_address_with_a_token() -> None:
    text = Address(KEY, token=TOKEN).text
    for at in range(len(text)):
        for letter in string.ascii_lowercase + string.digits:
            if letter != text[at]:
                with pytest.raises(WireError):
                    Address.parse(text[:at] + letter + text[at + 1 :])


def test_a_newer_version_says_upgrade() -> None:
    for version in (2, 31):
        for data in (KEY, KEY + TOKEN):
            with pytest.raises(WireError, match="upgrade"):
                Address.parse(bech32m.encode(PREFIX, version, data))


# --- with a token ---


def test_an_address_with_a_token_is_of_version_1_and_holds_both() -> None:
    address = Address(KEY, RelayUrl.parse("example.org"), TOKEN)
    text = address.text
    assert text.startswith("bp1p")
    assert len(text.partition("@")[0]) == 3 + 1 + 77 + 6
    assert bech32m.decode(PREFIX, text.partition("@")[0], 48) == (1, KEY + TOKEN)
    parsed = Address.parse(text)
    assert (parsed, parsed.token) == (address, TOKEN)
    assert Address.parse(text.upper().replace("EXAMPLE.ORG", "example.org")) == address
    assert address.bare == Address(KEY, RelayUrl.parse("example.org"))
    assert address.bare.bare == address.bare
    assert address.bare.text == f"{TEXT}@example.org"


def test_version_and_length_must_fit_each_other() -> None:
    for version, data in ((0, KEY + TOKEN), (1, KEY)):
        with pytest.raises(WireError, match="does not fit"):
            Address.parse(bech32m.encode(PREFIX, version, data))
    for size in (0, 15, 17, 32):
        with pytest.raises(WireError):
            Address.parse(bech32m.encode(PREFIX, 1, KEY + bytes(size)))
    text = Address(KEY, token=TOKEN).text
    for broken in (text[:-1], text + "q", TEXT + text[3:], text[:62]):
        with pytest.raises(WireError):
            Address.parse(broken)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_token_of_another_size_is_a_mistake_of_ours(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Address(KEY, token=bytes(size))


def test_the_token_is_not_printed_by_accident() -> None:
    assert "token" not in repr(Address(KEY, token=TOKEN))


def test_the_longest_address_with_a_token_is_read() -> None:
    relay = RelayUrl.parse("example.org" + "/" + "a" * 188)
    assert len(relay.text) == 200
    address = Address(KEY, relay, TOKEN)
    assert Address.parse(address.text) == address
    longest = f"{Address(KEY, token=TOKEN).text}@https://{relay.text}"
    assert len(longest) == 87 + 1 + 8 + 200
    assert Address.parse(longest) == address
    with pytest.raises(WireError, match="address: too long"):
        Address.parse(longest + "a")


@pytest.mark.parametrize(
    "text", ["", "@", "@example.org", TEXT + "@", TEXT + "@a@b", TEXT + "@@b", TEXT[:-1] + "@b"]
)
def test_broken_addresses_are_refused(text: str) -> None:
    with pytest.raises(WireError) as caught:
        Address.parse(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_an_endless_address_is_refused_unread() -> None:
    with pytest.raises(WireError, match="too long"):
        Address.parse("bp1" + "q" * 10_000_000)


@given(st.text(min_size=1, max_size=20))
def test_an_error_never_quotes_the_input(junk: str) -> None:
    for text in (
        f"{TEXT}@CANARY{junk}?",
        f"bp1CANARY{junk}",
        f"CANARY{junk}",
        f"{TEXT}@http://CANARY:CANARY",
    ):
        with pytest.raises(WireError) as caught:
            Address.parse(text)
        assert "CANARY" not in str(caught.value)
        assert caught.value.field is None


labels = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["localhost", "127.0.0.1", "[::1]", "[2001:db8::7]"]),
)
paths = st.lists(labels, max_size=3).map(lambda parts: "".join("/" + part for part in parts))
ports = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
schemes = st.sampled_from(["", "ws://", "wss://", "http://", "https://"])
relays = st.builds(lambda *parts: "".join(parts), schemes, hosts, ports, paths)


tokens = st.none() | st.binary(min_size=16, max_size=16)


@given(st.binary(min_size=32, max_size=32), st.none() | relays, tokens)
def test_canonical_text_round_trips(key: bytes, relay: str | None, token: bytes | None) -> None:
    address = Address(key, None if relay is None else RelayUrl.parse(relay), token)
    assert Address.parse(address.text) == address
    assert Address.parse(address.text).text == address.text == str(address)


@given(st.text(max_size=60) | st.text(string.printable, max_size=60) | relays)
def test_any_text_gives_a_relay_or_a_wire_error(text: str) -> None:
    try:
        relay = RelayUrl.parse(text)
    except WireError:
        return
    assert RelayUrl.parse(relay.text) == relay == RelayUrl.parse(relay.origin)


@given(st.text(max_size=80) | st.text(max_size=20).map(lambda tail: TEXT + tail))
def test_any_text_gives_an_address_or_a_wire_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except WireError:
        return
    assert Address.parse(address.text) == address


@pytest.mark.parametrize(
    "text",
    [
        "exa\nmple.org",
        "exa\tmple.org",
        " example.org",
        "\u212aelvin.org",
        "[v1.abc]",
        "[::1%eth0]",
        "::1",
        "a/./b",
    ],
)
def test_no_relay_text_is_read_as_another(text: str) -> None:
    with pytest.raises(WireError):
        RelayUrl.parse(text)


def test_only_real_loopback_addresses_go_without_tls_by_default() -> None:
    assert RelayUrl.parse("127.0.0.2:80").scheme == "ws"
    assert RelayUrl.parse("127.999.0.1:80").scheme == "wss"


def test_a_letter_that_only_looks_like_one_of_the_alphabet_is_refused() -> None:
    text = Address(bytes(range(32))).text.upper()
    assert "K" in text
    with pytest.raises(WireError):
        Address.parse(text.replace("K", "\u212a"))
