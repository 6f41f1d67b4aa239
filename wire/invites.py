"""Invites: what an operator gives to a friend, so that a relay that is not open lets a new account in.

    bpinvite1q<26 characters><6 checksum>

Owns the text form and the hash. The relay keeps only the hash, so that its database lets nobody in. Knows
nothing of how often or how long an invite holds.
"""

from hashlib import sha256
from typing import Final

from wire import bech32m
from wire.binary import label
from wire.errors import ErrorCode, WireError
from wire.limits import INVITE

PREFIX: Final = "bpinvite"
_VERSION: Final = 0
_INVITE: Final = label("invite")


def invite_text(invite: bytes) -> str:
    """An invite, 16 bytes, as text that can be pasted: 42 characters, the last six a checksum."""
    if len(invite) != INVITE:
        raise ValueError(f"an invite has {INVITE} bytes")
    return bech32m.encode(PREFIX, _VERSION, invite)


def parse_invite(text: str) -> bytes:
    """The 16 bytes of an invite. Raises WireError(BAD_REQUEST) with a sentence for people."""
    try:
        version, invite = bech32m.decode(PREFIX, text.strip(), INVITE)
    except ValueError as error:
        raise WireError(
            ErrorCode.BAD_REQUEST, f"invite: {error}; copy all of it, as the relay's operator gave it"
        ) from error
    if version != _VERSION:
        raise WireError(
            ErrorCode.BAD_REQUEST, "invite: made by a newer version of blindpost; upgrade to use it"
        )
    return invite


def invite_hash(invite: bytes) -> bytes:
    """SHA-256(label `invite` || invite, 16 bytes): 32 bytes."""
    return sha256(_INVITE + invite).digest()
