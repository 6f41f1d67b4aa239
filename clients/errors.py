"""What a client tells a person when something cannot be done: one sentence and one exit code each.

Owns the exit codes of `blindpost`, which are frozen: scripts depend on them. Knows nothing of how the
errors come about.
"""

from enum import IntEnum
from typing import Final

REMOVED: Final = (
    "This device is no longer in its account's device list: the account was restored elsewhere, and goes on "
    "there. What is in this profile can be read here and backed up; nothing is sent or received any more."
)


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    INTERNAL = 1  # a bug of ours
    USAGE = 2  # the words of the command are off
    NOT_FOUND = 3  # no such profile, contact or account
    QUEUED = 4  # queued safely, but the relay was not reachable or has not accepted yet
    RELAY = 5  # the relay is not reachable or refused, and nothing was queued
    TRUST = 6  # a key or device list is not the one known before
    LOCKED = 7  # wrong passphrase, or the profile is in use
    TOO_LARGE = 8  # over 65,000 bytes
    OUTBOX_FULL = 9  # 10,000 messages or 256 MiB wait already
    STORAGE = 10  # disk full, read-only or damaged store
    AUDIT = 11  # an audit found something, or could not see everything


class ClientError(Exception):
    """A failure with a sentence for the user that says what to do. Never holds a secret."""

    exit_code = ExitCode.INTERNAL


class UsageError(ClientError):
    """An argument is malformed."""

    exit_code = ExitCode.USAGE


class NotFoundError(ClientError):
    """No such profile, contact or account."""

    exit_code = ExitCode.NOT_FOUND


class RelayError(ClientError):
    """The relay cannot be reached, or refuses."""

    exit_code = ExitCode.RELAY


class TrustError(ClientError):
    """A key or device list is not what it was. Nothing is sent until the user decides."""

    exit_code = ExitCode.TRUST


class LockedError(ClientError):
    """Wrong passphrase, or another process owns the profile."""

    exit_code = ExitCode.LOCKED


class InUseError(LockedError):
    """Another process owns the profile now: it may be asked instead, or be gone in a moment."""


class TooLargeError(ClientError):
    """The message does not fit."""

    exit_code = ExitCode.TOO_LARGE


class OutboxFullError(ClientError):
    """Too much waits to be sent."""

    exit_code = ExitCode.OUTBOX_FULL


class StorageError(ClientError):
    """The store cannot be read or written."""

    exit_code = ExitCode.STORAGE


class AuditError(ClientError):
    """An audit is red, or cannot be published."""

    exit_code = ExitCode.AUDIT
