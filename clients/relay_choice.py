"""Which relay a profile uses, and which certificate authority it believes there besides the system's.

Owns how both are changed later. An account that has been at its relay stays there, because others have its
address; a wrong certificate authority can be replaced at any time.
"""

import re
import ssl
from pathlib import Path
from typing import Final

from clients.errors import UsageError
from clients.profile import Profile
from clients.standing import has_published, keep_invite, last_refusal
from clients.store.pins import Pins
from wire.addresses import RelayUrl

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def read_authority(file: Path) -> bytes:
    """The certificates of a PEM file, without what stands between them. Raises UsageError."""
    try:
        found = b"\n".join(_CERTIFICATE.findall(file.read_bytes())) + b"\n"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found.decode("ascii"))
    except OSError as error:
        if not isinstance(error, ssl.SSLError):
            raise UsageError(f"The file {file} cannot be read: {error.strerror}.") from None
    except ValueError:
        pass
    else:
        return found
    raise UsageError(
        f"The file {file} holds no certificate. Name the relay's authority in PEM, a file with a line "
        "-----BEGIN CERTIFICATE-----."
    )


def was_registered(profile: Profile) -> bool:
    """Whether the account may be known at its relay: it was met and took it, or keys were published there."""
    if has_published(profile.store):
        return True
    return Pins(profile.store).get(profile.relay) is not None and last_refusal(profile.store) is None


def change(
    profile: Profile, relay: RelayUrl | None, authority: bytes | None, *, has_invite: bool = False
) -> str:
    """Use another relay, another authority, or both; returns what has changed, in a sentence.

    A profile that has never been at its relay takes whatever it is given, as if it were made now. Raises
    UsageError for one that has, unless there is only an authority to replace. With `has_invite` the profile
    was opened with one, which it has kept unless it is registered.
    """
    store = profile.store
    if has_invite and authority is None and relay in (None, profile.relay):
        if has_published(store):
            raise UsageError(
                f"The profile in {profile.path} is registered at its relay, and needs no invite."
            )
        return f"The profile in {profile.path} brings this invite to {profile.relay}."
    if not was_registered(profile):
        relay = relay or profile.relay
        with store.transaction() as db:
            if relay != profile.relay and not has_invite:
                keep_invite(store, None)  # it was for the other relay
            store.set_meta("relay", relay.text.encode())
            if authority is None:
                db.execute("DELETE FROM meta WHERE name = 'ca'")
            else:
                store.set_meta("ca", authority)
        is_new, profile.relay = relay != profile.relay, relay
        where = f"uses {relay} now" if is_new else f"still uses {relay}"
        return f"The profile in {profile.path} was never registered. Same account, it {where}."
    if relay is not None and relay != profile.relay:
        raise UsageError(
            f"The profile in {profile.path} is registered at {profile.relay}, and its address is there. "
            "For another relay, make another profile with --profile NAME."
        )
    if authority is None:
        raise UsageError(
            f"There is a profile already in {profile.path}. Use it, or choose another --profile."
        )
    with store.transaction():
        store.set_meta("ca", authority)
    return f"The certificate authority of {profile.relay} is replaced."
