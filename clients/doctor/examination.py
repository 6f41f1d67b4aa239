"""The whole examination: the profile first, then the relay that it names.

Owns the order, and what a failure makes pointless. Never asks for a passphrase.
"""

import sys
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import apsw

from clients.config import ClientConfig
from clients.doctor.findings import Finding, failed, ok, warning
from clients.doctor.owner import Owner, ask_owner
from clients.doctor.profile_checks import (
    check_permissions,
    check_profile,
    check_space,
    check_store_contents,
    outbox,
    owning,
)
from clients.doctor.relay_checks import Known, RelayChecks
from clients.errors import ExitCode
from clients.profile_files import deletion, described
from clients.route import Route
from clients.standing import gone
from wire.addresses import RelayUrl


async def examine(subject: ClientConfig | Known) -> AsyncIterator[Finding]:
    """Every finding as it is made: of a profile and its relay, or of a relay alone."""
    yield _versions()
    known = subject if isinstance(subject, Known) else None
    if isinstance(subject, ClientConfig):
        async for item in _examine_profile(subject):
            if isinstance(item, Known):
                known = item
            else:
                yield item
    if known is not None:
        async for finding in RelayChecks(known).run():
            yield finding


async def _examine_profile(config: ClientConfig) -> AsyncIterator[Finding | Known]:
    """Findings, and in the end the relay to examine if the profile says which."""
    path = config.profile
    there = check_profile(path)
    yield there
    if there.code:
        return
    yield check_space(path)
    yield check_permissions(path)
    with owning(path) as is_free:
        pass  # to look, not to keep: whoever wants it shall have it
    owner = None if is_free else await ask_owner(path)
    yield _owned(owner, is_free=is_free)
    is_locked = config.passphrase is None and described(path).get("unlock") == "passphrase"
    if is_locked and owner is not None:
        yield ok("store", "locked with a passphrase; the process that has it open works with it")
        yield Known(RelayUrl.parse(owner.relay), Route(None, config.proxy))
        return
    finding, contents = check_store_contents(config)
    yield finding
    if contents is None:
        return
    yield outbox(contents)
    if owner is not None:
        yield _registered(owner)
    # A login would end the one of a process that has the profile open, hence the look before it.
    free = partial(owning, path)
    when = deletion(path)
    refusal = contents.refusal if when is None else gone(when)
    yield Known(
        contents.relay, Route(contents.ca, config.proxy), contents.pinned, contents.device, refusal, free
    )


def _owned(owner: Owner | None, *, is_free: bool) -> Finding:
    name = "owner"
    if is_free:
        return ok(name, "no other process uses the profile")
    if owner is None:
        return warning(
            name, "another process uses the profile, and does not answer",
            "if it does not answer soon either, end it",
        )  # fmt: skip
    return ok(name, "another process uses the profile, and answers: other commands go through it")


def _registered(owner: Owner) -> Finding:
    name = "login"
    if owner.connected:
        return ok(name, "the process that uses the profile is connected and receives")
    if not owner.problems:
        return warning(
            name, "the process that uses the profile is not connected", "wait a moment, and look again"
        )
    return failed(name, " ".join(owner.problems), None, ExitCode.RELAY)


def _versions() -> Finding:
    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "unknown"

    python = ".".join(map(str, sys.version_info[:3]))
    return ok(
        "versions",
        f"blindpost {of('blindpost')}, Python {python}, PyNaCl {of('pynacl')} (brings libsodium), "
        f"SQLite {apsw.sqlite_lib_version()}",
    )
