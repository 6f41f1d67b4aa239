"""wire.invites: one text for an invite, with a checksum, and the hash that a relay keeps."""

from hashlib import sha256

import pytest

from wire import bech32m
from wire.errors import ErrorCode, WireError
from wire.invites import PREFIX, invite_hash, invite_text, parse_invite

INVITE = bytes(range(16))
TEXT = invite_text(INVITE)


def test_an_invite_is_42_characters_and_is_read_with_space_around_it() -> None:
    assert TEXT.startswith("bpinvite1q")
    assert len(TEXT) == 42
    for text in (TEXT, f"  {TEXT}\n", TEXT.upper()):
        assert parse_invite(text) == INVITE


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_an_invite_of_another_size_is_a_mistake_of_ours(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        invite_text(bytes(size))


@pytest.mark.parametrize("version", [1, 2, 31])
def test_a_newer_version_says_upgrade(version: int) -> None:
    with pytest.raises(WireError, match="upgrade") as refused:
        parse_invite(bech32m.encode(PREFIX, version, INVITE))
    assert refused.value.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "q", TEXT[:-1] + "b", "CANARY" + TEXT, TEXT[2:]])
def test_what_is_no_invite_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(WireError, match="copy all of it") as refused:
        parse_invite(text)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert "CANARY" not in str(refused.value)


def test_the_hash_is_of_label_and_invite() -> None:
    assert invite_hash(INVITE) == sha256(b"blindpost/v1/invite\0" + INVITE).digest()
