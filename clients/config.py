"""Where the client reads its surroundings: once, at the entry point.

Owns the environment variables of `blindpost` and the platform's directories. Nothing else in clients/
reads the environment.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_data_path

from clients.errors import UsageError
from clients.route import Proxy
from keys.secrecy import Secret

PREFIX = "BLINDPOST_"
PROFILE_VARIABLE = "BLINDPOST_PROFILE"
PASSPHRASE_VARIABLE = "BLINDPOST_PASSPHRASE"  # noqa: S105 the name of a variable, not a secret
BACKUP_PASSPHRASE_VARIABLE = "BLINDPOST_BACKUP_PASSPHRASE"  # noqa: S105 likewise
INVITE_VARIABLE = "BLINDPOST_INVITE"
PROXY_VARIABLE = "BLINDPOST_PROXY"


@dataclass(frozen=True, slots=True)
class ClientConfig(Secret):
    """Which profile to use, how it is unlocked if not by its key file, and how a new account gets in."""

    profile: Path
    passphrase: str | None = field(default=None, repr=False)
    keyring: bool = False  # whether a new profile's key goes into the system keyring
    backup_passphrase: str | None = field(default=None, repr=False)  # of a backup that is made or restored
    invite: str | None = field(default=None, repr=False)  # for a relay that wants one of a new account
    proxy: Proxy | None = None  # that every connection goes through


def auditor_key_path() -> Path:
    """Where an auditor's own key is kept, beside the profiles, unless another file is named."""
    return user_data_path("blindpost") / "auditor.key"


def profile_path(name: str | None) -> Path:
    """A path if `name` holds a slash, else a profile of that name in the platform's data directory.

    Raises UsageError for what cannot be a path.
    """
    name = name or "default"
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"The profile {name!r} is not UTF-8. Choose another name or directory.") from None
    if "/" in name or name in (".", ".."):
        try:
            return Path(name).expanduser().resolve()
        except (OSError, RuntimeError):  # no working directory, no such user's home, a loop of links
            raise UsageError(f"The profile {name} cannot be found from here. Give its full path.") from None
    return user_data_path("blindpost") / "profiles" / name


def chosen_profile(profile: str | None) -> Path:
    """By the `--profile` flag, else BLINDPOST_PROFILE, else `default`. Raises UsageError."""
    return profile_path(profile or os.environ.get(PROFILE_VARIABLE))


def read_proxy() -> Proxy | None:
    """What BLINDPOST_PROXY names. Raises UsageError: without it, nothing may be dialled."""
    text = os.environ.get(PROXY_VARIABLE)
    return Proxy.parse(text, PROXY_VARIABLE) if text else None


def read_config(profile: str | None) -> ClientConfig:
    """All that the environment says. Raises UsageError."""
    return ClientConfig(
        chosen_profile(profile),
        os.environ.get(PASSPHRASE_VARIABLE),
        backup_passphrase=os.environ.get(BACKUP_PASSPHRASE_VARIABLE),
        invite=os.environ.get(INVITE_VARIABLE) or None,
        proxy=read_proxy(),
    )


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that this one starts: our own without blindpost's settings, changed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**kept, **changes}
